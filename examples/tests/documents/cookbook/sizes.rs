use super::stock::{Outcome, Shelf, StockClient, StockServer};

#[tokio::test]
async fn a_service_is_sized() -> Outcome {
    let bus = replybus::Bus::in_memory();

    let pool = 10; // what the handlers share: connections of a database, say
    let serving = bus
        .serve(StockServer::new(Shelf::default()))
        .concurrency(pool) // handlers that run at once
        .prefetch(2 * pool) // deliveries that this process holds, those that run included
        .await?;
    let stock = StockClient::new(&bus);
    stock.count("pen".to_owned()).await?;

    let stats = bus.control("stock.requests").stats().await?; // of each instance
    assert!(stats[0].in_flight <= 1);
    let queue = bus.inspect("stock.requests").await?.unwrap(); // for autoscaling
    assert_eq!((queue.waiting, queue.consumers), (0, 1));
    serving.shutdown().await?;
    Ok(())
}
