//! Brings events from the outbox to the broker, each at least once, under the id of its
//! transaction.

use super::{
    Outbox,
    table::{BATCH, Stored},
};
use crate::{Identity, identity::CanNotSign};
use backon::{BackoffBuilder, ExponentialBuilder};
use contracts::TransactionCompleted;
use futures_util::future::join_all;
use replybus::{Bus, CallId, Context, InvalidCallId, event::EmitError};
use std::{error::Error, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between looks for what nobody told of: what a crash left, here or elsewhere.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The broker confirms within this, or is asked again.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);
/// First and longest pause while it does not.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// An event that can't be read is left alone for so long: perhaps a version that can is on its way.
const LEFT_ALONE: Duration = Duration::from_secs(10 * 60);

/// Emits what is in the outbox.
#[derive(Debug)]
pub struct Relay {
    /// The events to bring.
    pub outbox: Outbox,
    /// The bus that they go over.
    pub bus: Bus,
    /// Signs it.
    pub identity: Identity,
    /// Told when there may be something in it.
    pub completed: Arc<Notify>,
}

/// The outcome of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// There is nothing more for now.
    Empty,
    /// There may be more.
    More,
    /// The broker takes nothing.
    Stuck,
}

/// An event was not emitted.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the stored event can't be read")]
    Unreadable(#[from] serde_json::Error),
    #[error("the event has no id that the bus takes")]
    Id(#[from] InvalidCallId),
    #[error("the event can't be signed")]
    Sign(#[from] CanNotSign),
    #[error(transparent)]
    Emit(#[from] EmitError),
}

impl Relay {
    /// Goes on until it is told to stop, and then brings away what is left, unless the broker is
    /// away itself.
    ///
    /// # Cancel safety
    /// Dropped, what it was emitting is emitted again, under the same ids, when its lease lapses.
    pub async fn run(self, stop: CancellationToken) {
        let growing = ExponentialBuilder::default()
            .with_min_delay(PAUSE_MIN)
            .with_max_delay(PAUSE_MAX)
            .with_jitter()
            .without_max_times();
        let mut pauses = growing.build();
        loop {
            // Asked first: what was there when it was told to stop is part of the round.
            let last = stop.is_cancelled();
            let round = self.round().await;
            if last && round != Round::More {
                return;
            }
            if round != Round::Stuck {
                pauses = growing.build();
            }
            match round {
                Round::More => {}
                Round::Empty => tokio::select! {
                    () = self.completed.notified() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => {}
                },
                Round::Stuck => {
                    let pause = pauses.next().unwrap_or(PAUSE_MAX);
                    let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
    }

    async fn round(&self) -> Round {
        let batch = match self.outbox.lease().await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, "can't look for events");
                return Round::Stuck;
            }
        };
        // They are handed to the broker in this order, and confirmed in any.
        let emitted = join_all(batch.events.iter().map(|stored| self.emit(stored))).await;
        let (mut confirmed, mut refused, mut impossible) = (Vec::new(), Vec::new(), Vec::new());
        for (stored, emitted) in batch.events.iter().zip(emitted) {
            match emitted {
                Ok(()) => confirmed.push(stored.id),
                Err(error) => {
                    report(stored.id, &error);
                    let failed = match error {
                        RelayError::Emit(_) => &mut refused,
                        RelayError::Unreadable(_) | RelayError::Id(_) | RelayError::Sign(_) => {
                            &mut impossible
                        }
                    };
                    failed.push(stored.id);
                }
            }
        }
        let mut round = match (batch.events.len(), refused.len()) {
            (_, 1..) if confirmed.is_empty() => Round::Stuck,
            (BATCH, _) | (_, 1..) => Round::More,
            _ => Round::Empty,
        };
        if !confirmed.is_empty()
            && let Err(error) = self.outbox.forget(&confirmed).await
        {
            // They are emitted again under the same ids when the lease has lapsed.
            tracing::warn!(error = &error as &dyn Error, "events were not forgotten");
            round = Round::Stuck;
        }
        // What the broker did not take is given back at once: when it takes events, it takes all.
        for (failed, pause) in [(refused, Duration::ZERO), (impossible, LEFT_ALONE)] {
            if !failed.is_empty()
                && let Err(error) = self.outbox.put_off(&batch, &failed, pause).await
            {
                tracing::debug!(%error, "events were not given back, their lease lapses");
            }
        }
        round
    }

    async fn emit(&self, stored: &Stored) -> Result<(), RelayError> {
        let event: TransactionCompleted = serde_json::from_str(&stored.event)?;
        let event = self.identity.sign(event)?;
        let id: CallId = stored.id.to_string().parse()?;
        // Before the notification service first subscribed nobody would get it: it is kept till
        // then.
        let emit = self.bus.emit(&event).id(id).mandatory();
        let emit = emit.timeout(CONFIRM_WITHIN);
        match stored.trace() {
            // It is told in the trace of what it tells of.
            Some(trace) => Context::builder().trace(trace).build().scope(emit).await?,
            None => emit.await?,
        };
        metrics::counter!("bank_events_emitted_total").increment(1);
        Ok(())
    }
}

fn report(id: Uuid, error: &RelayError) {
    let unreadable = !matches!(error, RelayError::Emit(_));
    let error = error as &dyn Error;
    if unreadable {
        tracing::error!(event = %id, error, "an event stays in the outbox");
    } else {
        tracing::warn!(event = %id, error, "an event stays in the outbox");
    }
}
