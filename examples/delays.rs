//! Calls and events that are due later: kept by the broker, none behind another, none early.
//!
//! ```text
//! cargo run -p replybus-examples --example delays
//! ```
//!
//! In one process; with the feature `servers`, and `AMQP_URL` and `REDIS_URL` set, over these.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::{Context, ensure};
use replybus::{Event, FailureKind, Never, limits::DELAY_MAX, queue_handler};
use replybus_examples::anywhere::Anywhere;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

const QUEUES: [&str; 2] = ["reminder.requests", "marketing"];
const SECOND: Duration = Duration::from_secs(1);

#[queue_handler("reminder.requests")]
trait Reminders {
    /// Reminds somebody of something; returns how many reminders there were before.
    async fn remind(&self, of: String) -> Result<usize, Never>;
}

#[derive(Event, Serialize, Deserialize)]
#[event("offer.expired")]
struct OfferExpired {
    offer: u64,
}

/// What happened, and when.
type Said = (String, Instant);

struct Desk(UnboundedSender<Said>);

impl Reminders for Desk {
    async fn remind(&self, of: String) -> Result<usize, Never> {
        // Nobody listens once the example is over.
        let _ = self.0.send((of, Instant::now()));
        Ok(0)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let anywhere = Anywhere::open().await?;
    let bus = &anywhere.bus;
    let (says, mut heard) = unbounded_channel();
    let reminders = RemindersClient::new(bus);

    // A service that was never there is an error now, not when it is due.
    let nobody = reminders.remind("nothing".to_owned()).send_after(SECOND);
    let failure = nobody.await.err().map(|failure| failure.kind());
    ensure!(failure == Some(FailureKind::Unroutable), "{failure:?}");

    let serving = bus.serve(RemindersServer::new(Desk(says.clone()))).await?;
    let started = Instant::now();
    let remind = |of: &str| reminders.remind(of.to_owned());
    // A year ahead of the others, and in nobody's way.
    let birthday = remind("the next birthday").submit_after(DELAY_MAX).await?;
    println!("call {} is due in a year", birthday.call_id());
    remind("the train").send_after(3 * SECOND).await?;
    let tea = remind("the tea").submit_after(SECOND).await?;
    remind("yesterday")
        .send_at(SystemTime::now() - SECOND)
        .await?;
    remind("the door")
        .send_at(SystemTime::now() + 2 * SECOND)
        .await?;

    let listen = move |expired: OfferExpired| {
        let _ = says.send((format!("offer {}", expired.offer), Instant::now()));
        async {}
    };
    let subscription = bus.subscribe("marketing", listen).await?;
    bus.emit_after(&OfferExpired { offer: 17 }, 4 * SECOND)
        .await?;

    for (what, due) in [
        ("yesterday", 0),
        ("the tea", 1),
        ("the door", 2),
        ("the train", 3),
        ("offer 17", 4),
    ] {
        said(&mut heard, what, started, due * SECOND).await?;
    }
    // The ticket is as good as that of any submitted call.
    tea.wait_for(bus, 10 * SECOND).await?;

    let too_far = remind("the millennium").send_after(DELAY_MAX + SECOND);
    let refused = too_far.await.err().context("it is too far away")?;
    println!("{refused}");

    subscription.shutdown().await?;
    serving.shutdown().await?;
    anywhere
        .forget_delays(&["reminder.requests", "replybus.events:offer.expired"])
        .await?;
    anywhere.close(&QUEUES).await
}

/// Waits for the next thing to happen, which must not be early.
async fn said(
    heard: &mut UnboundedReceiver<Said>,
    what: &str,
    started: Instant,
    due: Duration,
) -> anyhow::Result<()> {
    let next = timeout(20 * SECOND, heard.recv()).await;
    let (of, at) = next.context("nothing happened")?.context("all is over")?;
    let after = at - started;
    println!("after {after:.1?}: {of}");
    ensure!(of == what, "{what} was next");
    ensure!(after >= due, "early");
    Ok(())
}
