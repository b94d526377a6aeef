//! Declarations of queues, exchanges and bindings, and looks at queues.
//!
//! A declaration the broker refuses closes its channel, so each runs on a channel of its own.

use super::{
    connect::{Failure, FailureKind, Live},
    convert::{TooLong, short},
};
use crate::{
    contract::QueueType,
    error::SetupError,
    transport::{Binding, QueueSpec, QueueState},
};
use futures_util::FutureExt;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use std::sync::Arc;
use tokio::time::Instant;

/// A declaration that did not happen.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeclareError {
    /// It never will, until somebody changes something.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Another attempt may.
    #[error(transparent)]
    Link(Failure),
}

impl DeclareError {
    /// A failure at `what`.
    pub(super) fn new(failure: Failure, what: &str) -> Self {
        let fix = match failure.kind {
            FailureKind::Transient => return Self::Link(failure),
            FailureKind::Exhausted => {
                "each service and subscription has one: serve some of them on another bus"
            }
            FailureKind::Silent => {
                let queue = what.to_owned();
                return Self::Setup(SetupError::NoAnswer { queue });
            }
            FailureKind::Mismatch => {
                "it exists with other arguments: delete it, or ask for the arguments it has"
            }
            FailureKind::Refused => "give the user the permissions to configure, write and read it",
            FailureKind::Missing => "declare it first",
        };
        Self::Setup(SetupError::Topology {
            what: what.to_owned(),
            reason: format!("{failure} ({fix})"),
        })
    }
}

/// Declares a durable queue, and its bindings along with their exchanges. The queue may take
/// `until` to answer.
pub(super) async fn declare(
    live: &Live,
    queue: &QueueSpec,
    bindings: &[Binding],
    until: Option<Instant>,
) -> Result<(), DeclareError> {
    let opened = live.channel().await;
    let what = format!("queue \"{}\"", queue.name);
    let channel = opened.map_err(|failure| DeclareError::new(failure, &what))?;
    declare_on(live, &channel, queue, bindings, until).await?;
    close(live, &channel).await;
    Ok(())
}

async fn declare_on(
    live: &Live,
    channel: &Channel,
    queue: &QueueSpec,
    bindings: &[Binding],
    until: Option<Instant>,
) -> Result<(), DeclareError> {
    let what = format!("queue \"{}\"", queue.name);
    let name = name(&queue.name, &what)?;
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare(name.clone(), options, arguments(queue));
    match live.answer_about_queue(&queue.name, until, declared).await {
        Ok(_) => {}
        // The broker closed the channel. Such a queue has no bindings to be made on it.
        Err(failure) if failure.kind == FailureKind::Mismatch && queue.or_existing => {
            let queue = &queue.name;
            tracing::warn!(queue, reason = %failure, "a queue is used as it is");
            return Ok(());
        }
        Err(failure) => return Err(DeclareError::new(failure, &what)),
    }
    for binding in bindings {
        let what = format!("exchange \"{}\"", binding.exchange);
        let exchange = self::name(&binding.exchange, &what)?;
        let key = self::name(&binding.routing_key, "routing key")?;
        live.answer(declare_exchange(channel, exchange.clone(), false))
            .await
            .map_err(|failure| DeclareError::new(failure, &what))?;
        let what = format!("binding of queue \"{}\" to {what}", queue.name);
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        let bound = channel.queue_bind(name.clone(), exchange, key, options, arguments);
        live.answer_about_queue(&queue.name, until, bound)
            .await
            .map_err(|failure| DeclareError::new(failure, &what))?;
    }
    Ok(())
}

/// The messages and consumers of a queue; `None` if there is no such queue. Takes as long as
/// the queue does, or the connection lives.
pub(super) async fn inspect(live: &Live, queue: &str) -> Result<Option<QueueState>, DeclareError> {
    let what = format!("queue \"{queue}\"");
    let name = name(queue, &what)?;
    let channel = live
        .channel_without_bound()
        .await
        .map_err(|failure| DeclareError::new(failure, &what))?;
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let declared = channel.queue_declare(name, options, FieldTable::default());
    match declared.await.map_err(Failure::from) {
        Ok(queue) => {
            close(live, &channel).await;
            Ok(Some(QueueState {
                waiting: queue.message_count().into(),
                consumers: queue.consumer_count().into(),
            }))
        }
        Err(failure) if failure.kind == FailureKind::Missing => Ok(None),
        Err(failure) => Err(DeclareError::new(failure, &what)),
    }
}

