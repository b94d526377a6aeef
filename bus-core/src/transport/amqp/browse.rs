//! A look through a queue: its messages are got one by one, on a channel that holds what it got, and
//! gives back in order what it did not ack when it is closed.
//!
//! A consumer would be faster, and never know whether it has seen all there is.

use super::{
    connect::{Failure, FailureKind, Live},
    convert::received,
    topology::{self, CloseOnDrop, DeclareError},
};
use crate::{
    error::SetupError,
    limits::CONNECT_TIMEOUT,
    transport::{Acknowledger, Browser, Delivery, InspectError, Settled},
};
use async_trait::async_trait;
use futures_util::FutureExt;
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicGetOptions},
    types::ShortString,
};
use std::{fmt, sync::Arc};
use tokio::time::Instant;

/// A look through one queue, on a channel of its own.
pub(super) struct AmqpBrowser {
    live: Arc<Live>,
    channel: Arc<Channel>,
    queue: ShortString,
    acknowledger: Arc<dyn Acknowledger>,
    /// For errors.
    address: Arc<str>,
    /// There is no such queue: the broker has closed the channel.
    is_missing: bool,
    _close: CloseOnDrop,
}

impl AmqpBrowser {
    /// Opens the channel.
    pub(super) async fn open(
        live: Arc<Live>,
        queue: &str,
        address: Arc<str>,
    ) -> Result<Self, InspectError> {
        let explained = |error| explain(queue, &address, error);
        let what = format!("queue \"{queue}\"");
        let name = topology::name(queue, &what).map_err(|error| explained(error.into()))?;
        let opened = live.channel().await;
        let channel =
            Arc::new(opened.map_err(|failure| explained(DeclareError::new(failure, &what)))?);
        Ok(Self {
            acknowledger: Arc::new(Acks(Arc::clone(&channel))),
            _close: CloseOnDrop(Some(Arc::clone(&channel))),
            queue: name,
            is_missing: false,
            live,
            channel,
            address,
        })
    }

    fn error(&self, failure: Failure) -> InspectError {
        let what = format!("queue \"{}\"", self.queue);
        let error = DeclareError::new(failure, &what);
        explain(self.queue.as_str(), &self.address, error)
    }
}

/// What can't be said of `queue`, and why.
pub(super) fn explain(queue: &str, address: &str, error: DeclareError) -> InspectError {
    match error {
        // It names the queue as well.
        DeclareError::Setup(SetupError::Topology { reason, .. }) => {
            InspectError::refused(queue, reason)
        }
        DeclareError::Setup(SetupError::NoAnswer { .. }) => InspectError::no_answer(queue),
        DeclareError::Setup(error) => InspectError::refused(queue, error.to_string()),
        DeclareError::Link(failure) => InspectError::unreachable("RabbitMQ", address, failure),
    }
}

#[async_trait]
impl Browser for AmqpBrowser {
    async fn next(&mut self) -> Result<Option<Delivery>, InspectError> {
        if self.is_missing {
            return Ok(None);
        }
        let options = BasicGetOptions { no_ack: false };
        let got = self.channel.basic_get(self.queue.clone(), options);
        let until = Some(Instant::now() + CONNECT_TIMEOUT);
        let got = self
            .live
            .answer_about_queue(self.queue.as_str(), until, got);
        match got.await {
            Ok(got) => {
                let marker = self.live.marker();
                Ok(got.map(|got| received(got.delivery, &self.acknowledger, marker)))
            }
            Err(failure) if failure.kind == FailureKind::Missing => {
                self.is_missing = true;
                Ok(None)
            }
            Err(failure) => Err(self.error(failure)),
        }
    }

    async fn end(self: Box<Self>) -> Result<(), InspectError> {
        if self.is_missing {
            return Ok(());
        }
        // The broker agrees after all acks that came before.
        let closed = self.live.answer(self.channel.close(200, "done".into()));
        closed.await.map_err(|failure| self.error(failure))
    }
}

impl fmt::Debug for AmqpBrowser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpBrowser")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Acks one by one: those between are held.
struct Acks(Arc<Channel>);

impl Acknowledger for Acks {
    fn settle(&self, tag: u64, settled: Settled) {
        match settled {
            // The first poll queues the frame. On a channel that is gone it does nothing.
            Settled::Ack => {
                let _ = self
                    .0
                    .basic_ack(tag, BasicAckOptions::default())
                    .now_or_never();
            }
            // It would come again.
            Settled::Requeue => {}
        }
    }
}
