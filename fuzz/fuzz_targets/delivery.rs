//! Messages in the queue of a service: whatever one holds, it is settled, and the next call is
//! answered.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use replybus::{
    Bus, Never,
    message::{Message, Properties, Text},
    queue_handler,
    reply::memory::MemoryReplies,
    transport::{Outgoing, Transport as _, memory::MemoryBroker},
};
use std::time::Duration;
use tokio::runtime::Builder;

#[queue_handler("fuzz.requests")]
trait Echo {
    #[query]
    async fn say(&self, text: String, times: Option<u8>) -> Result<String, Never>;

    async fn add(&self, amounts: Vec<i32>) -> Result<i64, Never>;
}

struct Here;

impl Echo for Here {
    async fn say(&self, text: String, times: Option<u8>) -> Result<String, Never> {
        Ok(text.repeat(times.unwrap_or(1).into()))
    }

    async fn add(&self, amounts: Vec<i32>) -> Result<i64, Never> {
        Ok(amounts.into_iter().map(i64::from).sum())
    }
}

/// A message from anybody.
#[derive(Debug, Arbitrary)]
struct Foreign {
    method: Method,
    content_type: Option<Encoding>,
    message_id: Option<String>,
    correlation_id: Option<String>,
    reply_to: Option<String>,
    expiration_ms: Option<u16>,
    timestamp: Option<u64>,
    app_id: Option<String>,
    persistent: bool,
    headers: Vec<(Header, String)>,
    body: Body,
}

#[derive(Debug, Arbitrary)]
enum Body {
    Bytes(Vec<u8>),
    /// Several requests; of a message of another type just as wrong as other bytes.
    Entries(Vec<Entry>),
}

/// A request in a bundle.
#[derive(Debug, Arbitrary)]
struct Entry {
    sooner: u32,
    flags: u8,
    id: [u8; 16],
    method: Method,
    headers: Vec<(Header, String)>,
    body: Vec<u8>,
    /// Its length is said to be so much more.
    longer: u8,
}

#[derive(Debug, Arbitrary)]
enum Method {
    Say,
    Add,
    Bundle,
    Other(Option<String>),
}

impl Method {
    fn name(self) -> Option<String> {
        match self {
            Self::Say => Some("say".to_owned()),
            Self::Add => Some("add".to_owned()),
            Self::Bundle => Some("replybus/bundle".to_owned()),
            Self::Other(name) => name,
        }
    }
}

#[derive(Debug, Arbitrary)]
enum Encoding {
    MessagePack,
    Json,
    Other(String),
}

#[derive(Debug, Arbitrary)]
enum Header {
    Deadline,
    Key,
    Trace,
    Baggage,
    Other(String),
}

impl Header {
    fn name(self) -> String {
        match self {
            Self::Deadline => "deadline".to_owned(),
            Self::Key => "idempotency-key".to_owned(),
            Self::Trace => "traceparent".to_owned(),
            Self::Baggage => "baggage".to_owned(),
            Self::Other(name) => name,
        }
    }
}

impl Body {
    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Entries(entries) => entries.into_iter().flat_map(Entry::into_bytes).collect(),
        }
    }
}

impl Entry {
    fn into_bytes(self) -> Vec<u8> {
        let method = self.method.name().unwrap_or_default();
        let mut bytes = self.sooner.to_be_bytes().to_vec();
        bytes.push(self.flags);
        bytes.extend(self.id);
        // What is too long for its length is cut there by whoever reads it.
        bytes.push(method.len() as u8);
        bytes.extend(method.into_bytes());
        bytes.push(self.headers.len() as u8);
        for (name, value) in self.headers {
            let name = name.name();
            bytes.push(name.len() as u8);
            bytes.extend(name.into_bytes());
            bytes.extend((value.len() as u16).to_be_bytes());
            bytes.extend(value.into_bytes());
        }
        bytes.extend(self.body);
        let length = bytes.len() as u32 + u32::from(self.longer);
        [&length.to_be_bytes()[..], &bytes].concat()
    }
}

impl Foreign {
    fn into_message(self) -> Message {
        let kind = self.method.name();
        let content_type = self.content_type.map(|encoding| match encoding {
            Encoding::MessagePack => "application/msgpack".to_owned(),
            Encoding::Json => "application/json".to_owned(),
            Encoding::Other(name) => name,
        });
        let headers = self.headers.into_iter();
        Message {
            routing_key: "fuzz.requests".into(),
            properties: Properties {
                message_id: self.message_id.map(Text::from),
                correlation_id: self.correlation_id.map(Text::from),
                reply_to: self.reply_to.map(Text::from),
                kind: kind.map(Text::from),
                content_type: content_type.map(Text::from),
                expiration: self
                    .expiration_ms
                    .map(|ms| Duration::from_millis(ms.into())),
                timestamp: self.timestamp,
                app_id: self.app_id.map(Text::from),
                persistent: self.persistent,
                headers: headers
                    .map(|(name, value)| (name.name().into(), value.into()))
                    .collect(),
                ..Properties::default()
            },
            body: self.body.into_bytes().into(),
            ..Message::default()
        }
    }
}

async fn deliver(messages: Vec<Foreign>) {
    let broker = MemoryBroker::new();
    let bus = Bus::connect(broker.clone(), MemoryReplies::new());
    let bus = bus.await.expect("it is in this process");
    let serving = bus
        .serve(EchoServer::new(Here))
        .await
        .expect("it is the only service");
    let stranger = broker.connect();
    for message in messages {
        let mut receipt = stranger.publish(Outgoing::new(message.into_message()));
        let _ = receipt.verdict().await;
    }
    let echo = EchoClient::new(&bus);
    let said = echo.say("still here".to_owned(), Some(1)).await;
    assert_eq!(said.expect("a neighbour is answered"), "still here");
    assert_eq!(
        echo.add(vec![1, 2]).await.expect("a neighbour is answered"),
        3
    );
    serving
        .shutdown()
        .await
        .expect("all deliveries are settled");
    let left = bus.inspect("fuzz.requests").await.expect("it was declared");
    assert_eq!(
        left.expect("it was declared").waiting,
        0,
        "a message was given back"
    );
}

fuzz_target!(|messages: Vec<Foreign>| {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime
        .expect("it needs no resources")
        .block_on(deliver(messages));
});
