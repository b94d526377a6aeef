//! The queues and exchanges of a broker in this process, and the way of a message to a queue.

use super::{
    queue::Queue,
    topic::{TopicPattern, words},
};
use crate::{
    error::SetupError,
    message::Message,
    transport::{Binding, QueueSpec, Removal, Verdict},
};
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// All queues and bindings of one broker.
#[derive(Default)]
pub(super) struct Topology {
    queues: HashMap<String, Arc<Queue>>,
    exchanges: HashMap<String, Vec<Bound>>,
}

/// A queue bound to an exchange, once, however many patterns it is bound with.
struct Bound {
    queue: Arc<Queue>,
    patterns: Vec<TopicPattern>,
}

impl Topology {
    /// The queue of that name.
    pub(super) fn queue(&self, name: &str) -> Option<&Arc<Queue>> {
        self.queues.get(name)
    }

    /// All queues.
    pub(super) fn queues(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.queues.values()
    }

    /// Declares a queue, as new or as it is.
    pub(super) fn declare(&mut self, spec: QueueSpec) -> Result<Arc<Queue>, SetupError> {
        let Some(queue) = self.queues.get(&spec.name) else {
            let queue = Arc::new(Queue::new(spec));
            self.queues
                .insert(queue.spec.name.clone(), Arc::clone(&queue));
            return Ok(queue);
        };
        if spec.or_existing || arguments(&queue.spec) == arguments(&spec) {
            return Ok(Arc::clone(queue));
        }
        Err(SetupError::Topology {
            what: format!("queue `{}`", spec.name),
            reason: format!(
                "it exists with {}, and is declared with {}: use the arguments it has",
                arguments(&queue.spec),
                arguments(&spec),
            ),
        })
    }

    /// Removes a queue and its bindings, unless that is not allowed in its state.
    pub(super) fn remove(&mut self, name: &str, discard_messages: bool) -> Removal {
        let Some(queue) = self.queues.get(name) else {
            return Removal::Missing;
        };
        let state = queue.inspect();
        if !Removal::is_allowed(state, discard_messages) {
            return Removal::Kept(state);
        }
        for bounds in self.exchanges.values_mut() {
            bounds.retain(|bound| bound.queue.spec.name != name);
        }
        self.queues.remove(name);
        Removal::Removed
    }

    /// Binds a queue to an exchange.
    pub(super) fn bind(&mut self, queue: &Arc<Queue>, binding: Binding) -> Result<(), SetupError> {
        if binding.exchange.is_empty() {
            return Err(SetupError::Topology {
                what: format!("binding of queue `{}`", queue.spec.name),
                reason: "the default exchange takes no bindings: name an exchange".to_owned(),
            });
        }
        let pattern = TopicPattern::new(&binding.routing_key);
        let bounds = self.exchanges.entry(binding.exchange).or_default();
        match bounds
            .iter_mut()
            .find(|bound| Arc::ptr_eq(&bound.queue, queue))
        {
            Some(bound) if bound.patterns.contains(&pattern) => {}
            Some(bound) => bound.patterns.push(pattern),
            None => bounds.push(Bound {
                queue: Arc::clone(queue),
                patterns: vec![pattern],
            }),
        }
        Ok(())
    }

    /// Stores a message in every queue it reaches. As on RabbitMQ, one full queue among several
    /// makes the verdict [`Verdict::Refused`], and the others keep the message.
    pub(super) fn route(
        &self,
        message: Message,
        expires: Option<Instant>,
        mandatory: bool,
    ) -> Verdict {
        let (mut reached, mut refused) = (false, false);
        let mut push = |queue: &Queue, message| {
            reached = true;
            refused |= !queue.push(message, expires);
        };
        if message.exchange.is_empty() {
            if let Some(queue) = self.queues.get(&*message.routing_key) {
                push(queue, message);
            }
        } else if let Some(bounds) = self.exchanges.get(&*message.exchange) {
            let key = words(&message.routing_key);
            for bound in bounds {
                if bound.patterns.iter().any(|pattern| pattern.matches(&key)) {
                    push(&bound.queue, message.clone());
                }
            }
        }
        match (reached, refused) {
            (false, _) if mandatory => Verdict::Unroutable,
            (_, true) => Verdict::Refused,
            _ => Verdict::Confirmed,
        }
    }
}

/// The arguments of a queue in words.
fn arguments(spec: &QueueSpec) -> String {
    let limit = |limit: Option<u64>| limit.map_or_else(|| "no".to_owned(), |max| max.to_string());
    let consumers = match spec.single_active {
        true => ", a single active consumer",
        false => "",
    };
    format!(
        "type {}, a limit of {} messages and of {} bytes{consumers}",
        spec.queue_type.as_str(),
        limit(spec.length_max.map(u64::from)),
        limit(spec.bytes_max),
    )
}
