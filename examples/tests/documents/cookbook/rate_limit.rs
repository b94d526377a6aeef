use super::stock::{Outcome, Shelf, StockClient, StockServer};

#[tokio::test]
async fn no_more_than_so_many_a_minute() -> Outcome {
    let bus = replybus::Bus::in_memory();

    use replybus::{FailureKind, layer::RateLimitLayer};
    use std::time::Duration;

    let limit = RateLimitLayer::new(2, Duration::from_secs(60)); // clones share it
    let serving = bus.serve(StockServer::new(Shelf::default()));
    let _serving = serving.layer(limit).await?;

    let stock = StockClient::new(&bus);
    assert_eq!(stock.count("pen".to_owned()).await?, 10);
    assert_eq!(stock.count("pen".to_owned()).await?, 10);
    let refused = stock.count("pen".to_owned()).await.unwrap_err();
    assert_eq!(refused.kind(), Some(FailureKind::Overloaded));
    assert!(refused.retry_after().is_some());
    Ok(())
}
