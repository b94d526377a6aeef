//! One round of a relay: what is due is taken out, emitted, and forgotten or given back.

use super::{
    pauses::pauses,
    prepare::{CanNotPrepare, Preparations},
    stored::{Batch, PutOff, Store, Stored},
};
use futures_util::future::join_all;
use replybus::{Bus, CallId, Context, InvalidCallId, event::EmitError, transport::TransportHealth};
use std::{collections::HashMap, error::Error, time::Duration};
use tokio::time::Instant;

/// First and longest pause after an event that can't be emitted for a reason of its own.
const FAILED_PAUSE_MIN: Duration = Duration::from_millis(100);
const FAILED_PAUSE_MAX: Duration = Duration::from_secs(60);
/// A batch of which the broker took nothing is put aside for so long, if there may be more behind it.
const ASIDE: Duration = Duration::from_secs(1);
/// An event that can't be read is left alone for so long: perhaps a version that can is on its way.
const LEFT_ALONE: Duration = Duration::from_secs(10 * 60);

/// The reason of a failure that is none of an event's.
const DATABASE: &str = "database";

/// Emits what is in an outbox, batch by batch.
pub(super) struct Rounds<'a> {
    pub(super) bus: Bus,
    pub(super) store: &'a Store,
    pub(super) preparations: Preparations,
    pub(super) mandatory: bool,
    pub(super) batch: usize,
    pub(super) confirm_within: Duration,
    pub(super) table: String,
}

/// The outcome of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// There is nothing more for now.
    Empty,
    /// There may be more.
    More,
    /// There may be more, and the broker was waited for in vain.
    Slow,
    /// The broker takes nothing, or the database is away.
    Stuck,
}

/// An event was not emitted.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Prepare(#[from] CanNotPrepare),
    #[error("the event has no id that the bus takes")]
    Id(#[from] InvalidCallId),
    #[error(transparent)]
    Emit(#[from] EmitError),
}

/// Whom an event failed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The broker's: it takes no event now.
    Broker,
    /// The event's: others may be taken.
    Event,
    /// The event's, and time will hardly mend it.
    Unreadable,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Emitted,
    Failed(Fault),
    /// One before it under its key was not emitted, or there was no time for it.
    Waits,
}

impl RelayError {
    fn fault(&self, transport: &TransportHealth) -> Fault {
        match self {
            Self::Prepare(_) | Self::Id(_) => Fault::Unreadable,
            Self::Emit(EmitError::Misnamed { .. } | EmitError::Codec { .. }) => Fault::Unreadable,
            Self::Emit(
                EmitError::NoExchange { .. }
                | EmitError::NoSubscriber { .. }
                | EmitError::Refused { .. }
                | EmitError::Delay { .. },
            ) => Fault::Event,
            // One of its queues is full, or has no majority: a broker that is there takes others.
            Self::Emit(EmitError::Overloaded { .. } | EmitError::Unconfirmed { .. })
                if *transport == TransportHealth::Up =>
            {
                Fault::Event
            }
            Self::Emit(_) => Fault::Broker,
        }
    }
}

impl Fault {
    const fn as_word(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Event => "event",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Rounds<'_> {
    /// The time for which a batch is left alone by other relays.
    fn lease(&self) -> Duration {
        self.confirm_within.saturating_mul(2)
    }

    pub(super) async fn run(&self) -> Round {
        let begun = Instant::now();
        let batch = match self.store.lease(self.lease()).await {
            Ok(batch) => batch,
            Err(error) => {
                self.database_failed(&error, "can't look for events");
                return Round::Stuck;
            }
        };
        if batch.events.is_empty() {
            return Round::Empty;
        }
        let fates = match self.store.held_up(&batch).await {
            Ok(held_up) => {
                let lines = lines(&batch, |stored| !held_up.contains(&stored.id));
                let lines = lines
                    .into_iter()
                    .map(|line| self.emit_in_order(line, begun));
                join_all(lines).await.into_iter().flatten().collect()
            }
            Err(error) => {
                self.database_failed(&error, "can't look for what is held up");
                HashMap::new()
            }
        };
        let is_slow = begun.elapsed() >= self.confirm_within;
        self.conclude(&batch, &fates, is_slow).await
    }

    /// Forgets what the broker has, and gives the rest back.
    async fn conclude(&self, batch: &Batch, fates: &HashMap<&str, Fate>, is_slow: bool) -> Round {
        let fate = |stored: &Stored| fates.get(stored.id.as_str()).copied();
        let emitted = batch.events.iter();
        let emitted = emitted.filter(|stored| fate(stored) == Some(Fate::Emitted));
        let emitted: Vec<_> = emitted.map(|stored| stored.id.as_str()).collect();
        let by_broker = Fate::Failed(Fault::Broker);
        let is_refused = fates.is_empty() || fates.values().any(|fate| *fate == by_broker);
        let is_full = batch.events.len() == self.batch;
        // What the broker did not take is given back at once: when it takes events, it takes all. Only
        // if that is a whole batch others may be behind it that are taken, such as of another exchange.
        let aside = (is_refused && is_full && emitted.is_empty()).then_some(ASIDE);
        let put_off =
            batch
                .events
                .iter()
                .filter_map(|stored| match fate(stored).unwrap_or(Fate::Waits) {
                    Fate::Emitted => None,
                    Fate::Waits | Fate::Failed(Fault::Broker) => Some(stored.given_back(aside)),
                    Fate::Failed(Fault::Event) => {
                        Some(stored.failed(failed_pause(stored.attempts)))
                    }
                    Fate::Failed(Fault::Unreadable) => Some(stored.failed(LEFT_ALONE)),
                });
        let put_off: Vec<_> = put_off.collect();
        let mut round = match (emitted.len(), is_refused) {
            (0, true) => Round::Stuck,
            (_, true) => Round::More,
            // What waits for its key is next.
            (1.., false) if put_off.iter().any(PutOff::is_due) => Round::More,
            (0, false) if is_full && is_slow => Round::Slow,
            (..) if is_full => Round::More,
            (..) => Round::Empty,
        };
        if !emitted.is_empty()
            && let Err(error) = self.store.forget(&emitted).await
        {
            // They are emitted again under the same ids when the lease has lapsed.
            self.database_failed(&error, "events were not forgotten");
            round = Round::Stuck;
        }
        if !put_off.is_empty()
            && let Err(error) = self.store.put_off(batch, &put_off).await
        {
            tracing::debug!(%error, "events were not given back, their lease lapses");
        }
        round
    }

    /// Emits events one after the other, each when the one before it is confirmed. One alone is just
    /// emitted.
    async fn emit_in_order<'b>(
        &self,
        line: Vec<&'b Stored>,
        begun: Instant,
    ) -> Vec<(&'b str, Fate)> {
        let mut fates = Vec::with_capacity(line.len());
        for stored in line {
            // Afterwards another relay may have it, and who is late may be very late.
            let has_time = begun.elapsed() < self.confirm_within;
            let fate = if has_time {
                self.try_to_emit(stored).await
            } else {
                Fate::Waits
            };
            fates.push((stored.id.as_str(), fate));
            if fate != Fate::Emitted {
                break;
            }
        }
        fates
    }

