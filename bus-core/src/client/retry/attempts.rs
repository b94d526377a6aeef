//! The attempts of one call: one after the other, and of a slow query two at once.

use super::RetryBudget;
use crate::{
    client::{CallOutcome, CallRequest, CallResponse, ClientService},
    contract::{MethodKind, RetryPolicy},
    error::{BoxError, CallFailure, FailureKind},
    wire::ReplyFrame,
};
use futures_util::FutureExt;
use std::{
    future::{pending, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};
use tower::{ServiceExt, util::Oneshot};

type Attempt = Pin<Box<Oneshot<ClientService, CallRequest>>>;

type Ended = Result<CallResponse, BoxError>;

/// One call, to be made as often as it takes and may.
pub(super) struct Attempts {
    pub(super) inner: ClientService,
    pub(super) request: CallRequest,
    pub(super) policy: RetryPolicy,
    pub(super) budget: RetryBudget,
    pub(super) hedge_after: Option<Duration>,
}

impl Attempts {
    /// Returns the first answer, or the failure after which there is no other attempt.
    pub(super) async fn run(self) -> Ended {
        let mut pending = vec![self.attempt()];
        let mut hedge_at = self.hedge_after.map(|after| Instant::now() + after);
        let mut failed = 0;
        loop {
            let ended = tokio::select! {
                biased;
                ended = poll_fn(|cx| poll_any(&mut pending, cx)) => ended,
                () = at(hedge_at) => {
                    hedge_at = None;
                    if self.may_try("hedge") {
                        pending.push(self.attempt());
                    }
                    continue;
                }
            };
            if !self.is_to_be_repeated(&ended) {
                return ended;
            }
            if !pending.is_empty() {
                // Its twin has the call's place for replies back, and may be answered yet.
                continue;
            }
            failed += 1;
            let pause = self.policy.pause(failed) + retry_after(&ended);
            let is_late = Instant::now() + pause >= self.request.deadline();
            if failed > self.policy.max || is_late || !self.may_try("retry") {
                return ended;
            }
            drop(ended);
            sleep(pause).await;
            pending.push(self.attempt());
        }
    }

    /// Copies of one call: they share its id and its deadline.
    fn attempt(&self) -> Attempt {
        Box::pin(self.inner.clone().oneshot(self.request.clone()))
    }

    fn is_to_be_repeated(&self, ended: &Ended) -> bool {
        let CallOutcome::Failed {
            kind,
            may_have_executed,
        } = CallOutcome::of(ended)
        else {
            return false;
        };
        // What another attempt would meet as well is left out.
        let passes = matches!(
            kind,
            FailureKind::Overloaded
                | FailureKind::Disconnected
                | FailureKind::TimedOut
                | FailureKind::Layer
        );
        passes && (self.request.kind() == MethodKind::Query || !may_have_executed)
    }

    /// Pays for one more attempt, if the budget allows.
    fn may_try(&self, why: &'static str) -> bool {
        let paid = self.budget.spend();
        let outcome = if paid { why } else { "no_budget" };
        let service = self.request.service();
        metrics::counter!("replybus_retries_total", "service" => service, "outcome" => outcome)
            .increment(1);
        paid
    }
}

/// The time before which a service that is overloaded asks for no other attempt.
fn retry_after(ended: &Ended) -> Duration {
    let named = match ended {
        Ok(response) => match response.reply() {
            Some((_, ReplyFrame::Fault(fault))) => fault.retry_after,
            _ => None,
        },
        Err(error) => error
            .downcast_ref::<CallFailure>()
            .and_then(CallFailure::retry_after),
    };
    named.unwrap_or_default()
}

/// Polls all: when one ends another has its place for replies, and has to notice.
fn poll_any(attempts: &mut Vec<Attempt>, cx: &mut Context<'_>) -> Poll<Ended> {
    for position in 0..attempts.len() {
        if let Some(attempt) = attempts.get_mut(position)
            && let Poll::Ready(ended) = attempt.poll_unpin(cx)
        {
            drop(attempts.swap_remove(position));
            return Poll::Ready(ended);
        }
    }
    Poll::Pending
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
