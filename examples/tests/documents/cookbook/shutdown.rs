use super::stock::{Outcome, Shelf, StockClient, StockServer};
use tokio::sync::oneshot;

use replybus::{Bus, server::Drained};
use std::{error::Error, future::Future, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

async fn run(bus: Bus, stop: impl Future) -> Result<Drained, Box<dyn Error>> {
    let serving = bus
        .serve(StockServer::new(Shelf::default()))
        .drain_within(Duration::from_secs(20)) // for handlers that run
        .await?;
    let drained = serving.run_until(stop).await?; // takes no more, ends what it has
    bus.close(Duration::from_secs(5)).await; // and says what is still to be said
    Ok(drained)
}

/// What Kubernetes sends first.
async fn terminated() -> Result<(), std::io::Error> {
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_told_to_stop_ends_what_it_has() -> Outcome {
    let bus = Bus::in_memory();
    let first = bus.serve(StockServer::new(Shelf::default())).await?;
    first.shutdown().await?; // from now on there is the queue
    let stock = StockClient::new(&bus);
    let (stop, stopped) = oneshot::channel::<()>();
    let stop_or_term = async {
        tokio::select! {
            _ = stopped => {}
            _ = terminated() => {}
        }
    };
    let called = async {
        let left = stock.take("pen".to_owned(), 3).wait_for_service().await;
        let _ = stop.send(());
        left
    };
    let (drained, left) = tokio::join!(run(bus.clone(), stop_or_term), called);
    assert_eq!((drained?.given_back, left?), (0, 7));
    Ok(())
}