    /// Has the counters there before there is something to count.
    pub(super) fn count_nothing(&self) {
        let faults = [Fault::Broker, Fault::Event, Fault::Unreadable].map(Fault::as_word);
        for reason in faults.into_iter().chain([DATABASE]) {
            self.count_failures(reason, 0);
        }
        self.count_emitted(0);
    }

    async fn try_to_emit(&self, stored: &Stored) -> Fate {
        match self.emit(stored).await {
            Ok(()) => {
                self.count_emitted(1);
                Fate::Emitted
            }
            Err(error) => {
                let fault = error.fault(&self.bus.health().transport);
                self.count_failures(fault.as_word(), 1);
                let (table, event) = (&self.table, &stored.id);
                let error = &error as &dyn Error;
                if fault == Fault::Unreadable {
                    tracing::error!(table, event, error, "an event stays in the outbox");
                } else {
                    tracing::warn!(table, event, error, "an event stays in the outbox");
                }
                Fate::Failed(fault)
            }
        }
    }

    async fn emit(&self, stored: &Stored) -> Result<(), RelayError> {
        let id: CallId = stored.id.parse()?;
        let emit = self.preparations.emit(&self.bus, stored)?;
        let mut emit = emit.id(id).timeout(self.confirm_within);
        if self.mandatory {
            emit = emit.mandatory();
        }
        match &stored.trace {
            // It is told in the trace of what it tells of.
            Some(trace) => {
                let context = Context::builder().trace(trace.clone()).build();
                context.scope(emit).await?
            }
            None => emit.await?,
        };
        Ok(())
    }

    fn database_failed(&self, error: &sqlx::Error, what: &str) {
        self.count_failures(DATABASE, 1);
        tracing::warn!(table = self.table, error = error as &dyn Error, "{what}");
    }

    fn count_emitted(&self, count: u64) {
        let table = self.table.clone();
        metrics::counter!("replybus_outbox_emitted_total", "table" => table).increment(count);
    }

    fn count_failures(&self, reason: &'static str, count: u64) {
        let table = self.table.clone();
        metrics::counter!("replybus_outbox_failures_total", "table" => table, "reason" => reason)
            .increment(count);
    }
}

/// The events of a batch as lines, each in order: one for each key, and one for each that has none.
/// They are handed to the broker in the order of the first of each. A line ends before what may not
/// be emitted yet.
fn lines(batch: &Batch, may_be_emitted: impl Fn(&Stored) -> bool) -> Vec<Vec<&Stored>> {
    let mut lines: Vec<Vec<&Stored>> = Vec::with_capacity(batch.events.len());
    // `None` of a key whose line has ended.
    let mut of_key: HashMap<&str, Option<usize>> = HashMap::new();
    for stored in &batch.events {
        let Some(key) = stored.order_key.as_deref() else {
            lines.push(vec![stored]);
            continue;
        };
        if !may_be_emitted(stored) {
            of_key.insert(key, None);
            continue;
        }
        let line = *of_key.entry(key).or_insert_with(|| {
            lines.push(Vec::new());
            Some(lines.len() - 1)
        });
        if let Some(line) = line.and_then(|line| lines.get_mut(line)) {
            line.push(stored);
        }
    }
    lines
}

/// The pause after an event that failed so often before for a reason of its own.
fn failed_pause(attempts: u32) -> Duration {
    // Long before the last of these they are as long as they get.
    let pause = pauses(FAILED_PAUSE_MIN, FAILED_PAUSE_MAX).nth(attempts.min(16) as usize);
    pause.unwrap_or(FAILED_PAUSE_MAX)
}
