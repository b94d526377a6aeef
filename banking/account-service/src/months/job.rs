//! The job that makes a statement: looks at the entries of the account span by span, and writes down
//! now and then how far it is. Whoever begins it anew goes on from there.
//!
//! Two may be at one for a moment, after a worker was taken for dead. What is written down is
//! written only where it was read, so that each entry is added once.

use super::{
    record::{Record, State},
    sums::TooMuch,
    table::MonthTable,
};
use crate::failure::Failure;
use replybus::{Context, queue_handler};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// Entries that one statement reads: some milliseconds, and some ten kilobytes.
const SPAN: i64 = 1_000;
/// Spans after which it is written down how far it is: some tenths of a second, and so is what a
/// crash costs.
const SPANS_WRITTEN_AFTER: usize = 16;
/// The pause while the database is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Jobs of the account service, for itself. They have a queue of their own, because a job has its
/// handler to itself until it is done.
#[queue_handler("account.months")]
pub(crate) trait MonthJobs {
    /// Makes the statement with this id, if there is one that is not made.
    #[command(job = "1h")]
    async fn make(&self, statement: Uuid) -> Result<(), Unmade>;
}

/// The reason why a statement is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Unmade {
    /// It was to stop: its user does not want it any more, its process ends, or its time is up.
    #[error("it was stopped")]
    Stopped,
    /// It can't be made.
    #[error("it can't be made")]
    Impossible,
}

/// Makes statements.
#[derive(Debug)]
pub(crate) struct Maker {
    table: MonthTable,
}

/// The reason why it got no further.
#[derive(Debug, thiserror::Error)]
enum Halt {
    #[error(transparent)]
    Books(#[from] Failure),
    #[error(transparent)]
    Sum(#[from] TooMuch),
}

impl MonthJobs for Maker {
    async fn make(&self, statement: Uuid) -> Result<(), Unmade> {
        let context = Context::current();
        loop {
            let error = match self.go_on(statement, &context).await {
                Ok(Some(())) => return Ok(()),
                Ok(None) => return Err(stopped(&context)),
                Err(Halt::Books(error)) if error.passes() => error,
                Err(halt) => {
                    let error: &dyn std::error::Error = &halt;
                    tracing::error!(%statement, error, "a statement can't be made");
                    return Err(Unmade::Impossible);
                }
            };
            waits(statement, &error);
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = context.cancelled() => return Err(stopped(&context)),
            }
        }
    }
}

fn waits(statement: Uuid, error: &Failure) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(%statement, error, "a statement waits for the database");
}

/// Another worker begins it anew, if it was a shutdown that ended it.
fn stopped(context: &Context) -> Unmade {
    context.release_key();
    Unmade::Stopped
}

impl Maker {
    pub(crate) fn new(table: MonthTable) -> Self {
        Self { table }
    }

    /// Goes on from what is written down, to the end; `None` if it was told to stop.
    async fn go_on(&self, id: Uuid, context: &Context) -> Result<Option<()>, Halt> {
        // Whoever lost against another begins again with what that one wrote.
        while let Some(record) = self.table.open(id).await? {
            match self.advance(record, context).await? {
                Step::On => {}
                Step::Stopped => return Ok(None),
            }
        }
        Ok(Some(()))
    }

    /// Some spans, and then a word of how far it is.
    async fn advance(&self, mut record: Record, context: &Context) -> Result<Step, Halt> {
        let from = record.sums.looked_at;
        let bounds = (record.begins_at, record.ends_at);
        let total = u64::try_from(record.up_to).unwrap_or_default();
        let mut is_stopped = false;
        for _ in 0..SPANS_WRITTEN_AFTER {
            let looked_at = record.sums.looked_at;
            is_stopped = context.is_cancelled();
            if looked_at >= record.up_to || is_stopped {
                break;
            }
            context.progress(u64::try_from(looked_at).unwrap_or_default(), total, "");
            for entry in self.table.span(&record, looked_at, SPAN).await? {
                record.sums = record.sums.with(entry, bounds)?;
            }
            // Their numbers have no gaps, so that nothing there means nothing to come.
            if record.sums.looked_at == looked_at {
                record.sums.looked_at = record.up_to;
            }
        }
        let state = if record.sums.looked_at >= record.up_to {
            State::Made
        } else {
            State::Open
        };
        // One that was changed meanwhile is read again.
        self.table.advance(&record, from, state).await?;
        Ok(if is_stopped && state == State::Open {
            Step::Stopped
        } else {
            Step::On
        })
    }
}

/// What came of some spans.
enum Step {
    /// It is made, or goes on.
    On,
    /// It was told to stop.
    Stopped,
}
