//! Serves the ledger until it is killed, or asked to end. Settings: `AMQP_URL`, `REDIS_URL`,
//! `NAMESPACE`, `JOURNAL`, `GATE=closed` for handlers that never finish, and `SCHEDULE`, a pattern
//! of whose ticks each is entered.

use replybus::schedule::Tick;
use replybus_testkit::servers::Worker;
use replybus_tests::{
    ledger::{Books, Journal, LedgerServer},
    worker,
};
use std::{env, error::Error, path::Path, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let journal = Journal::kept_in(Path::new(&env::var(Worker::JOURNAL)?))?;
    let (books, gate) = Books::new(Arc::new(journal));
    if env::var("GATE").is_ok_and(|gate| gate == "closed") {
        gate.close();
    }
    let mut terminated = signal(SignalKind::terminate())?;
    let bus = worker::connect().await?;
    let ticks = books.clone();
    let serving = bus.serve(LedgerServer::new(books)).await?;
    let _scheduled = match env::var("SCHEDULE") {
        Ok(pattern) => {
            let run = move |tick: Tick| {
                let ticks = ticks.clone();
                async move { ticks.tick(&tick.key()).await }
            };
            Some(bus.schedule("ticks", pattern, run).await?)
        }
        Err(_) => None,
    };
    serving.run_until(terminated.recv()).await?;
    bus.close(Duration::from_secs(5)).await;
    Ok(())
}
