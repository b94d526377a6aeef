use super::stock::{Outcome, Shelf, StockClient, StockServer};
use std::sync::atomic::{AtomicU32, Ordering};

use replybus::error::BoxError;
use replybus::layer::{Next, from_fn};
use replybus::server::{Answer, Request, ServerService};

static SERVED: AtomicU32 = AtomicU32::new(0);

/// Around each handler of a service, or of all of a bus.
async fn count(request: Request, next: Next<ServerService>) -> Result<Answer, BoxError> {
    let answer = next.run(request).await; // not called, the handler does not run
    SERVED.fetch_add(1, Ordering::SeqCst);
    answer
}

#[tokio::test]
async fn a_layer_is_around_each_call() -> Outcome {
    let bus = replybus::Bus::in_memory();

    let serving = bus.serve(StockServer::new(Shelf::default()));
    let _serving = serving.layer(from_fn(count)).await?;

    let stock = StockClient::new(&bus);
    stock.count("pen".to_owned()).await?;
    stock.take("pen".to_owned(), 1).await?;
    assert_eq!(SERVED.load(Ordering::SeqCst), 2);
    Ok(())
}
