//! The lease on a claim: asked for until it is given, renewed while a command runs, given up when
//! there is nothing to record.

use super::{Answer, FinishedRun, Pauses, RunEnd, lease_watch::Watched};
use crate::{
    call_id::CallId,
    error::FaultCode,
    flight::{FlightStep, Flights},
    limits::CLAIM_LEASE,
    presence::Seen,
    reply::{Claim, Claimed, ReplyStore, StoreError},
};
use std::{borrow::Cow, convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep};

/// First and longest pause before a claim is asked for again.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(5);
const ASK_AGAIN_MAX: Duration = Duration::from_millis(500);

/// Pause before a claim that could not be renewed is renewed again.
const RENEW_AGAIN: Duration = Duration::from_millis(100);

/// The hold of one run on its claim.
pub(super) struct Lease<'a> {
    pub(super) store: &'a dyn ReplyStore,
    pub(super) claim: &'a Claim,
    /// The call, for the log.
    pub(super) id: CallId,
    /// Where it is recorded that another has the claim.
    pub(super) flights: &'a Flights,
    /// Whether others see the instance that runs it, if somebody calls it.
    pub(super) seen: Option<&'a Seen>,
    /// Its place among those that are looked after in case they don't get to it themselves.
    pub(super) watched: Watched,
}

impl Lease<'_> {
    /// Asks for the claim until it is given, answered or refused, or nobody waits any more, or
    /// `until` is over, or another has had it for all of `patience`; at least once. Returns the
    /// attempt.
    pub(super) async fn take(
        &self,
        until: Instant,
        patience: Duration,
        is_abandoned: impl Fn() -> bool,
    ) -> Result<u32, FinishedRun> {
        let refused = |code, text, end| FinishedRun {
            answer: Answer::fault(code, text),
            end,
        };
        let mut pauses = Pauses::new(ASK_AGAIN_MIN, ASK_AGAIN_MAX);
        let mut running = false;
        let mut claim = Cow::Borrowed(self.claim);
        let since = Instant::now();
        loop {
            let (asked, asked_at) = (std::time::Instant::now(), Instant::now());
            let claimed = self.store.claim(&claim).await;
            if let (Ok(Claimed::Run { .. }), Some(seen)) = (&claimed, self.unsure()) {
                // The store is back: what was given up can be known by now, and withdraws this run.
                Box::pin(seen.again()).await;
            }
            // One without a lease only counts.
            let lease = self.claim.lease;
            let has_lapsed = !lease.is_zero() && asked_at.elapsed() >= lease;
            // What was true when the store was asked says little of what is now.
            let is_old = claimed.is_ok() && asked_at.elapsed() > ASK_AGAIN_MAX;
            match claimed {
                Ok(Claimed::Run { attempt }) if !has_lapsed => {
                    self.watched.holds_since(asked);
                    return Ok(attempt);
                }
                Ok(Claimed::Run { .. }) => {
                    tracing::warn!(
                        id = %self.id,
                        "a claim was given longer ago than it lives: this process stood still, and \
                         asks whether another has it by now",
                    );
                }
                Ok(Claimed::Done(frame)) => {
                    let answer = Answer::decode(frame);
                    let end = match answer.as_fault() {
                        Some(fault) if fault.says_never_started() => RunEnd::Undone,
                        _ => RunEnd::Started,
                    };
                    return Err(FinishedRun { answer, end });
                }
                Ok(Claimed::Conflict) => {
                    let text = "the idempotency key was used for another request";
                    return Err(refused(FaultCode::KeyConflict, text, RunEnd::Undone));
                }
                Ok(Claimed::Expired) => {
                    tracing::warn!(
                        id = %self.id,
                        "a command is too late by the clock of the store, and was not by ours: it \
                         was held up, or they differ",
                    );
                    let text = "its time had passed long before it was started";
                    return Err(refused(FaultCode::Expired, text, RunEnd::Unknown));
                }
                Ok(Claimed::Running) => {
                    if !running {
                        self.flights.note(self.id, || FlightStep::WaitsForRun);
                    }
                    running = true;
                    claim.to_mut().waiting = true;
                }
                Err(error) => {
                    tracing::warn!(id = %self.id, %error, "asking for the claim again");
                }
            }
            let pause = pauses.next();
            let is_late = Instant::now() + pause > until;
            if is_late && is_old && asked_at < until && !is_abandoned() {
                continue;
            }
            let no_longer = running && since.elapsed() > patience;
            if no_longer || is_late || is_abandoned() {
                return Err(if running {
                    // A claim that was held for longer than it lives was renewed meanwhile.
                    let text = if since.elapsed() > self.claim.lease {
                        "an earlier run of it was still going when the time was up"
                    } else {
                        "an earlier run of it had not ended when the time was up, and its claim \
                         had not lapsed: it goes on, or its worker died a moment ago"
                    };
                    refused(FaultCode::TimedOut, text, RunEnd::Elsewhere)
                } else {
                    let text = "the claim could not be taken";
                    refused(FaultCode::Overloaded, text, RunEnd::Unknown)
                });
            }
            sleep(pause).await;
        }
    }

    fn unsure(&self) -> Option<&Seen> {
        self.seen.filter(|seen| !seen.is_sure())
    }

    /// Renews the claim for as long as it is polled. If another run has it by now, the handler is
    /// told so.
    pub(super) async fn renew(&self) -> Infallible {
        let every = CLAIM_LEASE / 3;
        let mut pause = every;
        loop {
            sleep(pause).await;
            let asked = std::time::Instant::now();
            pause = match self.store.renew(self.claim).await {
                Ok(true) => {
                    self.watched.holds_since(asked);
                    every
                }
                Ok(false) => {
                    self.watched.lost();
                    return std::future::pending().await;
                }
                Err(error) => {
                    if pause == every {
                        tracing::warn!(id = %self.id, %error, "a claim was not renewed");
                    }
                    RENEW_AGAIN
                }
            };
        }
    }

    /// Gives the claim up for a run that did nothing: the attempt does not count.
    pub(super) async fn release(&self) {
        self.watched.ended().await;
        self.gave_up(self.store.release(self.claim).await);
    }

    /// Gives the claim up for a run that came to no outcome: the attempt counts.
    pub(super) async fn lapse(&self) {
        self.watched.ended().await;
        self.gave_up(self.store.lapse(self.claim).await);
    }

    fn gave_up(&self, given_up: Result<(), StoreError>) {
        if let Err(error) = given_up {
            tracing::debug!(id = %self.id, %error, "a claim was left to lapse");
        }
    }
}
