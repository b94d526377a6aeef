//! Serves the sequence until it is killed, or asked to end. Settings: `AMQP_URL`, `REDIS_URL`,
//! `NAMESPACE`, `NAME`, and `DIRECTORY`, which all members write into.

use replybus::{Amqp, Bus};
use replybus_redis::RedisReplies;
use replybus_testkit::wait::AT_MOST;
use replybus_tests::sequence::{Pages, SequenceServer};
use std::{env, error::Error, io, path::Path, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_max_level(Level::WARN)
        .with_ansi(false)
        .with_writer(io::stderr)
        .init();
    let pages = Pages::of(env::var("NAME")?, Path::new(&env::var("DIRECTORY")?));
    let mut terminated = signal(SignalKind::terminate())?;
    let bus = Bus::builder()
        .namespace(env::var("NAMESPACE")?)
        .connect(
            Amqp::new(env::var("AMQP_URL")?).connect_within(AT_MOST),
            RedisReplies::new(env::var("REDIS_URL")?).connect_within(AT_MOST),
        )
        .await?;
    let serving = bus.serve(SequenceServer::new(pages)).await?;
    serving.run_until(terminated.recv()).await?;
    bus.close(Duration::from_secs(5)).await;
    Ok(())
}