async fn declare_exchange(
    channel: &Channel,
    exchange: ShortString,
    passive: bool,
) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        passive,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(
            exchange,
            ExchangeKind::Topic,
            options,
            FieldTable::default(),
        )
        .await
}

/// `true` if there is such an exchange. Declares it as a durable topic exchange if it may.
pub(super) async fn ensure_exchange(live: &Live, exchange: ShortString) -> Result<bool, Failure> {
    let channel = live.channel().await?;
    match live
        .answer(declare_exchange(&channel, exchange.clone(), false))
        .await
    {
        Ok(()) => {
            close(live, &channel).await;
            Ok(true)
        }
        // Somebody else's exchange; its type is their business.
        Err(failure) if failure.kind == FailureKind::Mismatch => Ok(true),
        Err(failure) if failure.kind == FailureKind::Refused => {
            let channel = live.channel().await?;
            match live
                .answer(declare_exchange(&channel, exchange, true))
                .await
            {
                Ok(()) => {
                    close(live, &channel).await;
                    Ok(true)
                }
                Err(failure) if failure.kind == FailureKind::Transient => Err(failure),
                Err(_) => Ok(false),
            }
        }
        Err(failure) => Err(failure),
    }
}

/// Closes a channel that has done its work. A channel merely dropped is closed in the background
/// by lapin, which takes a close that comes too late for an error of the whole connection.
pub(super) async fn close(live: &Live, channel: &Channel) {
    // What can't be closed is closed already.
    let _ = live.answer(channel.close(200, "done".into())).await;
}

/// Closes a channel that nobody waits for any more: one whose consumer was not waited for to the end,
/// which lapin would leave open until the broker agrees to the consumer, and then keep both, a
/// consumer that takes messages for nobody; or one that holds messages.
pub(super) struct CloseOnDrop(pub(super) Option<Arc<Channel>>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(channel) = self.0.take() {
            // The first poll queues the frame; the broker gets to it when the queue has answered.
            let _ = channel.close(200, "given up".into()).now_or_never();
        }
    }
}

fn arguments(queue: &QueueSpec) -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-queue-type".into(), text(queue.queue_type.as_str()));
    if let Some(length_max) = queue.length_max {
        arguments.insert(
            "x-max-length".into(),
            AMQPValue::LongLongInt(length_max.into()),
        );
    }
    if let Some(bytes_max) = queue.bytes_max {
        let bytes = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        let argument = AMQPValue::LongLongInt(bytes);
        arguments.insert("x-max-length-bytes".into(), argument);
    }
    if let Some(unused_for) = queue.expires {
        let millis = i64::try_from(unused_for.as_millis()).unwrap_or(i64::MAX);
        arguments.insert("x-expires".into(), AMQPValue::LongLongInt(millis));
    }
    if let (Some(times), QueueType::Quorum) = (queue.returns_max, queue.queue_type) {
        arguments.insert(
            "x-delivery-limit".into(),
            AMQPValue::LongLongInt(times.into()),
        );
    }
    if queue.single_active {
        let argument = AMQPValue::Boolean(true);
        arguments.insert("x-single-active-consumer".into(), argument);
    }
    if queue.length_max.is_some() || queue.bytes_max.is_some() {
        arguments.insert("x-overflow".into(), text("reject-publish"));
    }
    arguments
}

pub(super) fn name(name: &str, what: &str) -> Result<ShortString, SetupError> {
    if name.is_empty() {
        return Err(SetupError::setting(what, "its name is empty"));
    }
    short(name.to_owned()).map_err(|TooLong| {
        SetupError::setting(
            what,
            "its name is longer than 255 bytes, the most AMQP takes",
        )
    })
}
