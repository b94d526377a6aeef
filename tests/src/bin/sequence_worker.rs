//! Serves the sequence until it is killed, or asked to end. Settings: `AMQP_URL`, `REDIS_URL`,
//! `NAMESPACE`, `NAME`, and `DIRECTORY`, which all members write into.

use replybus_tests::{
    sequence::{Pages, SequenceServer},
    worker,
};
use std::{env, error::Error, path::Path, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let pages = Pages::of(env::var("NAME")?, Path::new(&env::var("DIRECTORY")?));
    let mut terminated = signal(SignalKind::terminate())?;
    let bus = worker::connect().await?;
    let serving = bus.serve(SequenceServer::new(pages)).await?;
    serving.run_until(terminated.recv()).await?;
    bus.close(Duration::from_secs(5)).await;
    Ok(())
}
