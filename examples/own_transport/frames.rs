//! What travels between a program and the hub: JSON, each piece behind its length.

use replybus::{
    Bytes, SetupError,
    contract::QueueType,
    message::{Message, Properties, Text},
    transport::{QueueSpec, Verdict},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

/// No frame is larger: a length comes from the other end, which may be anybody.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a program asks of the hub. Answers bear the number of what they answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Asked {
    /// A message, the time left to its deadline, and whether it must reach a queue.
    Publish(Box<Carried>, Option<Duration>, bool),
    /// A queue, deliveries to hold, and its bindings.
    Consume(Queue, u16, Vec<(String, String)>),
    Declare(Queue),
    Inspect(String),
    /// The number of a delivery, and whether it is acked.
    Settle(u64, bool),
    /// Ends the consumer that was begun under this number.
    Stop(u64),
    Close,
}

/// What the hub says.
#[derive(Serialize, Deserialize)]
pub(crate) enum Said {
    Answer(u64, Answer),
    /// For a consumer: a number that settles it, a message, and whether it was delivered before.
    Delivery(u64, u64, Box<Carried>, bool),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Unroutable,
    Refused,
    NotWritten,
    /// The messages and consumers of a queue, if there is one.
    Queue(Option<(u64, u64)>),
    /// It was not done, for this reason.
    Failed(String),
}

impl Answer {
    /// What became of a publish.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Done => Verdict::Confirmed,
            Self::Unroutable => Verdict::Unroutable,
            Self::NotWritten => Verdict::NotWritten,
            _ => Verdict::Refused,
        }
    }

    /// Whether a queue is as it was asked for; `None` says that there was no connection.
    pub(crate) fn done(answer: Option<Self>, queue: &str) -> Result<(), SetupError> {
        match answer {
            Some(Self::Done) => Ok(()),
            Some(Self::Failed(reason)) => {
                Err(SetupError::topology(format!("queue {queue:?}"), reason))
            }
            _ => Err(SetupError::Closed),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) quorum: bool,
    pub(crate) length_max: Option<u32>,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) expires: Option<Duration>,
    pub(crate) or_existing: bool,
}

impl From<QueueSpec> for Queue {
    fn from(spec: QueueSpec) -> Self {
        Self {
            quorum: spec.queue_type == QueueType::Quorum,
            name: spec.name,
            length_max: spec.length_max,
            bytes_max: spec.bytes_max,
            expires: spec.expires,
            or_existing: spec.or_existing,
        }
    }
}

impl From<Queue> for QueueSpec {
    fn from(queue: Queue) -> Self {
        let mut spec = Self::new(queue.name);
        if queue.quorum {
            spec = spec.queue_type(QueueType::Quorum);
        }
        spec.length_max = queue.length_max;
        spec.bytes_max = queue.bytes_max;
        spec.expires = queue.expires;
        spec.or_existing = queue.or_existing;
        spec
    }
}

/// A message: exchange, routing key, body, the texts among its properties, the others, headers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Carried(
    Text,
    Text,
    Vec<u8>,
    [Option<Text>; 9],
    (Option<u8>, Option<Duration>, Option<u64>, bool),
    Vec<(Text, Text)>,
);

impl From<Message> for Carried {
    fn from(message: Message) -> Self {
        let p = message.properties;
        let texts = [
            p.message_id,
            p.correlation_id,
            p.reply_to,
            p.kind,
            p.content_type,
            p.content_encoding,
            p.app_id,
            p.user_id,
            p.cluster_id,
        ];
        let others = (p.priority, p.expiration, p.timestamp, p.persistent);
        Self(
            message.exchange,
            message.routing_key,
            message.body.into(),
            texts,
            others,
            p.headers.into_iter().collect(),
        )
    }
}

impl From<Carried> for Message {
    fn from(carried: Carried) -> Self {
        let Carried(exchange, routing_key, body, texts, others, headers) = carried;
        let [
            message_id,
            correlation_id,
            reply_to,
            kind,
            content_type,
            texts @ ..,
        ] = texts;
        let [content_encoding, app_id, user_id, cluster_id] = texts;
        let (priority, expiration, timestamp, persistent) = others;
        let properties = Properties {
            message_id,
            correlation_id,
            reply_to,
            kind,
            content_type,
            content_encoding,
            app_id,
            user_id,
            cluster_id,
            priority,
            expiration,
            timestamp,
            persistent,
            headers: headers.into(),
            ..Properties::default()
        };
        let body = Bytes::from(body);
        Self {
            exchange,
            routing_key,
            properties,
            body,
        }
    }
}

/// The next frame; `None` at the end.
pub(crate) async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let length = match from.read_u32().await {
        Ok(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Err(end) if end.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > FRAME_BYTES_MAX {
        let reason = format!("a frame of {length} bytes; {FRAME_BYTES_MAX} are allowed");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame).await?;
    Ok(Some(serde_json::from_slice(&frame)?))
}

/// Writes all that is put into `frames`, in its order, until nobody can put more.
pub(crate) async fn write<T: Serialize>(
    mut to: impl AsyncWrite + Unpin,
    mut frames: mpsc::UnboundedReceiver<T>,
) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        let frame = serde_json::to_vec(&frame)?;
        to.write_u32(u32::try_from(frame.len()).map_err(io::Error::other)?)
            .await?;
        to.write_all(&frame).await?;
    }
    to.shutdown().await
}
