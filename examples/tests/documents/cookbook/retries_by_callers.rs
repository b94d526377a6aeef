use super::stock::{Outcome, Shelf, StockClient, StockServer};
use replybus::{
    Bus,
    error::{BoxError, FaultCode},
    layer::{Next, from_fn},
    server::{Answer, Request, ServerService},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Refuses the first two calls.
async fn full(
    refused: Arc<AtomicU32>,
    request: Request,
    next: Next<ServerService>,
) -> Result<Answer, BoxError> {
    if refused.fetch_add(1, Ordering::SeqCst) < 2 {
        return Ok(Answer::fault(FaultCode::Overloaded, "full"));
    }
    next.run(request).await
}

#[tokio::test]
async fn a_caller_asks_again_within_a_budget() -> Outcome {
    let bus = Bus::in_memory();
    let refused = Arc::<AtomicU32>::default();
    let full = from_fn(move |request, next| full(Arc::clone(&refused), request, next));
    let serving = bus.serve(StockServer::new(Shelf::default()));
    let _serving = serving.layer(full).await?;
    let stock = StockClient::new(&bus);

    use replybus::client::{RetryBudget, RetryLayer};
    use std::time::Duration;

    let budget = RetryBudget::new(); // a tenth of the calls, for all clients that share it
    let retries = RetryLayer::new()
        .max(3)
        .hedge_after(Duration::from_millis(200)) // a slow query is asked once more
        .budget(budget.clone());
    let stock = stock.layer(retries);
    assert_eq!(stock.count("pen".to_owned()).await?, 10);

    assert!(budget.attempts_left() < 10, "it asked again");
    Ok(())
}
