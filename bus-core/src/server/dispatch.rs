//! From a request to its handler: a query runs in the task of its delivery, a command in a task of
//! its own, under a claim or, if its handler keeps the record, without one.

use super::{
    request::Request,
    service::{Payload, Service},
};
use crate::{
    cache::Outdates,
    call_id::CallId,
    contract::{MethodContract, MethodKind},
    error::FaultCode,
    flight::Flights,
    job::RunningJobs,
    limits::CALL_TIMEOUT_MAX,
    presence::Seen,
    reply::ReplyStore,
    retry::Retries,
    work::{
        Answer, AnswerFuture, Command, Job, LeaseWatch, UnclaimedCommand, claim_of_signed,
        command_claim, fingerprint, panicked,
    },
};
use futures_util::{FutureExt, future::Either};
use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// The innermost service: runs handlers.
pub(super) struct Dispatch {
    pub(super) service: Arc<dyn Service>,
    /// The queue it is served from, without the namespace.
    pub(super) queue: Arc<str>,
    pub(super) store: Arc<dyn ReplyStore>,
    pub(super) leases: Arc<LeaseWatch>,
    pub(super) flights: Flights,
    /// Fired when deliveries are given back.
    pub(super) leaving: CancellationToken,
    pub(super) running_jobs: Arc<RunningJobs>,
    /// Whether others see the instance.
    pub(super) seen: Arc<Seen>,
}

impl Dispatch {
    /// Runs the handler of a request.
    pub(super) fn run(&self, request: Request) -> impl Future<Output = Answer> + Send + use<> {
        match request.method.kind {
            MethodKind::Query => Either::Left(self.query(request)),
            MethodKind::Command => Either::Right(if request.method.own_record {
                Either::Left(self.unclaimed(request))
            } else {
                Either::Right(self.command(request))
            }),
        }
    }

    /// A query runs in the task of its delivery, and is dropped at its deadline.
    fn query(&self, request: Request) -> impl Future<Output = Answer> + Send + use<> {
        let service = Arc::clone(&self.service);
        let Request {
            context,
            position,
            payload,
            ..
        } = request;
        async move {
            let until = context
                .deadline()
                .unwrap_or_else(|| Instant::now() + CALL_TIMEOUT_MAX);
            // Called within the scope: what it does before its future is part of the call.
            let handler = async move { service.dispatch(position, payload).await };
            let caught = AssertUnwindSafe(context.scope(handler)).catch_unwind();
            match timeout_at(until, caught).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => panicked(),
                Err(_) => Answer::fault(FaultCode::TimedOut, "the handler did not finish in time"),
            }
        }
    }

    /// A command whose handler keeps the record.
    fn unclaimed(&self, request: Request) -> impl Future<Output = Answer> + Send + use<> {
        let service = Arc::clone(&self.service);
        let outdates = self.outdates(request.method);
        let Request {
            context,
            position,
            payload,
            start_by,
            run,
            retries,
            ..
        } = request;
        let command = UnclaimedCommand {
            context,
            start_by,
            leaving: self.leaving.clone(),
        };
        command.start(run, move || {
            handle(service, position, payload, retries, outdates)
        })
    }

    /// The command, if answers that are kept are untrue after it.
    fn outdates(&self, method: &'static MethodContract) -> Option<Box<Outdates>> {
        (!method.invalidates.is_empty()).then(|| {
            Box::new(Outdates {
                store: Arc::clone(&self.store),
                queue: Arc::clone(&self.queue),
                service: self.service.contract().name,
                method,
            })
        })
    }

    fn command(&self, request: Request) -> impl Future<Output = Answer> + Send + use<> {
        let service = Arc::clone(&self.service);
        let id = request.context.call_id().unwrap_or_else(CallId::new);
        let Request {
            context,
            position,
            method,
            mut payload,
            deadline_named,
            start_by,
            is_signed,
            run,
            begun,
            retries,
            ..
        } = request;
        let outdates = self.outdates(method);
        let claim = command_claim(
            &self.queue,
            method.name,
            context.idempotency_key(),
            id,
            deadline_named,
            fingerprint(payload.content_type, &payload.body),
        );
        let claim = match is_signed {
            true => claim_of_signed(claim, deadline_named, method.job.is_some()),
            false => claim,
        };
        let command = Command {
            store: Arc::clone(&self.store),
            leases: Arc::clone(&self.leases),
            claim,
            context,
            id,
            content_type: payload.content_type,
            start_by,
            errors_count: true,
            begun,
            flights: self.flights.clone(),
            seen: Some(Arc::clone(&self.seen)),
            leaving: self.leaving.clone(),
            job: method.job.map(|_| {
                Box::new(Job {
                    time: method.longest(),
                    running: Arc::clone(&self.running_jobs),
                })
            }),
        };
        // What the layers took counts, and not what the claim takes.
        let layers = payload.begun.map(|begun| begun.elapsed());
        command.start(run, move || {
            payload.begun = layers.and_then(|layers| Instant::now().checked_sub(layers));
            handle(service, position, payload, retries, outdates)
        })
    }
}

/// Calls the handler of a command, more than once if it may be put off, and says then which kept
/// answers are untrue after it.
fn handle(
    service: Arc<dyn Service>,
    position: usize,
    payload: Payload,
    retries: Option<Arc<Retries>>,
    outdates: Option<Box<Outdates>>,
) -> AnswerFuture {
    let run = move |payload: Payload| -> AnswerFuture {
        match retries {
            None => service.dispatch(position, payload),
            Some(retries) => {
                Box::pin(retries.run(move || service.dispatch(position, payload.clone())))
            }
        }
    };
    match outdates {
        None => run(payload),
        Some(outdates) => outdates.after(payload, run),
    }
}
