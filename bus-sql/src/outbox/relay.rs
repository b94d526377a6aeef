//! Brings events from the outbox to the broker.

use super::{
    Outbox,
    measure::Measures,
    pauses::pauses,
    prepare::Preparations,
    round::{Round, Rounds},
    stored::Store,
};
use crate::database::Connections;
use futures_util::{FutureExt as _, future::FusedFuture as _};
use replybus::{Bus, Event};
use std::{future::Future, pin::pin, time::Duration};
use tokio::time::sleep;

/// Events taken out at once.
const BATCH: usize = 64;
/// The most that can be: all of them are in memory, and on their way, at the same time.
const BATCH_MAX: usize = 1_000;
/// Between looks for what nobody told of: what a crash left, here or elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The broker confirms within this, or is asked again.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);
/// First and longest pause while it does not, or while the database is away.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Emits what is in an [`Outbox`]: batch after batch, the oldest first, each event until the broker
/// has confirmed it, at least once and under the same id. Any number of relays, in any number of
/// processes, share an outbox.
///
/// - Events travel as they are stored, in JSON; those that are [prepared](Self::prepare) in MessagePack.
/// - An event is a relay's for twice the time that the broker is given to confirm. If it dies
///   meanwhile, another one emits the event again.
/// - While there is no connection to the broker, or it blocks publishers, or the database is away,
///   pauses grow from 50 ms to 5 s.
/// - An event that the broker does not take for a reason of its own, such as that nobody subscribes
///   to it though somebody must, or that a queue which it goes to is full or does not confirm, is tried
///   again after pauses that grow from 100 ms to a minute, and holds no other up, but those that come
///   after it under its [key](super::Entry::with_key).
/// - One that can't be read is left alone for ten minutes, and logged each time: perhaps a version
///   that can read it is on its way.
///
/// It counts what it does by the `metrics` crate, with the label `table`:
/// `replybus_outbox_emitted_total`; `replybus_outbox_failures_total`, with the `reason` (`broker`,
/// `event`, `unreadable`, `database`); and every ten seconds `replybus_outbox_events`, how many there
/// are up to 10,000, and `replybus_outbox_oldest_seconds`, how long ago the oldest of them was put.
#[derive(Debug)]
#[must_use = "a relay does nothing until it is run"]
pub struct Relay {
    bus: Bus,
    outbox: Outbox,
    connections: Connections,
    preparations: Preparations,
    mandatory: bool,
    batch: usize,
    look_every: Duration,
    confirm_within: Duration,
}

impl Relay {
    /// One that takes events out by statements on these connections, and emits them over this bus.
    pub fn new(bus: &Bus, outbox: &Outbox, connections: impl Into<Connections>) -> Self {
        Self {
            bus: bus.clone(),
            outbox: outbox.clone(),
            connections: connections.into(),
            preparations: Preparations::default(),
            mandatory: false,
            batch: BATCH,
            look_every: LOOK_EVERY,
            confirm_within: CONFIRM_WITHIN,
        }
    }

    /// Has every event reach a group: one that nobody subscribes to is kept, and tried again, until
    /// somebody does.
    pub fn mandatory(mut self) -> Self {
        self.mandatory = true;
        self
    }

    /// Has every event of this type looked at, or changed, before it is emitted: to sign it, say, when
    /// it leaves. It is read as its type then, so that one which is none is never emitted. If `prepare`
    /// fails, the event is left alone as one that can't be read.
    ///
    /// ```
    /// # use replybus::{Bus, Event};
    /// # use replybus_sql::{Outbox, Relay};
    /// # use serde::{Deserialize, Serialize};
    /// # use sqlx::sqlite::SqlitePoolOptions;
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event("order.paid")]
    /// struct OrderPaid { order: u64, seal: Option<String> }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = SqlitePoolOptions::new().connect("sqlite::memory:").await?;
    /// # let (bus, outbox) = (Bus::in_memory(), Outbox::new());
    /// let relay = Relay::new(&bus, &outbox, pool).prepare(|mut paid: OrderPaid| {
    ///     paid.seal = Some(format!("sealed {}", paid.order));
    ///     Ok(paid)
    /// });
    /// # let _ = relay;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prepare<E: Event>(
        mut self,
        prepare: impl Fn(E) -> Result<E, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.preparations.prepare(prepare);
        self
    }

    /// Takes rows that do not say which event they are for events of this type: what a program put
    /// that had a table of its own, with `id`, `event` and `leased_until`, before it used this crate.
    pub fn unnamed<E: Event>(mut self) -> Self {
        self.preparations.unnamed::<E>();
        self
    }

    /// Sets how many events are taken out, and are on their way, at once: 64 unless set, and 1,000 at
    /// most.
    pub fn batch(mut self, events: usize) -> Self {
        self.batch = events.clamp(1, BATCH_MAX);
        self
    }

    /// Sets how often it looks for what nobody [told](Outbox::wake) it of: twice in a second, unless
    /// set.
    pub fn look_every(mut self, pause: Duration) -> Self {
        self.look_every = pause;
        self
    }

    /// Sets the time that the broker is given to confirm an event: 5 s unless set. An event of a relay
    /// that died is emitted by another after twice that time.
    pub fn confirm_within(mut self, time: Duration) -> Self {
        self.confirm_within = time;
        self
    }

    /// Goes on until `stop` is ready, and then brings away what is left, unless the broker or the
    /// database is away, or none of a batch is confirmed in time.
    ///
    /// # Cancel safety
    /// Dropped, what it was emitting is emitted again, under the same ids, when its lease lapses.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let growing = || pauses(PAUSE_MIN, PAUSE_MAX);
        let table = self.outbox.table();
        let store = Store::new(self.connections, table, self.batch);
        let mut measures = Measures::new(table);
        let rounds = Rounds {
            bus: self.bus,
            store: &store,
            preparations: self.preparations,
            mandatory: self.mandatory,
            batch: self.batch,
            confirm_within: self.confirm_within,
            table: table.as_str().to_owned(),
        };
        rounds.count_nothing();
        let mut stop = pin!(stop.fuse());
        let mut pauses = growing();
        loop {
            // Asked first: what was there when it was told to stop is part of the round.
            let last = stop.is_terminated() || (&mut stop).now_or_never().is_some();
            let round = rounds.run().await;
            if last && round != Round::More {
                return;
            }
            measures.take(&store).await;
            if round != Round::Stuck {
                pauses = growing();
            }
            match round {
                Round::More | Round::Slow => {}
                Round::Empty => tokio::select! {
                    () = self.outbox.filled().notified() => {}
                    () = sleep(self.look_every) => {}
                    () = &mut stop => {}
                },
                Round::Stuck => {
                    let pause = pauses.next().unwrap_or(PAUSE_MAX);
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = &mut stop, if !stop.is_terminated() => {}
                    }
                }
            }
        }
    }
}
