//! Instances are asked, and drained, over the control line.

use crate::bank::{AccountsClient, AccountsServer, Ledger};
use replybus::{
    Bus, Bytes, CallId, Instant,
    control::{ControlError, DrainOutcome},
    limits::{CONTROL_ANSWERS_PER_SECOND, CONTROL_ANSWERS_WITHIN},
    message::{Message, Properties},
    presence::InstanceId,
    reply::{Arrivals, Presence, ReplyBackend, memory::MemoryReplies},
    transport::{Outgoing, Transport, memory::MemoryBroker},
};
use replybus_testkit::wait::eventually;
use std::{
    future::IntoFuture,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

const QUEUE: &str = AccountsClient::CONTRACT.queue;
const MINUTE: Duration = Duration::from_secs(60);

/// Buses of one broker and one store.
#[derive(Clone)]
pub(crate) struct Net {
    pub(crate) broker: MemoryBroker,
    pub(crate) replies: MemoryReplies,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            broker: MemoryBroker::new(),
            replies: MemoryReplies::new(),
        }
    }

    pub(crate) async fn bus(&self) -> Bus {
        let opened = Bus::connect(self.broker.clone(), self.replies.clone());
        opened.await.unwrap()
    }
}

/// Takes replies as a process of its own.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<(CallId, Bytes)>>);

impl Heard {
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// The last of them, as text.
    pub(crate) fn last(&self) -> String {
        let heard = self.0.lock().unwrap();
        String::from_utf8(heard.last().unwrap().1.to_vec()).unwrap()
    }
}

impl Arrivals for Heard {
    fn arrived(&self, id: CallId, frame: Bytes) {
        self.0.lock().unwrap().push((id, frame));
    }

