//! Signed requests and replies over RabbitMQ and Redis: what these make of a message leaves its
//! signature good.

use futures_util::future::join_all;
use replybus::{
    Amqp, Bus, BusBuilder, FailureKind, RetryLater, queue_handler,
    signature::{KeyRing, SigningKey},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{rabbitmq, redis, unique},
    wait::{eventually, until},
};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

#[queue_handler("vault.requests", timeout = "20s")]
trait Vault {
    #[query]
    async fn look(&self, shelf: u32) -> Result<u32, String>;

    /// Is put off until the broker has kept it for more than a second.
    #[command(retry(max = 3, base = "1500ms"))]
    async fn put(&self, shelf: u32) -> Result<u32, String>;
}

#[derive(Default)]
struct Steel(AtomicU32);

impl Vault for Arc<Steel> {
    async fn look(&self, shelf: u32) -> Result<u32, String> {
        Ok(shelf)
    }

    async fn put(&self, shelf: u32) -> Result<u32, String> {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err("not yet".to_owned()).retry_later();
        }
        Ok(shelf)
    }
}

fn key(name: &str, secret: u8) -> SigningKey {
    SigningKey::from_bytes(name, &[secret; 32]).unwrap()
}

fn ring(key: &SigningKey) -> KeyRing {
    KeyRing::new().trust(key.name(), &key.public_key()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_servers_make_of_a_message_leaves_its_signature_good() {
    let (Some(amqp), Some(redis)) = (rabbitmq().await, redis().await) else {
        return;
    };
    let namespace = unique("signed");
    let connect = async |builder: BusBuilder| {
        let builder = builder.namespace(&namespace).app_id("teller");
        let bus = builder.connect(Amqp::new(&amqp), RedisReplies::new(&redis));
        bus.await.unwrap()
    };
    let (teller, vault) = (key("teller-1", 1), key("vault-1", 2));
    let service = connect(Bus::builder().sign(vault.clone())).await;
    let steel = Arc::new(Steel::default());
    let serving = service.serve(VaultServer::new(Arc::clone(&steel)));
    let serving = serving.only_signed(ring(&teller)).await.unwrap();

    let believes = Bus::builder().sign(teller.clone());
    let bus = connect(believes.only_signed_replies(ring(&vault))).await;
    let client = VaultClient::new(&bus);
    // Many at once are bundles.
    let many = join_all((0..300).map(|shelf| {
        let look = client.look(shelf).metadata("tenant", "ä");
        look.into_future()
    }));
    for (shelf, found) in many.await.into_iter().enumerate() {
        assert_eq!(usize::try_from(found.unwrap()).unwrap(), shelf);
    }
    // Put off, it waits on the broker; submitted for later, it does so at first.
    assert_eq!(client.put(1).idempotency_key("one").await.unwrap(), 1);
    assert_eq!(steel.0.load(Ordering::Relaxed), 2);
    let ticket = client.put(2).submit_after(Duration::from_millis(1200));
    assert_eq!(ticket.await.unwrap().wait(&bus).await.unwrap(), 2);

    let nobody = connect(Bus::builder()).await;
    let denied = VaultClient::new(&nobody).look(1).await.unwrap_err();
    assert_eq!(denied.kind(), Some(FailureKind::Denied), "{denied:?}");
    let runs = steel.0.load(Ordering::Relaxed);
    VaultClient::new(&nobody).put(3).send().await.unwrap();
    let letters = nobody.dead_letters("vault.requests");
    until("it is a letter", || async {
        match letters.list(0..10).await {
            Ok(page) if page.letters.len() == 1 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // Who has the key asks for it again.
    let letters = bus.dead_letters("vault.requests");
    assert_eq!(letters.redrive(|_| true).await.unwrap().redriven, 1);
    eventually("it runs", || async {
        steel.0.load(Ordering::Relaxed) > runs
    })
    .await;
    serving.shutdown().await.unwrap();
    let left = Leftovers::of(&namespace).queues(["vault.requests"]);
    let left = left.delays_to(["vault.requests"]);
    left.delete(&amqp).await.unwrap();
}
