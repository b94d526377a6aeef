//! The service's end: a queue of its own, and what is done about what comes through it.

use super::{
    Answers, EXCHANGE, ServedCalls, Watches, cancel, control_queue, held::HeldCalls, verb::Verb,
    watch,
};
use crate::{
    bus::Bus,
    job::RunningJobs,
    limits::{CONTROL_MESSAGES_MAX, CONTROL_PREFETCH, CONTROL_QUEUE_EXPIRES},
    message::Message,
    presence::{Profile, Seen},
    stream::Producers,
    transport::{Binding, Deliveries, QueueSpec, Settled, Source, Transport},
    wire::stream::{CREDIT, Credit},
};
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The control line of one service, and the calls and streams that it is about. Dropped, its queue is
/// removed.
#[derive(Debug)]
pub(crate) struct ControlLine {
    calls: Arc<HeldCalls>,
    served: Arc<ServedCalls>,
    watches: Arc<Watches>,
    running_jobs: Arc<RunningJobs>,
    profile: Arc<Profile>,
    producers: Arc<Producers>,
    /// `None` if nothing is heard. Dropped, it ends the listener.
    stop: Option<DropGuard>,
}

struct Listener {
    transport: Arc<dyn Transport>,
    queue: String,
    binding: Binding,
    calls: Arc<HeldCalls>,
    answers: Arc<Answers>,
    producers: Arc<Producers>,
}

impl ControlLine {
    /// Opens the line of an instance that takes its requests from `served`, a queue of `bus`. If the
    /// broker does not allow it nothing is heard, and the service does its work all the same.
    pub(crate) async fn open(bus: &Bus, served: &str, answers: Answers) -> Self {
        let calls = Arc::new(HeldCalls::default());
        // Of nobody else, and not so in name only: one that is exclusive could not be had again
        // after a lost connection, until the broker has noticed the loss as well.
        let queue = bus.name(&control_queue(answers.profile.id()));
        let producers = Arc::new(Producers::new(bus, queue.as_str().into()));
        Self {
            served: Arc::clone(&answers.served),
            watches: Arc::clone(&answers.watches),
            running_jobs: Arc::clone(&answers.running_jobs),
            profile: Arc::clone(&answers.profile),
            stop: Self::listen(bus, served, queue, &calls, &producers, answers).await,
            calls,
            producers,
        }
    }

    /// `true` if anything is heard.
    pub(crate) fn is_open(&self) -> bool {
        self.stop.is_some()
    }

    /// The streams that the service produces.
    pub(crate) fn producers(&self) -> &Producers {
        &self.producers
    }

    /// The calls that the service holds.
    pub(crate) fn calls(&self) -> &Arc<HeldCalls> {
        &self.calls
    }

    /// Whether others see the instance.
    pub(crate) fn seen(&self) -> &Arc<Seen> {
        self.profile.seen()
    }

    /// What the instance has done.
    pub(crate) fn served(&self) -> &ServedCalls {
        &self.served
    }

    /// Those who watch what it does.
    pub(crate) fn watches(&self) -> &Watches {
        &self.watches
    }

    /// The jobs that it runs.
    pub(crate) fn running_jobs(&self) -> &Arc<RunningJobs> {
        &self.running_jobs
    }

    async fn listen(
        bus: &Bus,
        served: &str,
        queue: String,
        calls: &Arc<HeldCalls>,
        producers: &Arc<Producers>,
        answers: Answers,
    ) -> Option<DropGuard> {
        let inner = bus.inner();
        let spec = QueueSpec::new(&queue)
            .length_max(CONTROL_MESSAGES_MAX)
            .expires(CONTROL_QUEUE_EXPIRES);
        let binding = Binding::new(bus.name(EXCHANGE), bus.name(served));
        let source = Source::new(spec, CONTROL_PREFETCH).bind(binding.clone());
        let deliveries = match inner.transport.consume(source).await {
            Ok(deliveries) => deliveries,
            Err(error) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(
                    served,
                    %error,
                    reason,
                    "no control line: calls that are dropped run to their end, and nothing is answered"
                );
                return None;
            }
        };
        let listener = Listener {
            transport: Arc::clone(&inner.transport),
            queue,
            binding,
            calls: Arc::clone(calls),
            answers: Arc::new(answers),
            producers: Arc::clone(producers),
        };
        let stop = CancellationToken::new();
        inner.tasks.spawn(listener.listen(deliveries, stop.clone()));
        Some(stop.drop_guard())
    }
}

impl Listener {
    async fn listen(self, mut deliveries: Box<dyn Deliveries>, stop: CancellationToken) {
        while let Some(Some(delivery)) = stop.run_until_cancelled(deliveries.next()).await {
            self.hear(&delivery.message);
            delivery.settler.settle(Settled::Ack);
        }
        deliveries.stop().await;
        drop(deliveries);
        // What can't be removed now expires.
        let bindings = [self.binding];
        let removed = self.transport.remove(&self.queue, &bindings, true).await;
        if let Err(error) = removed {
            tracing::debug!(queue = self.queue, %error, "a control queue is left to expire");
        }
    }

    /// Does what a message asks for, by its type. One that is not known is passed over: it is from a
    /// later version, or from anybody.
    fn hear(&self, message: &Message) {
        let kind = message.properties.kind.as_deref().unwrap_or_default();
        if kind == cancel::KIND {
            for call in cancel::read(message) {
                self.calls.cancel(call.id, call.deadline);
                self.producers.cancel(call.id);
            }
        } else if kind == CREDIT {
            for credit in Credit::read(message) {
                self.producers.credit(credit);
            }
        } else if kind == watch::KIND {
            self.answers.watch(message);
        } else if let Some(verb) = Verb::of(kind) {
            self.answers.hear(verb, message);
        }
    }
}
