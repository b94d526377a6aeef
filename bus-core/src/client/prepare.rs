//! From a call as its caller built it to the request that passes the layers: its times, its place in
//! a trace, what it inherits; or why it can't be sent.

use super::{
    Call, ServiceClient,
    cancel::CancelTarget,
    copies::Copies,
    request::{CallInfo, CallRequest, Verb},
};
use crate::{
    call_id::CallId,
    context::Context,
    contract::{Outcome, check_key, unix_time},
    error::{BoxError, CallFailure, FailureKind},
    limits::{CALL_TIMEOUT_MAX, SEND_TTL},
    schedule::When,
    trace::Carried,
};
use std::time::Duration;
use tokio::time::Instant;

impl<R: Outcome> Call<R> {
    pub(crate) fn prepare(
        self,
        verb: Verb,
        when: When,
    ) -> Result<(ServiceClient, CallRequest), CallFailure> {
        let id = CallId::new();
        let started = Instant::now();
        let contract = self.client.contract();
        let context = Context::current();
        let Times { wait, ttl, longest } = self.times(verb);
        let deadline = [self.deadline, context.deadline()]
            .into_iter()
            .flatten()
            .fold(started + wait, Instant::min)
            // A deadline in the past leaves no time, not less than none.
            .max(started);
        let info = CallInfo {
            service: contract.name.into(),
            method: self.method.name.into(),
            id,
            started,
            timeout: deadline - started,
        };
        let not_sent = |source: BoxError| info.failure(FailureKind::NotSent).with_cause(source);
        if let Some(error) = self.refused {
            return Err(not_sent(error));
        }
        if let Some(given) = self.timeout.filter(|given| *given > longest) {
            return Err(not_sent(TimeoutTooLong { given, longest }.into()));
        }
        let due = when.due().map_err(|error| not_sent(error.into()))?;
        if let Some(key) = &self.idempotency_key {
            check_key(key).map_err(|error| not_sent(error.into()))?;
        }
        let key = self.has_key.then_some(self.key);
        let (queue, lanes) = self.client.way(key).map_err(not_sent)?;
        if let Some(slot) = &self.cancel {
            let target = CancelTarget {
                info: info.clone(),
                queue: self.client.queue_name().clone(),
                idempotency_key: self.idempotency_key.clone(),
                is_recorded: self.method.is_claimed(),
                may_be_put_off: self.method.retry.is_some(),
                is_delayed: due.is_some(),
                awaited_until: (verb == Verb::Call).then_some(deadline),
                startable_for: due.map_or(started, |due| due.at) + ttl - started,
            };
            if !slot.make(target) {
                return Err(info.failure(FailureKind::Cancelled));
            }
        }
        let body = self.body.map_err(|error| not_sent(error.into()))?;
        let mut metadata = context.metadata().clone();
        for (name, value) in self.metadata {
            metadata
                .insert(name, value)
                .map_err(|error| not_sent(error.into()))?;
        }
        let request = CallRequest {
            contract,
            method: self.method,
            queue,
            verb,
            waits_for_service: self.waits_for_service,
            anew: self.anew,
            priority: self.priority.unwrap_or(context.priority()),
            content_type: self.client.content_type(),
            window: 0,
            key: self.key,
            body,
            started,
            deadline_at: wall_clock(deadline - started),
            ttl,
            due: due.map(Box::new),
            idempotency_key: self.idempotency_key,
            metadata,
            carried: Carried::from(&context, id),
            copies: Copies::new(id, deadline, lanes, verb == Verb::Call),
        };
        Ok((self.client, request))
    }

    fn times(&self, verb: Verb) -> Times {
        let of_method = self.client.contract().timeout(self.method);
        let of_method = of_method.min(CALL_TIMEOUT_MAX);
        match verb {
            Verb::Call => {
                let longest = self.method.longest();
                // Whoever awaits a job has the time for it.
                let of_method = match self.method.timeout {
                    None if self.method.job.is_some() => longest,
                    _ => of_method,
                };
                let wait = self.timeout.unwrap_or(of_method).min(longest);
                Times {
                    wait,
                    ttl: wait,
                    longest,
                }
            }
            Verb::Send | Verb::Submit => Times {
                wait: of_method,
                ttl: self.timeout.unwrap_or(SEND_TTL).min(SEND_TTL),
                longest: SEND_TTL,
            },
        }
    }
}

/// The times of a call, by its options and its method.
struct Times {
    /// How long its caller waits: for the reply, or for the broker's word.
    wait: Duration,
    /// How long it may wait to be started.
    ttl: Duration,
    /// The longest that either may be set to.
    longest: Duration,
}

/// The moment so long from now, in milliseconds since the Unix epoch.
fn wall_clock(from_now: Duration) -> u64 {
    let at = unix_time() + from_now;
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

/// A timeout of which only a part could be given.
#[derive(Debug, thiserror::Error)]
#[error("timeout: {given:?}, up to {longest:?} is allowed")]
struct TimeoutTooLong {
    given: Duration,
    longest: Duration,
}
