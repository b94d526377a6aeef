use super::stock::{Outcome, Shelf, StockClient, StockServer};
use replybus::{reply::memory::MemoryReplies, transport::memory::MemoryBroker};

#[tokio::test]
async fn namespaces_share_servers_and_nothing_else() -> Outcome {
    // In a program: Amqp::new(url), RedisReplies::new(url).
    let (amqp, redis) = (MemoryBroker::new(), MemoryReplies::new());

    use replybus::{Bus, FailureKind};

    let staging = Bus::builder().namespace("staging");
    let staging = staging.connect(amqp.clone(), redis.clone()).await?;
    let test = Bus::builder().namespace("test-4711");
    let test = test.connect(amqp, redis).await?;

    let _serving = staging.serve(StockServer::new(Shelf::default())).await?;
    let stock = StockClient::new(&staging); // a client belongs to a bus; a program may have several
    assert_eq!(stock.count("pen".to_owned()).await?, 10);
    let elsewhere = StockClient::new(&test).count("pen".to_owned()).await;
    assert_eq!(elsewhere.unwrap_err().kind(), Some(FailureKind::Unroutable));
    Ok(())
}
