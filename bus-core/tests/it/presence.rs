//! Who serves a queue, as others see it.

use crate::{
    bad_input::Nobody,
    bank::{AccountsClient, AccountsServer, Ledger},
};
use replybus::{
    Bus, Bytes, CallId, Never,
    limits::PRESENCE_TTL,
    presence::{Instance, InstanceId},
    queue_handler,
    reply::{Presence, ReplyBackend, ReplyStore, memory::MemoryReplies},
    transport::memory::MemoryBroker,
};
use replybus_testkit::wait::eventually;
use std::{future::IntoFuture, sync::Arc, time::Duration};
use tokio::time::{advance, sleep};

const QUEUE: &str = AccountsClient::CONTRACT.queue;

/// The time for which an instance counts as serving in a store in memory.
fn bus_ttl() -> Duration {
    Duration::from_secs(24 * 60 * 60)
}

async fn instances(bus: &Bus) -> Vec<Instance> {
    bus.instances(QUEUE).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_instance_says_what_it_is_and_does_until_it_is_shut_down() {
    let bus = Bus::in_memory();
    assert_eq!(instances(&bus).await, []);
    let ledger = Ledger::new();
    let serving = bus.serve(AccountsServer::new(ledger.clone()));
    let serving = serving.version("1.2.3").await.unwrap();
    let client = AccountsClient::new(&bus);
    let call = tokio::spawn(client.wait().timeout(Duration::from_secs(60)).into_future());
    ledger.entered(1).await;

    let [instance] = &instances(&bus).await[..] else {
        panic!("one instance")
    };
    assert_eq!(instance.service, "Accounts");
    assert_eq!(instance.version.as_deref(), Some("1.2.3"));
    assert_eq!(instance.process, std::process::id());
    assert!(!instance.draining);
    let contract = AccountsClient::CONTRACT;
    assert_eq!(instance.methods.len(), contract.methods.len());
    for method in contract.methods {
        let said = &instance.methods[method.name];
        assert_eq!(said.parse(), Ok(contract.fingerprint(method)), "{said}");
    }

    let stopping = tokio::spawn(serving.shutdown());
    eventually("it says that it drains", || async {
        matches!(&instances(&bus).await[..], [instance] if instance.draining && instance.in_flight == 1)
    })
    .await;
    ledger.open(1);
    call.await.unwrap().unwrap();
    stopping.await.unwrap().unwrap();
    assert_eq!(instances(&bus).await, []);
}

#[tokio::test(start_paused = true)]
async fn every_instance_is_seen_for_as_long_as_it_serves() {
    let bus = Bus::in_memory();
    let mut serving = Vec::new();
    for _ in 0..3 {
        let served = bus.serve(AccountsServer::new(Ledger::new()));
        serving.push(served.await.unwrap());
    }
    for _ in 0..10 {
        sleep(bus_ttl()).await;
        assert_eq!(instances(&bus).await.len(), 3);
    }
    drop(serving);
    eventually("they are gone", || async {
        instances(&bus).await.is_empty()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn closing_a_bus_removes_its_instances() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let open = async || Bus::connect(broker.clone(), replies.clone()).await.unwrap();
    let (worker, other) = (open().await, open().await);
    let _serving = worker
        .serve(AccountsServer::new(Ledger::new()))
        .await
        .unwrap();
    assert_eq!(instances(&other).await.len(), 1);
    worker.close(Duration::from_secs(5)).await;
    assert_eq!(instances(&other).await, []);
}

mod earlier {
    use super::{Never, queue_handler};

    #[queue_handler("shape.requests")]
    pub(super) trait Shape {
        #[query]
        async fn same(&self, side: u32) -> Result<u32, Never>;
        #[query]
        async fn other(&self, side: u32) -> Result<u32, Never>;
    }
}

mod later {
    use super::{Never, queue_handler};

    #[queue_handler("shape.requests")]
    pub(super) trait Shape {
        #[query]
        async fn same(&self, side: u32) -> Result<u32, Never>;
        #[query]
        async fn other(&self, side: u64) -> Result<u32, Never>;
    }
}

struct Square;

impl earlier::Shape for Square {
    async fn same(&self, side: u32) -> Result<u32, Never> {
        Ok(side)
    }
    async fn other(&self, side: u32) -> Result<u32, Never> {
        Ok(side)
    }
}

impl later::Shape for Square {
    async fn same(&self, side: u32) -> Result<u32, Never> {
        Ok(side)
    }
    async fn other(&self, _: u64) -> Result<u32, Never> {
        Ok(0)
    }
}

#[tokio::test(start_paused = true)]
async fn methods_of_one_name_that_differ_have_other_fingerprints() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let open = async || Bus::connect(broker.clone(), replies.clone()).await.unwrap();
    let (old, new) = (open().await, open().await);
    let _old = old.serve(earlier::ShapeServer::new(Square)).await.unwrap();
    let _new = new.serve(later::ShapeServer::new(Square)).await.unwrap();
    let both = old.instances("shape.requests").await.unwrap();
    let [one, two] = &both[..] else {
        panic!("two instances")
    };
    assert_eq!(one.methods["same"], two.methods["same"]);
    assert_ne!(one.methods["other"], two.methods["other"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_forged_is_passed_over() {
    let replies = MemoryReplies::new();
    let bus = Bus::connect(MemoryBroker::new(), replies.clone())
        .await
        .unwrap();
    let forger: Arc<dyn ReplyStore> = Box::new(replies).open("", Arc::new(Nobody)).await.unwrap();
    let forge = async |record: Bytes| {
        let id = InstanceId::from_bytes(*CallId::new().as_bytes());
        let presence = Presence::new(QUEUE, id, record);
        forger.announce(&presence).await.unwrap();
    };
    for garbage in ["", "[]", "{}", "{\"id\":7}", "\u{0}\u{1}"] {
        forge(garbage.into()).await;
    }
    forge(vec![b'['; 10_000].into()).await;
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    assert_eq!(instances(&bus).await.len(), 1);
    // The record of another under a name of its own is one and the same.
    let real = forger.present(QUEUE).await.unwrap();
    let real = real
        .into_iter()
        .max_by_key(|record| (record.starts_with(b"{\"id\":\""), record.len()));
    forge(real.unwrap()).await;
    assert_eq!(instances(&bus).await.len(), 1);
    advance(PRESENCE_TTL + Duration::from_secs(1)).await;
    sleep(PRESENCE_TTL).await;
    assert_eq!(instances(&bus).await.len(), 1);
}

#[tokio::test]
async fn what_can_be_no_version_or_queue_is_refused() {
    let bus = Bus::in_memory();
    for version in ["", "1\n2", &"x".repeat(256)] {
        let served = bus
            .serve(AccountsServer::new(Ledger::new()))
            .version(version);
        assert!(served.await.unwrap_err().to_string().contains("version"));
    }
    assert!(bus.instances("no queue}").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn all_that_is_served_is_listed_by_queue_and_names_that_are_none_are_passed_over() {
    let broker = MemoryBroker::new();
    let replies = MemoryReplies::new();
    let bus = Bus::connect(broker, replies.clone()).await.unwrap();
    assert_eq!(bus.services().await.unwrap(), []);
    let mut serving = Vec::new();
    for queue in ["b.requests", "a.requests", "b.requests"] {
        let other = Bus::connect(MemoryBroker::new(), replies.clone())
            .await
            .unwrap();
        let served = other.serve(AccountsServer::new(Ledger::new()));
        serving.push(served.on_queue(queue).await.unwrap());
    }
    let store: Box<dyn ReplyBackend> = Box::new(replies);
    let store = store.open("", Arc::new(Nobody)).await.unwrap();
    let forged = InstanceId::from_bytes(*CallId::new().as_bytes());
    for queue in ["\u{1b}[2J", "c.requests", ""] {
        let record = Bytes::from_static(b"no record");
        store
            .announce(&Presence::new(queue, forged, record))
            .await
            .unwrap();
    }
    let served = bus.services().await.unwrap();
    let served: Vec<_> = served
        .iter()
        .map(|s| (&*s.queue, s.instances.len()))
        .collect();
    let none_is_known = ("c.requests", 0);
    assert_eq!(
        served,
        [("a.requests", 1), ("b.requests", 2), none_is_known]
    );
}
