//! Work that is due again and again: two programs run one schedule, each tick is run by one of
//! them, and what nobody was there for is run when somebody is.
//!
//! ```text
//! cargo run -p replybus-examples -F schedules --example schedules
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::{Context, ensure};
use replybus::{
    Bus, Never, queue_handler,
    schedule::{Missed, Scheduled, Tick},
};
use replybus_examples::anywhere::Anywhere;
use std::time::{Duration, SystemTime};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{sleep, timeout},
};

const QUEUES: [&str; 2] = ["schedule.reports", "report.requests"];

#[queue_handler("report.requests")]
trait Reports {
    /// Writes the report of a moment.
    #[command(retry)]
    async fn write(&self, of: SystemTime) -> Result<(), Never>;
}

struct Writer(UnboundedSender<SystemTime>);

impl Reports for Writer {
    async fn write(&self, of: SystemTime) -> Result<(), Never> {
        // Nobody listens once the example is over.
        let _ = self.0.send(of);
        Ok(())
    }
}

/// A program that has a report written every second.
async fn run(bus: &Bus) -> anyhow::Result<Scheduled> {
    let reports = ReportsClient::new(bus);
    let write = move |tick: Tick| {
        let reports = reports.clone();
        // A command under the tick's key: it is tried again, and kept if it fails.
        async move {
            let write = reports.write(tick.at()).idempotency_key(tick.key());
            write.send().await.map(drop)
        }
    };
    let scheduled = bus
        .schedule("reports", "* * * * * *", write) // with seconds; "0 3 * * *" is 3 o'clock
        .time_zone("Europe/Vienna")
        .missed(Missed::All { at_most: 100 })
        .await?;
    Ok(scheduled)
}

/// The next reports, of which each is a second after the one before.
async fn written(
    reports: &mut UnboundedReceiver<SystemTime>,
    last: &mut Option<SystemTime>,
    count: u32,
) -> anyhow::Result<()> {
    let mut seconds = Vec::new();
    for _ in 0..count {
        let next = timeout(Duration::from_secs(20), reports.recv()).await;
        let of = next.context("no report")?.context("all is over")?;
        seconds.push(of);
    }
    // Those that are run at once may overtake each other.
    seconds.sort();
    for of in seconds {
        println!("  the report of {of:?}");
        let expected = last.map_or(of, |last| last + Duration::from_secs(1));
        ensure!(of == expected, "the report of {expected:?} was next");
        *last = Some(of);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let bus = &anywhere.bus;
    let (wrote, mut reports) = unbounded_channel();
    let mut last = None;
    let serving = bus.serve(ReportsServer::new(Writer(wrote))).await?;

    println!("two programs, and each tick once:");
    let programs = [run(bus).await?, run(bus).await?];
    written(&mut reports, &mut last, 4).await?;

    println!("nobody is there for three seconds:");
    for program in programs {
        program.shutdown().await?;
    }
    sleep(Duration::from_secs(3)).await;
    let program = run(bus).await?;
    written(&mut reports, &mut last, 5).await?;

    program.shutdown().await?;
    serving.shutdown().await?;
    anywhere.forget_delays(&QUEUES).await?;
    anywhere.close(&QUEUES).await
}