    fn waiting(&self) -> Vec<CallId> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_serve_a_queue_are_asked_and_answer_at_once() {
    let net = Net::new();
    let (one, two, asker) = (net.bus().await, net.bus().await, net.bus().await);
    let ledger = Ledger::new();
    let _one = one
        .serve(AccountsServer::new(ledger.clone()))
        .await
        .unwrap();
    let _two = two
        .serve(AccountsServer::new(ledger.clone()))
        .await
        .unwrap();
    let client = AccountsClient::new(&asker);
    for _ in 0..4 {
        client.post(1).await.unwrap();
        client.panics().await.unwrap_err();
    }
    client.balance("nobody".into(), 1).await.unwrap_err();

    let asked = Instant::now();
    let accounts = asker.control(QUEUE);
    let ids: Vec<_> = accounts
        .ping()
        .await
        .unwrap()
        .iter()
        .map(|pong| pong.instance)
        .collect();
    let known = asker.instances(QUEUE).await.unwrap();
    assert_eq!(
        ids,
        known.iter().map(|instance| instance.id).collect::<Vec<_>>()
    );
    assert_eq!(ids.len(), 2);
    let info = accounts.info().await.unwrap();
    assert_eq!(info.len(), 2);
    assert!(info.iter().all(|instance| instance.service == "Accounts"));
    let stats = accounts.stats().await.unwrap();
    let sum = |method: &str| {
        let of_both = stats.iter().filter_map(|stats| stats.methods.get(method));
        of_both.fold((0, 0), |(served, failed), of_one| {
            (served + of_one.served, failed + of_one.failed)
        })
    };
    assert_eq!(
        (sum("post"), sum("panics"), sum("balance")),
        ((4, 0), (0, 4), (1, 0))
    );
    for (method, calls, errors) in [("post", 4, 0), ("panics", 4, 0), ("balance", 1, 1)] {
        let of_all = stats.iter().filter_map(|stats| stats.methods.get(method));
        let (mut took, mut waited, mut own) = (0, 0, 0);
        for of_one in of_all {
            took += of_one.took.count();
            waited += of_one.waited.count();
            own += of_one.errors;
        }
        assert_eq!((took, waited, own), (calls, calls, errors), "{method}");
    }
    assert!(!stats[0].methods.contains_key("wait"));
    assert_eq!(asked.elapsed(), Duration::ZERO);

    let second = accounts.instance(ids[1]);
    let only: Vec<_> = second
        .ping()
        .await
        .unwrap()
        .iter()
        .map(|pong| pong.instance)
        .collect();
    assert_eq!(only, ids[1..]);
}

#[tokio::test(start_paused = true)]
async fn who_is_drained_ends_what_it_has_and_others_get_the_rest() {
    let net = Net::new();
    let (one, two, asker) = (net.bus().await, net.bus().await, net.bus().await);
    let (first, second) = (Ledger::new(), Ledger::new());
    let first_server = AccountsServer::new(first.clone());
    let serving = one.serve(first_server).allow_drain().await.unwrap();
    let client = AccountsClient::new(&asker);
    let running = tokio::spawn(client.work().timeout(MINUTE).into_future());
    first.entered(1).await;
    let id = asker.instances(QUEUE).await.unwrap()[0].id;
    let _two = two
        .serve(AccountsServer::new(second.clone()))
        .await
        .unwrap();

    let control = asker.control(QUEUE).instance(id);
    let draining = control.drain(Duration::from_secs(1)).await.unwrap();
    assert_eq!(
        (draining[0].instance, draining[0].outcome),
        (id, DrainOutcome::Draining)
    );
    for runs in 1..=4 {
        assert_eq!(client.post(1).await.unwrap(), runs);
    }
    assert_eq!(first.runs(), 0);
    let drained = tokio::spawn(async move { control.drain(MINUTE).await });
    sleep(Duration::from_secs(1)).await;
    first.open(1);
    let drained = drained.await.unwrap().unwrap();
    assert_eq!(drained[0].outcome, DrainOutcome::Drained { given_back: 0 });
    assert_eq!(running.await.unwrap().unwrap(), 1);
    // It ends as if it had been shut down, and is no reason to be down.
    assert_eq!(
        serving
            .run_until(std::future::pending::<()>())
            .await
            .unwrap()
            .given_back,
        0
    );
    assert!(one.health().is_up());
    eventually("one is left", || async {
        asker.instances(QUEUE).await.unwrap().len() == 1
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_allow_it_is_not_drained() {
    let bus = Bus::in_memory();
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let refused = bus.control(QUEUE).drain(MINUTE).await.unwrap();
    assert_eq!(refused[0].outcome, DrainOutcome::Refused);
    assert_eq!(AccountsClient::new(&bus).post(1).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_where_nobody_serves_and_not_for_long_who_is_silent() {
    let net = Net::new();
    let bus = net.bus().await;
    let asked = Instant::now();
    assert_eq!(bus.control(QUEUE).ping().await.unwrap(), []);
    assert_eq!(asked.elapsed(), Duration::ZERO);
    let misnamed = bus.control("no queue}").ping().await.unwrap_err();
    assert!(
        matches!(misnamed, ControlError::Misnamed(_)),
        "{misnamed:?}"
    );

    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let arrivals = Arc::new(Heard::default());
    let store = Box::new(net.replies).open("", arrivals).await.unwrap();
    let killed = InstanceId::from_bytes(*CallId::new().as_bytes());
    let record = store.present(QUEUE).await.unwrap().remove(0);
    let real = bus.instances(QUEUE).await.unwrap()[0].id;
    let forged = String::from_utf8(record.to_vec()).unwrap();
    let forged = forged.replace(&real.to_string(), &killed.to_string());
    store
        .announce(&Presence::new(QUEUE, killed, forged.into()))
        .await
        .unwrap();
    let asked = Instant::now();
    assert_eq!(bus.control(QUEUE).ping().await.unwrap().len(), 1);
    assert_eq!(asked.elapsed(), CONTROL_ANSWERS_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_has_no_document_of_its_contract_says_why() {
    let bus = Bus::in_memory();
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let told = bus.control(QUEUE).contracts().await.unwrap();
    assert_eq!((told.len(), &told[0].document), (1, &None));
    let reason = told[0].reason.as_deref().unwrap();
    assert!(reason.contains("schema"), "{reason}");
}

/// A question as anybody could send it.
pub(crate) fn question(
    kind: &str,
    id: Option<&str>,
    reply_to: Option<&str>,
    body: Vec<u8>,
) -> Message {
    Message {
        exchange: "replybus.control".into(),
        routing_key: QUEUE.into(),
        properties: Properties {
            kind: Some(kind.into()),
            correlation_id: id.map(Into::into),
            reply_to: reply_to.map(Into::into),
            ..Properties::default()
        },
        body: body.into(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_malformed_or_too_much_is_passed_over() {
    let net = Net::new();
    let bus = net.bus().await;
    let server = AccountsServer::new(Ledger::new());
    let _serving = bus.serve(server).allow_drain().await.unwrap();
    let heard = Arc::new(Heard::default());
    let store = Box::new(net.replies.clone())
        .open("", heard.clone())
        .await
        .unwrap();
    let transport = net.broker.connect();
    let publish = |message| transport.publish(Outgoing::new(message).mandatory(false));
    let (id, inbox) = (CallId::new().to_string(), store.inbox().to_owned());
    let (id, inbox) = (Some(id.as_str()), Some(inbox.as_str()));
    for message in [
        question("ping", None, inbox, Vec::new()),
        question("ping", Some("17"), inbox, Vec::new()),
        question("ping", id, Some("session:admin"), Vec::new()),
        question("ping", id, inbox, vec![0; 100_000]),
        question("explode", id, inbox, Vec::new()),
        question("drain", id, inbox, b"\x81\xa9within_ms\xa1x".to_vec()),
        question("drain", id, inbox, vec![0xc1; 9]),
    ] {
        publish(message);
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(heard.count(), 0);

    for second in 1..=3 {
        for _ in 0..1_000 {
            let id = CallId::new().to_string();
            publish(question("stats", Some(&id), inbox, Vec::new()));
        }
        sleep(Duration::from_secs(1)).await;
        let most = usize::try_from(CONTROL_ANSWERS_PER_SECOND).unwrap() * second;
        assert!(
            (most / 2..=most).contains(&heard.count()),
            "{}",
            heard.count()
        );
    }
    assert_eq!(bus.control(QUEUE).ping().await.unwrap().len(), 1);
    assert_eq!(AccountsClient::new(&bus).post(1).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_inbox_finds_the_answer_under_the_id_of_the_question() {
    let net = Net::new();
    let bus = net.bus().await;
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let store = Box::new(net.replies).open("", Arc::new(Heard::default()));
    let (store, id) = (store.await.unwrap(), CallId::new());
    let mut ping = question("ping", Some(&id.to_string()), None, Vec::new());
    ping.properties.content_type = Some("application/json".into());
    net.broker.connect().publish(Outgoing::new(ping));
    eventually("it is answered", || async {
        store.fetch(id).await.unwrap().is_some()
    })
    .await;
    let answer = store.fetch(id).await.unwrap().unwrap();
    let instance = bus.instances(QUEUE).await.unwrap()[0].id;
    let said = format!(r#"{{"status":"ok","body":{{"instance":"{instance}"}}}}"#);
    assert_eq!(answer, said);
}
