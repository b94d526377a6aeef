//! The end of whoever wants to know how far a job is.

use super::Progress;
use crate::{
    bus::BusInner,
    call_id::CallId,
    limits::PROGRESS_EVERY,
    reply::{CommandRecord, StoreError},
};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// The longest pause between two looks at a job that says nothing new.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(2);

/// The state of a submitted call; see [`Ticket::status`](crate::Ticket::status).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketStatus {
    /// It was not started, as far as is known: its message waits in the queue, or it is a query or a
    /// command that keeps its own record, of which nothing is known until it is done.
    Waiting,
    /// It was started, and is not done.
    #[non_exhaustive]
    Running {
        /// Counts the runs that were started.
        attempt: u32,
        /// Its worker gives signs of life. If not for long, another begins it anew.
        is_alive: bool,
        /// What it said last of how far it is.
        progress: Option<Progress>,
    },
    /// It is done: [`wait`](crate::Ticket::wait) has its reply at once.
    Done,
}

/// Looks at one call, over and over.
pub(crate) struct Watch {
    bus: Arc<BusInner>,
    id: CallId,
    /// Of its claim, if it is asked for one.
    key: Option<String>,
    until: Instant,
    newest: Option<Progress>,
    was_started: bool,
    pause: Duration,
}

impl Watch {
    /// A look at the call `id`, with this key of its claim, until it would be over in any case.
    pub(crate) fn new(bus: Arc<BusInner>, id: CallId, key: Option<String>, until: Instant) -> Self {
        Self {
            bus,
            id,
            key,
            until,
            newest: None,
            was_started: false,
            pause: PROGRESS_EVERY,
        }
    }

    /// The state of the call now.
    pub(crate) async fn status(&self) -> Result<TicketStatus, StoreError> {
        let store = &self.bus.replies;
        let record = match &self.key {
            Some(key) => store.record(key).await?,
            None => None,
        };
        Ok(match record {
            Some(CommandRecord::Running {
                attempt,
                lease_left,
                progress,
            }) => TicketStatus::Running {
                attempt,
                is_alive: !lease_left.is_zero(),
                progress: progress.and_then(|noted| Progress::decode(&noted)),
            },
            Some(CommandRecord::Done(_)) => TicketStatus::Done,
            None if store.fetch(self.id).await?.is_some() => TicketStatus::Done,
            None => TicketStatus::Waiting,
        })
    }

    /// What is said next of how far it is; `None` when it is over.
    pub(crate) async fn next(&mut self) -> Option<Progress> {
        loop {
            match self.status().await {
                Ok(TicketStatus::Running { progress, .. }) => {
                    self.was_started = true;
                    if progress.is_some() && progress != self.newest {
                        self.pause = PROGRESS_EVERY;
                        self.newest.clone_from(&progress);
                        return progress;
                    }
                }
                Ok(TicketStatus::Done) => return None,
                // Forgotten.
                Ok(TicketStatus::Waiting) if self.was_started => return None,
                Ok(TicketStatus::Waiting) => {}
                Err(error) => tracing::debug!(%error, call_id = %self.id, "looking again"),
            }
            tokio::select! {
                biased;
                () = self.bus.closed.cancelled() => return None,
                () = sleep_until(self.until) => return None,
                () = sleep(self.pause) => self.pause = (self.pause * 2).min(LOOK_AGAIN_MAX),
            }
        }
    }
}

/// What a job says of how far it is, as it says it; see [`Ticket::progress`](crate::Ticket::progress).
///
/// It ends when the job is done, when its time is over, or when the bus is closed. What came between
/// two looks is left out, and the last word may be. A look every
/// [`PROGRESS_EVERY`](crate::limits::PROGRESS_EVERY), and every 2 s when there is nothing new.
pub struct ProgressUpdates(BoxStream<'static, Progress>);

impl ProgressUpdates {
    pub(crate) fn of(watch: Watch) -> Self {
        let updates = futures_util::stream::unfold(watch, |mut watch| async move {
            let progress = watch.next().await?;
            Some((progress, watch))
        });
        Self(updates.boxed())
    }

    /// What it says next; `None` when it is over.
    ///
    /// # Cancel safety
    /// Safe: nothing is left out by it.
    pub async fn next(&mut self) -> Option<Progress> {
        self.0.next().await
    }
}

impl Stream for ProgressUpdates {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for ProgressUpdates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressUpdates").finish_non_exhaustive()
    }
}
