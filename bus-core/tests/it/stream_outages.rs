//! Streams while the broker is away, for longer than either end may be silent.

use super::{
    between::{Between, Hook},
    lossy::{Appended, Lossy},
    streams::{read_all, serve},
};
use replybus::{
    Bus,
    reply::memory::MemoryReplies,
    transport::{
        Outgoing, Receipt, Transport as _, TransportHealth, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

/// Time that begins when something happens.
#[derive(Debug, Default)]
struct Clock(OnceLock<Instant>);

impl Clock {
    fn begin(&self) {
        self.0.get_or_init(Instant::now);
    }

    /// `true` from its beginning on, for so long.
    fn is_within(&self, time: Duration) -> bool {
        self.0.get().is_some_and(|since| since.elapsed() < time)
    }
}

/// A way to the broker that is cut for a while.
#[derive(Debug)]
struct Way {
    clock: Arc<Clock>,
    away_for: Duration,
}

impl Hook for Way {
    fn publish(&self, outgoing: Outgoing, on: &MemoryTransport) -> Receipt {
        if self.clock.is_within(self.away_for) {
            return Receipt::told(Verdict::Lost);
        }
        on.publish(outgoing)
    }

    fn health(&self, of: &MemoryTransport) -> TransportHealth {
        if self.clock.is_within(self.away_for) {
            return TransportHealth::Down("on purpose".into());
        }
        of.health()
    }
}

/// A stream is read from whose fifth frame on the broker is away for a while, and frames are refused for
/// another.
async fn read_through(away_for: Duration, refused_for: Duration) {
    let clock = Arc::new(Clock::default());
    let way = Way {
        clock: Arc::clone(&clock),
        away_for,
    };
    let ticks = Arc::clone(&clock);
    let replies = Lossy::new(MemoryReplies::new(), move |frame| {
        if frame == 4 {
            ticks.begin();
        }
        match ticks.is_within(refused_for) {
            true => Appended::Refused,
            false => Appended::Well,
        }
    });
    let bus = Bus::connect(Between::on(&MemoryBroker::new(), way), replies)
        .await
        .unwrap();
    let (_, client, _serving) = serve(&bus).await;
    let lines = client.lines(2_000).window_bytes(10_000).await.unwrap();
    assert_eq!(read_all(lines).await, (2_000, None));
    assert!(!clock.is_within(away_for.max(refused_for)));
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_of_the_broker_ends_no_stream() {
    read_through(Duration::from_secs(300), Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_is_back_first_gives_the_other_its_time() {
    read_through(Duration::from_secs(17), Duration::from_secs(30)).await;
}
