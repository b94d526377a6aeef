//! A signed job over RabbitMQ and Redis, which its worker leaves after the time that its caller signed.

use replybus::{
    Amqp, Bus, BusBuilder, Context, FailureKind, queue_handler,
    server::Serving,
    signature::{KeyRing, SigningKey},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{rabbitmq, redis, unique},
    wait::eventually,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// What the caller signs that it is to be started within.
const SHORT: Duration = Duration::from_secs(3);

#[queue_handler("works.requests")]
trait Works {
    /// Runs until it is let go, and is given up by a worker that leaves.
    #[command(job = "1h")]
    async fn build(&self) -> Result<u32, String>;
}

#[derive(Clone)]
struct Site {
    begun: Arc<AtomicU32>,
    is_open: watch::Sender<bool>,
}

impl Works for Site {
    async fn build(&self) -> Result<u32, String> {
        let context = Context::current();
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut is_open = self.is_open.subscribe();
        tokio::select! {
            opened = is_open.wait_for(|is_open| *is_open) => {
                opened.map_err(|closed| closed.to_string())?;
                Ok(context.attempt())
            }
            () = context.cancelled() => {
                context.release_key();
                Err("left".to_owned())
            }
        }
    }
}

fn key(name: &str, secret: u8) -> SigningKey {
    SigningKey::from_bytes(name, &[secret; 32]).unwrap()
}

fn ring(key: &SigningKey) -> KeyRing {
    KeyRing::new().trust(key.name(), &key.public_key()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_job_outlives_its_signature_and_its_worker() {
    let (Some(amqp), Some(redis)) = (rabbitmq().await, redis().await) else {
        return;
    };
    let namespace = unique("signed-jobs");
    let connect = async |builder: BusBuilder| {
        let bus = builder.namespace(&namespace);
        let bus = bus.connect(Amqp::new(&amqp), RedisReplies::new(&redis));
        bus.await.unwrap()
    };
    let (teller, works) = (key("teller-1", 1), key("works-1", 2));
    let site = Site {
        begun: Arc::default(),
        is_open: watch::Sender::new(false),
    };
    let serve = async || -> Serving {
        let service = connect(Bus::builder().sign(works.clone())).await;
        let serving = service.serve(WorksServer::new(site.clone()));
        let serving = serving.only_signed(ring(&teller));
        serving.drain_within(Duration::ZERO).await.unwrap()
    };
    let first = serve().await;
    let believes = Bus::builder().sign(teller.clone());
    let bus = connect(believes.only_signed_replies(ring(&works))).await;
    let build = WorksClient::new(&bus).build().timeout(SHORT);
    let ticket = build.submit().await.unwrap();
    let nobody = WorksClient::new(&connect(Bus::builder()).await);
    let denied = nobody.build().timeout(SHORT).await.unwrap_err();
    assert_eq!(denied.kind(), Some(FailureKind::Denied), "{denied:?}");

    eventually("it runs", || async {
        site.begun.load(Ordering::SeqCst) == 1
    })
    .await;
    // Its time is over when its message is kept, and its worker goes when that has been looked at.
    let looks = replybus::limits::JOB_HELD_FOR + replybus::limits::JOB_LOOKED_AT_EVERY;
    tokio::time::sleep(looks + Duration::from_secs(2)).await;
    first.shutdown().await.unwrap();
    let second = serve().await;
    eventually("it is begun anew", || async {
        site.begun.load(Ordering::SeqCst) == 2
    })
    .await;
    site.is_open.send_replace(true);
    assert_eq!(ticket.wait(&bus).await.unwrap(), 2);
    second.shutdown().await.unwrap();
    let letters = bus.inspect("works.requests.dead").await.unwrap();
    assert_eq!(letters.map_or(0, |letters| letters.waiting), 0);
    let left = Leftovers::of(&namespace).queues(["works.requests"]);
    let left = left.delays_to(["works.requests"]);
    left.delete(&amqp).await.unwrap();
}
