//! The count of deliveries that were begun and never ended: it survives the worker, so that a
//! message that kills its workers is not delivered for ever.
//!
//! A message is counted from its second delivery on, before anything of it is run, and the first
//! pays nothing. The count is kept where claims are, as a claim that is never finished: the runs
//! that did not end are its attempts, and one that ended gives it up.

use super::{
    Answer, FinishedRun, RunEnd,
    lease::Lease,
    lease_watch::{LeaseWatch, Watched},
    redelivery_claim,
};
use crate::{
    call_id::CallId,
    error::FaultCode,
    flight::Flights,
    limits::ATTEMPTS_MAX,
    message::Message,
    reply::{Claim, ReplyStore},
};
use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};
use tokio_util::sync::CancellationToken;

/// Counts the redeliveries of one queue.
#[derive(Debug, Clone)]
pub(crate) struct Redeliveries {
    store: Arc<dyn ReplyStore>,
    leases: Arc<LeaseWatch>,
    /// Without the namespace.
    queue: String,
}

/// A delivery that has begun, as far as that is counted. Its clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begun(Option<Arc<Counted>>);

/// The count of one delivery. Dropped, it takes the delivery back, unless that is for a panic: its
/// message is given back then, to be delivered again at once.
#[derive(Debug)]
struct Counted(Mutex<Option<Hold>>);

#[derive(Debug, Clone)]
struct Hold {
    store: Arc<dyn ReplyStore>,
    claim: Claim,
    id: CallId,
    watched: Watched,
}

impl Redeliveries {
    /// The count of `queue`, without the namespace.
    pub(crate) fn new(store: Arc<dyn ReplyStore>, leases: Arc<LeaseWatch>, queue: String) -> Self {
        Self {
            store,
            leases,
            queue,
        }
    }

    /// Counts a message that was delivered before and is about to be begun again. Returns which
    /// run of it that is, or the end of one that was begun too often. `name` is the call or event
    /// that the message names; without one its bytes must do, and of messages with equal bytes one
    /// runs at a time: `cancel` tells it that another has begun.
    pub(crate) async fn begin(
        &self,
        message: &Message,
        name: Option<CallId>,
        until: Instant,
        cancel: &CancellationToken,
    ) -> Result<(Begun, u32), FinishedRun> {
        let claim = redelivery_claim(&self.queue, name, message);
        let id = name.unwrap_or_else(CallId::new);
        let watched = match is_exclusive(&claim) {
            true => self.leases.place(&claim, id, cancel),
            false => Watched::default(),
        };
        let hold = Hold {
            store: Arc::clone(&self.store),
            claim,
            id,
            watched,
        };
        let count = hold.lease().take(until, Duration::MAX, || false).await?;
        // The first delivery was not counted.
        if count >= ATTEMPTS_MAX {
            hold.lease().release().await;
            let text = format!("it was delivered {ATTEMPTS_MAX} times, and never settled");
            return Err(FinishedRun {
                answer: Answer::fault(FaultCode::Interrupted, text),
                end: RunEnd::Started,
            });
        }
        let counted = Counted(Mutex::new(Some(hold)));
        Ok((Begun(Some(Arc::new(counted))), count + 1))
    }
}

impl Begun {
    /// `true` of a delivery that is not the first.
    pub(crate) fn is_counted(&self) -> bool {
        self.0.is_some()
    }

    /// Does a part of what has begun. Meanwhile no message with equal bytes is begun, if that is
    /// what it is known by.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        match self.hold().filter(|hold| is_exclusive(&hold.claim)) {
            None => work.await,
            Some(hold) => {
                let lease = hold.lease();
                tokio::select! {
                    biased;
                    done = work => done,
                    never = lease.renew() => match never {},
                }
            }
        }
    }

    /// Ends the count of a delivery that is counted by a claim of its own from here on.
    pub(crate) async fn is_claimed(&self) {
        if self.hold().is_some_and(|hold| !is_exclusive(&hold.claim)) {
            self.end().await;
        }
    }

    /// Ends the count: the delivery came to its end.
    pub(crate) async fn end(&self) {
        let hold = self.0.as_ref().and_then(|counted| counted.lock().take());
        if let Some(hold) = hold {
            hold.lease().release().await;
        }
    }

    fn hold(&self) -> Option<Hold> {
        self.0.as_ref()?.lock().clone()
    }
}

impl Counted {
    fn lock(&self) -> MutexGuard<'_, Option<Hold>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    fn lease(&self) -> Lease<'_> {
        Lease {
            store: self.store.as_ref(),
            claim: &self.claim,
            id: self.id,
            // It counts, and is no claim on a command.
            flights: Flights::OFF,
            seen: None,
            watched: self.watched.clone(),
        }
    }
}

/// `true` if a claim holds off others, rather than only to count.
fn is_exclusive(claim: &Claim) -> bool {
    claim.lease > Duration::ZERO
}

impl Drop for Counted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let hold = self.lock().take();
        if let (Some(hold), Ok(runtime)) = (hold, Handle::try_current()) {
            runtime.spawn(async move { hold.lease().release().await });
        }
    }
}
