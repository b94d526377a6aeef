//! The calls to a queue are watched as they end, by a paused clock.

use crate::{
    bank::{AccountsClient, AccountsServer, Ledger, bank},
    control::{Heard, Net, question},
};
use futures_util::FutureExt;
use replybus::{
    Bus, CallId, RetryLater,
    control::{CallWatch, ControlError, WatchOptions, WatchedCall},
    limits::{WATCH_LEASE, WATCHES_MAX},
    queue_handler,
    reply::ReplyBackend,
    transport::{Outgoing, Transport},
};
use replybus_testkit::wait::eventually;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

const QUEUE: &str = AccountsClient::CONTRACT.queue;

/// All calls that are told within a second in which nothing else happens.
async fn told(watch: &mut CallWatch) -> Vec<WatchedCall> {
    sleep(Duration::from_secs(1)).await;
    let mut calls = Vec::new();
    while let Some(Some(call)) = watch.next().now_or_never() {
        calls.push(call);
    }
    calls
}

fn named(calls: &[WatchedCall]) -> Vec<(&str, &str, u32)> {
    let named = calls.iter();
    named
        .map(|call| (&*call.method, &*call.outcome, call.attempt))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn calls_are_told_as_they_end_with_who_made_them_and_what_they_came_to() {
    let (bus, ledger, client, _serving) = bank().await;
    let control = bus.control(QUEUE);
    let mut watch = control.watch(&WatchOptions::new()).await.unwrap();
    let instance = bus.instances(QUEUE).await.unwrap()[0].id;
    assert_eq!(watch.instances(), [instance]);

    client.post(1).idempotency_key("k").await.unwrap();
    // Answered out of its record.
    client.post(1).idempotency_key("k").await.unwrap();
    client.balance("nobody".into(), 1).await.unwrap_err();
    client.panics().await.unwrap_err();
    let waiting = tokio::spawn(async move { client.wait().await });
    ledger.entered(1).await;
    let calls = told(&mut watch).await;
    assert_eq!(
        named(&calls),
        [
            ("post", "ok", 1),
            ("post", "ok", 1),
            ("balance", "handler", 1),
            ("panics", "panicked", 1)
        ]
    );
    for call in &calls {
        assert_eq!(call.instance, instance);
        assert!(call.caller.is_some() && call.waited.is_some());
    }
    ledger.open(1);
    waiting.await.unwrap().unwrap();
    let calls = told(&mut watch).await;
    assert_eq!(named(&calls), [("wait", "ok", 1)]);
    assert_eq!(calls[0].took, Duration::from_secs(1));
    assert_eq!(watch.missed(), 0);
    // It reports for as long as somebody watches, and is heard of without calls.
    sleep(WATCH_LEASE * 3).await;
    assert_eq!(told(&mut watch).await, []);
    assert_eq!(watch.instances(), [instance]);
    bus.close(Duration::from_secs(1)).await;
    assert_eq!(watch.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn one_is_told_only_what_was_asked_for_and_how_much_of_it_was_missed() {
    let (bus, _, client, _serving) = bank().await;
    let control = bus.control(QUEUE);
    let failed = WatchOptions::new().failed();
    let mut failed = control.watch(&failed).await.unwrap();
    let few = WatchOptions::new().method("post").per_second(5);
    let mut few = control.watch(&few).await.unwrap();
    for _ in 0..50 {
        client.post(1).await.unwrap();
        client.balance("ada".into(), 1).await.unwrap();
    }
    client.balance("nobody".into(), 1).await.unwrap_err();
    assert_eq!(named(&told(&mut few).await), [("post", "ok", 1); 5]);
    assert_eq!(few.missed(), 45);
    client.post(1).await.unwrap();
    assert_eq!(told(&mut few).await.len(), 1);
    assert_eq!(few.missed(), 45);
    assert_eq!(named(&told(&mut failed).await), [("balance", "handler", 1)]);
    assert_eq!(failed.missed(), 0);

    let long = WatchOptions::new().method("x".repeat(201));
    let refused = control.watch(&long).await.unwrap_err();
    assert!(matches!(refused, ControlError::NotSent { .. }), "{refused}");
    let misnamed = bus.control("no queue}");
    let refused = misnamed.watch(&WatchOptions::new()).await.unwrap_err();
    assert!(matches!(refused, ControlError::Misnamed(_)), "{refused}");
}

#[queue_handler("payment.requests", timeout = "60s")]
trait Payments {
    /// Fails as often as `failures` says.
    #[command(retry(max = 3, base = "2s"))]
    async fn pay(&self, failures: u32) -> Result<u32, String>;
}

struct Away;

impl Payments for Away {
    async fn pay(&self, failures: u32) -> Result<u32, String> {
        let attempt = replybus::Context::current().attempt();
        match attempt <= failures {
            true => Err("the bank is away".to_owned()).retry_later(),
            false => Ok(attempt),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_run_of_a_command_that_is_put_off_is_told() {
    let bus = Bus::in_memory();
    let _serving = bus.serve(PaymentsServer::new(Away)).await.unwrap();
    let control = bus.control(PaymentsClient::CONTRACT.queue);
    let mut watch = control.watch(&WatchOptions::new()).await.unwrap();
    let client = PaymentsClient::new(&bus);
    assert_eq!(client.pay(2).await.unwrap(), 3);
    client.pay(9).await.unwrap_err();
    let calls = told(&mut watch).await;
    let (put_off, ok) = ("put_off", "ok");
    assert_eq!(
        named(&calls),
        [
            ("pay", put_off, 1),
            ("pay", put_off, 2),
            ("pay", ok, 3),
            ("pay", put_off, 1),
            ("pay", put_off, 2),
            ("pay", put_off, 3),
            ("pay", "handler", 4)
        ]
    );
    assert_eq!(calls[0].id, calls[2].id);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_comes_later_is_watched_as_well() {
    let net = Net::new();
    let (one, two, watcher) = (net.bus().await, net.bus().await, net.bus().await);
    let asked = Instant::now();
    let control = watcher.control(QUEUE);
    let mut watch = control.watch(&WatchOptions::new()).await.unwrap();
    assert_eq!(watch.instances(), []);
    assert!(asked.elapsed() <= Duration::from_secs(1));

    let ledger = Ledger::new();
    let first = one
        .serve(AccountsServer::new(ledger.clone()))
        .await
        .unwrap();
    let _second = two.serve(AccountsServer::new(ledger)).await.unwrap();
    sleep(WATCH_LEASE).await;
    let client = AccountsClient::new(&watcher);
    for _ in 0..4 {
        client.post(1).await.unwrap();
    }
    assert_eq!(told(&mut watch).await.len(), 4);
    assert_eq!(watch.instances().len(), 2);
    // What an instance took last is told when it ends.
    client.post(1).await.unwrap();
    client.post(1).await.unwrap();
    first.shutdown().await.unwrap();
    assert_eq!(told(&mut watch).await.len(), 2);
    sleep(WATCH_LEASE).await;
    assert_eq!(told(&mut watch).await, []);
    assert_eq!(watch.instances().len(), 1);
    assert_eq!(watch.missed(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_asks_once_is_told_for_a_lease_and_nothing_of_contents() {
    let net = Net::new();
    let bus = net.bus().await;
    let server = AccountsServer::new(Ledger::new());
    let _serving = bus.serve(server).await.unwrap();
    let heard = Arc::new(Heard::default());
    let store = Box::new(net.replies.clone())
        .open("", heard.clone())
        .await
        .unwrap();
    let transport = net.broker.connect();
    let id = CallId::new().to_string();
    let watch = |id: &str, inbox: Option<&str>, body: &str| {
        let mut message = question("watch", Some(id), inbox, body.as_bytes().to_vec());
        message.properties.content_type = Some("application/json".into());
        transport.publish(Outgoing::new(message).mandatory(false));
    };
    let inbox = Some(store.inbox());
    for (inbox, body) in [
        (None, r#"{"per_second":9}"#.to_owned()),
        (Some("session:admin"), r#"{"per_second":9}"#.to_owned()),
        (inbox, String::new()),
        (inbox, r#"{"per_second":"all"}"#.to_owned()),
        (inbox, r#"{"per_second":9,"end":true}"#.to_owned()),
        (inbox, format!(r#"{{"per_second":9{}}}"#, " ".repeat(9_999))),
    ] {
        watch(&id, inbox, &body);
    }
    let client = AccountsClient::new(&bus);
    client.post(7_777_777).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(heard.count(), 0);

    watch(&id, inbox, r#"{"per_second":9}"#);
    eventually("it is heard", || async { heard.count() == 1 }).await;
    let post = client.post(7_777_777).idempotency_key("secret-key");
    post.await.unwrap();
    eventually("it is told", || async { heard.count() == 2 }).await;
    let frame = heard.last();
    assert!(frame.contains(r#""method":"post""#), "{frame}");
    assert!(frame.contains(r#""matched":1"#), "{frame}");
    assert!(!frame.contains("7777777") && !frame.contains("secret"));
    sleep(WATCH_LEASE).await;
    client.post(1).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(heard.count(), 2);

    // So many are told at a time, and as soon as one has enough there is room for another.
    let ids: Vec<String> = (0..=WATCHES_MAX)
        .map(|_| CallId::new().to_string())
        .collect();
    for id in &ids {
        watch(id, inbox, r#"{"per_second":9}"#);
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(heard.count(), 2 + WATCHES_MAX);
    watch(&ids[0], inbox, r#"{"per_second":9,"end":true}"#);
    sleep(Duration::from_secs(1)).await;
    watch(&ids[WATCHES_MAX], inbox, r#"{"per_second":9}"#);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(heard.count(), 3 + WATCHES_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_dropped_makes_room_for_others() {
    let (bus, _, client, _serving) = bank().await;
    let control = bus.control(QUEUE);
    for _ in 0..3 * WATCHES_MAX {
        let watch = control.watch(&WatchOptions::new()).await.unwrap();
        assert_eq!(watch.instances().len(), 1);
        drop(watch);
        sleep(Duration::from_secs(1)).await;
    }
    client.post(1).await.unwrap();
}
