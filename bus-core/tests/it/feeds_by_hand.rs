//! Streams of arguments, read by a service that was written by hand: what it may say of them, what
//! others may say, and what its caller makes of that.

use super::feeds::{ImportsClient, Numbers};
use futures_util::{StreamExt, stream};
use replybus::{
    Bus, Bytes, CallId, FailureKind, limits,
    message::Text,
    reply::{Arrivals, ReplyBackend, ReplyStore, memory::MemoryReplies},
    transport::{
        Deliveries, Delivery, QueueSpec, Settled, Source, Transport, memory::MemoryBroker,
    },
};
use std::{future::IntoFuture, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

struct Frames(mpsc::UnboundedSender<(CallId, Bytes)>);

impl Arrivals for Frames {
    fn arrived(&self, id: CallId, frame: Bytes) {
        let _ = self.0.send((id, frame));
    }
    fn waiting(&self) -> Vec<CallId> {
        Vec::new()
    }
}

/// A bus of a caller, and a service that takes its requests by hand.
struct ByHand {
    bus: Bus,
    requests: Box<dyn Deliveries>,
    store: Arc<dyn ReplyStore>,
    frames: mpsc::UnboundedReceiver<(CallId, Bytes)>,
}

/// One request, and where what is said of it goes.
struct Asked {
    delivery: Delivery,
    id: CallId,
    inbox: Text,
}

const AGAIN: u8 = 1;
const GONE: u8 = 2;
const HOLDS_CLAIM: u8 = 4;

/// The beginning of a frame: its kind, its reader, its number.
fn head(kind: u8, reader: u32, number: u64) -> Vec<u8> {
    let mut frame = vec![0xc1, kind];
    frame.extend(reader.to_be_bytes());
    frame.extend(number.to_be_bytes());
    frame
}

impl ByHand {
    async fn start() -> Self {
        let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
        let transport = Arc::new(broker.connect());
        let source = Source::new(QueueSpec::new("imports.requests"), 8);
        let requests = transport.consume(source).await.unwrap();
        let (sender, frames) = mpsc::unbounded_channel();
        let store = Box::new(replies.clone()).open("", Arc::new(Frames(sender)));
        Self {
            bus: Bus::connect(Arc::new(broker.connect()), replies)
                .await
                .unwrap(),
            requests,
            store: store.await.unwrap(),
            frames,
        }
    }

    async fn asked(&mut self) -> Asked {
        let delivery = self.requests.next().await.unwrap();
        let properties = &delivery.message.properties;
        Asked {
            id: properties
                .correlation_id
                .as_deref()
                .unwrap()
                .parse()
                .unwrap(),
            inbox: properties.reply_to.clone().unwrap(),
            delivery,
        }
    }

    fn credit(&self, stream: CallId, reader: u32, taken: u64, flags: u8) -> Vec<u8> {
        let mut frame = head(4, reader, taken);
        frame.push(flags);
        frame.extend(stream.as_bytes());
        frame.extend(self.store.inbox().as_bytes());
        frame
    }

    async fn say(&self, asked: &Asked, frame: Vec<u8>) {
        let said = self.store.append(&asked.inbox, asked.id, frame.into());
        said.await.unwrap();
    }

    /// The next frame that is no sign of life, and does not say that another has the stream.
    async fn frame(&mut self) -> (CallId, Bytes) {
        loop {
            let (id, frame) = self.frames.recv().await.unwrap();
            let is_sign = frame.get(1).is_some_and(|kind| [0, 5].contains(kind));
            if frame.len() > 14 || !is_sign {
                return (id, frame);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn frames_go_where_the_first_credit_says() {
    let mut service = ByHand::start().await;
    let client = ImportsClient::new(&service.bus);
    let numbers = stream::iter([5, 300]);
    let call = tokio::spawn(client.count(5, numbers).window_bytes(1_000).into_future());
    let asked = service.asked().await;
    let headers = &asked.delivery.message.properties.headers;
    assert!(headers.contains(&("x-replybus-stream".into(), "1000".into())));
    // The stream is none of the arguments in the request.
    assert_eq!(asked.delivery.message.body, &b"\x81\xa4from\x05"[..]);
    let stream = CallId::new();
    service.say(&asked, service.credit(stream, 7, 0, 0)).await;
    let mut items = head(0, 7, 0);
    items.extend([0, 0, 0, 1, 5, 0, 0, 0, 3, 0xcd, 1, 44]);
    assert_eq!(service.frame().await, (stream, items.clone().into()));
    assert_eq!(service.frame().await, (stream, head(1, 7, 2).into()));
    // And again, if that is asked for.
    service
        .say(&asked, service.credit(stream, 7, 0, AGAIN))
        .await;
    assert_eq!(service.frame().await, (stream, items.into()));
    assert_eq!(service.frame().await, (stream, head(1, 7, 2).into()));
    call.abort();
    asked.delivery.settler.settle(Settled::Ack);
}

#[tokio::test(start_paused = true)]
async fn a_second_reader_gets_nothing_and_is_told_of_the_end() {
    let mut service = ByHand::start().await;
    let client = ImportsClient::new(&service.bus);
    let numbers = Numbers::new();
    let endless = numbers.below(1).chain(stream::pending());
    let call = tokio::spawn(client.ask(endless).into_future());
    let asked = service.asked().await;
    let [one, other] = [(); 2].map(|()| CallId::new());
    service.say(&asked, service.credit(one, 7, 0, 0)).await;
    for _ in 0..3 {
        service.say(&asked, service.credit(other, 8, 0, 0)).await;
    }
    assert_eq!(service.frame().await.0, one);
    service.say(&asked, service.credit(other, 8, 0, 0)).await;
    while service.frames.recv().await.unwrap() != (other, head(5, 8, 0).into()) {}
    call.abort();
    let mut told = [service.frame().await, service.frame().await];
    told.sort_by_key(|(id, _)| *id != one);
    let [(first, end), (second, refusal)] = told;
    assert_eq!((first, second), (one, other));
    assert!(end.starts_with(&head(3, 7, 1)));
    assert!(refusal.starts_with(&head(3, 8, 0)));
    numbers.are_dropped().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_in_place_of_one_that_is_lost_gets_nothing_and_ends_the_call() {
    let mut service = ByHand::start().await;
    let client = ImportsClient::new(&service.bus);
    let numbers = Numbers::new();
    let started = Instant::now();
    let call = client.count(0, numbers.below(100_000)).window_bytes(100);
    let call = tokio::spawn(call.into_future());
    let asked = service.asked().await;
    let [one, other] = [(); 2].map(|()| CallId::new());
    // Whoever comes first.
    service
        .say(&asked, service.credit(one, 7, 0, HOLDS_CLAIM))
        .await;
    assert_eq!(service.frame().await.0, one);
    service
        .say(&asked, service.credit(other, 8, 0, HOLDS_CLAIM))
        .await;
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Interrupted), "{error}");
    assert!(error.may_have_executed());
    assert!(
        error
            .to_string()
            .contains("the one that ran it has lost it"),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(1));
    numbers.are_dropped().await;
    let refusal = loop {
        let (id, frame) = service.frame().await;
        if id == other {
            break frame;
        }
    };
    assert!(refusal.starts_with(&head(3, 8, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_says_nothing_more_ends_the_call() {
    let mut service = ByHand::start().await;
    let client = ImportsClient::new(&service.bus);
    let numbers = Numbers::new();
    let started = Instant::now();
    let call = tokio::spawn(client.count(0, numbers.below(1_000_000)).into_future());
    let asked = service.asked().await;
    service
        .say(&asked, service.credit(CallId::new(), 7, 0, 0))
        .await;
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Interrupted), "{error}");
    assert!(error.may_have_executed());
    let took = started.elapsed();
    assert!(took >= limits::STREAM_READER_SILENCE_MAX, "{took:?}");
    numbers.are_dropped().await;
}

#[tokio::test(start_paused = true)]
async fn forged_credits_do_no_harm() {
    let mut service = ByHand::start().await;
    let client = ImportsClient::new(&service.bus);
    let call = tokio::spawn(client.count(0, stream::iter([0, 1, 2])).into_future());
    let asked = service.asked().await;
    let stream = CallId::new();
    let credit = service.credit(stream, 7, 0, 0);
    let elsewhere = |name: &str| [&credit[..31], name.as_bytes()].concat();
    // Before there is a reader: cut short, too long, of another kind, of nobody, to what is no inbox.
    for frame in [
        vec![0xc1, 4],
        credit[..30].to_vec(),
        [&credit[..], &[b'x'; 300]].concat(),
        [&[0xc1, 9], &credit[2..]].concat(),
        [&credit[..31], &[0xff, 0xfe]].concat(),
        elsewhere(""),
        elsewhere("replybus:presence:imports.requests"),
        service.credit(stream, 7, 0, GONE),
    ] {
        service.say(&asked, frame).await;
    }
    let quiet = timeout(Duration::from_secs(3), service.frames.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    service.say(&asked, credit).await;
    assert_eq!(
        service.frame().await.1,
        [
            &head(0, 7, 0)[..],
            &[0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 2]
        ]
        .concat()
    );
    // And once there is one: of more than was sent, of other readers, and many of them.
    service
        .say(&asked, service.credit(stream, 7, u64::MAX, 0))
        .await;
    service
        .say(&asked, service.credit(stream, 8, 3, GONE))
        .await;
    for reader in 0..1_000 {
        service
            .say(&asked, service.credit(CallId::new(), reader, 0, 0))
            .await;
    }
    service
        .say(&asked, service.credit(stream, 7, 0, AGAIN))
        .await;
    assert_eq!(service.frame().await.1, head(1, 7, 3));
    assert_eq!(service.frame().await.1.len(), 14 + 15);
    call.abort();
    // Of those who would read it as well so many are told as are known.
    let told = async {
        let mut told = 0;
        while told < 8 {
            let (id, frame) = service.frame().await;
            told += usize::from(id != stream && frame[1] == 3);
        }
    };
    timeout(Duration::from_secs(3), told).await.unwrap();
}

/// Its worker may be finding its way back to the queue.
#[tokio::test(start_paused = true)]
async fn a_call_whose_stream_is_read_is_served_though_its_queue_has_no_consumer() {
    let mut service = ByHand::start().await;
    let client = ImportsClient::new(&service.bus);
    let call = tokio::spawn(client.ask(stream::pending()).into_future());
    let asked = service.asked().await;
    let stream = CallId::new();
    service.say(&asked, service.credit(stream, 7, 0, 0)).await;
    service.requests.stop().await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        service.say(&asked, service.credit(stream, 7, 0, 0)).await;
    }
    assert!(!call.is_finished());
    call.abort();
}
