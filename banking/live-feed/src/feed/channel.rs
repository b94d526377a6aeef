//! The feed between processes: a channel of Redis. Redis forgets a message that nobody hears, so a
//! connection that is lost is a gap, and all subscribers are told so.

use super::subscribers::Subscribers;
use crate::NewNotification;
use anyhow::Context as _;
use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use futures_util::StreamExt as _;
use redis::{
    Client, Msg, RedisError, RedisResult,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Redis answers within this or is away.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Between two pings of the connection that listens: a server that hangs ends no connection.
const PING_EVERY: Duration = Duration::from_secs(2);
/// First and longest pause before a lost connection is made again.
const AGAIN_MIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// The handler of an event waits so long to have it shown.
const PUBLISH_WITHIN: Duration = Duration::from_secs(3);

/// A channel that all processes of a bank publish to and listen on.
pub(super) struct Channel {
    name: String,
    /// The channel on which ended sessions are told of.
    ended: String,
    client: Client,
    publishing: ConnectionManager,
    listening: OnceLock<()>,
}

impl Channel {
    /// `{namespace.}bank:notifications`. It connects when it is first used.
    pub(super) fn new(client: Client, namespace: &str, ended: String) -> anyhow::Result<Self> {
        let name = match namespace {
            "" => "bank:notifications".to_owned(),
            namespace => format!("{namespace}.bank:notifications"),
        };
        let settings = ConnectionManagerConfig::new()
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_connection_timeout(Some(ANSWER_WITHIN))
            .set_max_delay(Duration::from_secs(1));
        let publishing = ConnectionManager::new_lazy_with_config(client.clone(), settings)
            .context("the address of Redis can't be used")?;
        Ok(Self {
            name,
            ended,
            client,
            publishing,
            listening: OnceLock::new(),
        })
    }

    /// Publishes. Tried again, for a connection that was idle may turn out to be gone while those
    /// that listen live; so a client can get a message twice, with the same id.
    pub(super) async fn publish(&self, notifications: &[NewNotification]) {
        if notifications.is_empty() {
            return;
        }
        let mut pipe = redis::pipe();
        for notification in notifications {
            match serde_json::to_string(notification) {
                Ok(text) => drop(pipe.publish(&self.name, text).ignore()),
                Err(error) => tracing::error!(%error, "a notification can't be published"),
            }
        }
        let publish = || {
            let (pipe, mut connection) = (&pipe, self.publishing.clone());
            async move { pipe.query_async::<()>(&mut connection).await }
        };
        let patient = ExponentialBuilder::default()
            .with_min_delay(AGAIN_MIN)
            .with_jitter();
        let reason = match timeout(PUBLISH_WITHIN, publish.retry(patient)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(late) => late.to_string(),
        };
        metrics::counter!("bank_notifications_not_shown_total").increment(1);
        tracing::warn!(reason, "notifications are stored, and not shown live");
    }

    /// Begins to listen, if nobody has yet, until `closing` fires.
    pub(super) fn listen(&self, subscribers: &Arc<Subscribers>, closing: &CancellationToken) {
        self.listening.get_or_init(|| {
            let (client, names) = (self.client.clone(), [self.name.clone(), self.ended.clone()]);
            let (subscribers, closing) = (Arc::clone(subscribers), closing.clone());
            tokio::spawn(async move {
                closing
                    .run_until_cancelled(listen_for_ever(&client, &names, &subscribers))
                    .await;
            });
        });
    }
}

async fn listen_for_ever(
    client: &Client,
    names: &[String; 2],
    subscribers: &Subscribers,
) -> Infallible {
    let mut pauses = pauses();
    loop {
        let listening = listen(client, names, subscribers, || pauses = self::pauses());
        let Err(error) = listening.await;
        subscribers.disconnected();
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the live feed is interrupted; its sockets are closed"
        );
        sleep(pauses.next().unwrap_or(AGAIN_MAX)).await;
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(AGAIN_MIN)
        .with_max_delay(AGAIN_MAX)
        .with_jitter()
        .without_max_times()
        .build()
}

/// Listens until the connection is lost.
async fn listen(
    client: &Client,
    names: &[String; 2],
    subscribers: &Subscribers,
    connected: impl FnOnce(),
) -> RedisResult<Infallible> {
    let (mut sink, mut messages) = in_time(client.get_async_pubsub()).await?.split();
    in_time(sink.subscribe(names)).await?;
    subscribers.connected();
    connected();
    tracing::info!("the live feed is connected");
    let mut ping = interval(PING_EVERY);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => pass_on(&message, names, subscribers),
                None => return Err(lost("the connection was closed")),
            },
            _ = ping.tick() => {
                // Meanwhile messages wait with the connection, for as long as the answer may take.
                in_time(sink.ping::<redis::Value>()).await?;
            }
        }
    }
}

fn pass_on(message: &Msg, [_, ended]: &[String; 2], subscribers: &Subscribers) {
    let text = message.get_payload_bytes();
    let passed = if message.get_channel_name() == ended {
        serde_json::from_slice(text).map(|session| subscribers.end(session))
    } else {
        serde_json::from_slice(text).map(|notification| subscribers.deliver(&notification))
    };
    match passed {
        Ok(()) => {}
        // Its text would repeat what is in the message.
        Err(error) => tracing::warn!(
            line = error.line(),
            column = error.column(),
            "the live feed carried what is none of its messages"
        ),
    }
}

async fn in_time<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| Err(lost("it did not answer in time"));
    timeout(ANSWER_WITHIN, answer).await.unwrap_or_else(late)
}

fn lost(why: &'static str) -> RedisError {
    RedisError::from((redis::ErrorKind::Io, why))
}
