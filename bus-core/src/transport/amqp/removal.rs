//! Removing a queue that is no longer wanted.
//!
//! The broker could be asked to delete a queue only if it is empty or unused. Of a quorum queue it
//! takes that for an error of the whole connection, so it is looked at instead, and unbound before
//! the last look, so that nothing comes in between. One that stays is bound again, also if it was
//! unbound on a connection that was lost.

use super::{
    connect::{Failure, FailureKind, Live},
    topology::{self, DeclareError},
};
use crate::transport::{Binding, QueueState, Removal};
use lapin::{
    Channel,
    options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{FieldTable, ShortString},
};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;

/// Removes a queue unless that is not allowed in its state. It may take `until` to answer.
///
/// `unbound` is of all attempts of one removal: it is set while the queue lacks bindings that one of
/// them took away.
pub(super) async fn remove(
    live: &Live,
    queue: &str,
    bindings: &[Binding],
    discard_messages: bool,
    until: Instant,
    unbound: &AtomicBool,
) -> Result<Removal, DeclareError> {
    let what = format!("queue \"{queue}\"");
    let removing = Removing {
        live,
        name: topology::name(queue, &what)?,
        bindings: bindings
            .iter()
            .map(|binding| {
                let exchange = topology::name(&binding.exchange, "exchange")?;
                let key = topology::name(&binding.routing_key, "routing key")?;
                Ok((exchange, key))
            })
            .collect::<Result<_, DeclareError>>()?,
        until,
        unbound,
    };
    removing
        .run(discard_messages)
        .await
        .map_err(|failure| DeclareError::new(failure, &what))
}

struct Removing<'a> {
    live: &'a Live,
    name: ShortString,
    /// Exchanges and keys.
    bindings: Vec<(ShortString, ShortString)>,
    until: Instant,
    unbound: &'a AtomicBool,
}

impl Removing<'_> {
    /// Removes it, or leaves it as it was before the first attempt.
    async fn run(&self, discard_messages: bool) -> Result<Removal, Failure> {
        let outcome = self.try_to_remove(discard_messages).await;
        let is_gone = matches!(outcome, Ok(Removal::Removed | Removal::Missing));
        if is_gone || !self.unbound.load(Ordering::Relaxed) {
            return outcome;
        }
        let bound = self.bind_again().await;
        let kept = outcome?;
        bound.map(|()| kept)
    }

    async fn try_to_remove(&self, discard_messages: bool) -> Result<Removal, Failure> {
        let channel = self.live.channel().await?;
        let Some(state) = self.look(&channel).await? else {
            return Ok(Removal::Missing);
        };
        if !Removal::is_allowed(state, discard_messages) {
            topology::close(self.live, &channel).await;
            return Ok(Removal::Kept(state));
        }
        for (exchange, key) in self.bindings.clone() {
            // Before the answer, which may be lost.
            self.unbound.store(true, Ordering::Relaxed);
            let unbound =
                channel.queue_unbind(self.name.clone(), exchange, key, FieldTable::default());
            self.answer(unbound).await?;
        }
        // What came before is in it by now.
        let Some(state) = self.look(&channel).await? else {
            return Ok(Removal::Missing);
        };
        if !Removal::is_allowed(state, discard_messages) {
            topology::close(self.live, &channel).await;
            return Ok(Removal::Kept(state));
        }
        let deleted = channel.queue_delete(self.name.clone(), QueueDeleteOptions::default());
        self.answer(deleted).await?;
        topology::close(self.live, &channel).await;
        Ok(Removal::Removed)
    }

    /// On a channel of its own: what failed may have closed the other.
    async fn bind_again(&self) -> Result<(), Failure> {
        let channel = self.live.channel().await?;
        for (exchange, key) in self.bindings.clone() {
            let (name, options) = (self.name.clone(), QueueBindOptions::default());
            let bound = channel.queue_bind(name, exchange, key, options, FieldTable::default());
            self.answer(bound).await?;
        }
        self.unbound.store(false, Ordering::Relaxed);
        topology::close(self.live, &channel).await;
        Ok(())
    }

    /// The state of the queue; `None`, and no channel any more, if there is none.
    async fn look(&self, channel: &Channel) -> Result<Option<QueueState>, Failure> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let looked = channel.queue_declare(self.name.clone(), options, FieldTable::default());
        match self.answer(looked).await {
            Ok(queue) => Ok(Some(QueueState {
                waiting: queue.message_count().into(),
                consumers: queue.consumer_count().into(),
            })),
            Err(failure) if failure.kind == FailureKind::Missing => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn answer<T>(&self, asked: impl Future<Output = lapin::Result<T>>) -> Result<T, Failure> {
        let queue = self.name.as_str();
        self.live
            .answer_about_queue(queue, Some(self.until), asked)
            .await
    }
}
