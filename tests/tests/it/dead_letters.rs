//! Dead letters are put back over real servers while whoever does it dies: none is lost, and none is
//! done twice.

use replybus::{
    Amqp, Bus, Never,
    dead_letters::{DeadLetterError, Redriven},
    queue_handler,
    reply::memory::MemoryReplies,
    server::Serving,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{self, unique},
    proxy::{Mode, Proxy},
    wait::eventually,
};
use std::{
    collections::BTreeMap,
    env,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

const QUEUE: &str = "shop.requests";

#[queue_handler("shop.requests")]
trait Shop {
    async fn order(&self, number: u32) -> Result<(), Never>;
}

#[queue_handler("narrow.requests", queue_length_max = 3)]
trait Narrow {
    async fn order(&self, number: u32) -> Result<(), Never>;
}

/// Panics until it is repaired, and counts what it does.
#[derive(Clone, Default)]
struct Till {
    repaired: Arc<AtomicBool>,
    orders: Arc<Mutex<BTreeMap<u32, u32>>>,
}

impl Till {
    fn take(&self, number: u32) {
        assert!(self.repaired.load(Ordering::SeqCst), "the till is broken");
        *self.orders.lock().unwrap().entry(number).or_default() += 1;
    }

    /// How often each order was made.
    fn orders(&self) -> BTreeMap<u32, u32> {
        self.orders.lock().unwrap().clone()
    }
}

impl Shop for Till {
    async fn order(&self, number: u32) -> Result<(), Never> {
        self.take(number);
        Ok(())
    }
}

impl Narrow for Till {
    async fn order(&self, number: u32) -> Result<(), Never> {
        self.take(number);
        Ok(())
    }
}

/// A shop over both servers, with dead letters.
struct Site {
    amqp_url: String,
    namespace: String,
    bus: Bus,
    till: Till,
    serving: Option<Serving>,
}

/// A bus for whoever puts letters back: it asks no reply store.
async fn redriver(amqp_url: &str, namespace: &str) -> Bus {
    let bus = Bus::builder().namespace(namespace);
    let bus = bus.connect(Amqp::new(amqp_url), MemoryReplies::new());
    bus.await.unwrap()
}

impl Site {
    async fn open() -> Option<Self> {
        let (amqp_url, redis_url) = (live::rabbitmq().await?, live::redis().await?);
        let namespace = unique("letters");
        let bus = Bus::builder().namespace(&namespace);
        let replies = RedisReplies::new(redis_url);
        let bus = bus.connect(Amqp::new(&amqp_url), replies).await.unwrap();
        Some(Self {
            amqp_url,
            namespace,
            bus,
            till: Till::default(),
            serving: None,
        })
    }

    /// With so many orders that failed, and a till that is repaired since.
    async fn broken(orders: u32) -> Option<Self> {
        let mut site = Self::open().await?;
        let server = ShopServer::new(site.till.clone());
        site.serving = Some(site.bus.serve(server).await.unwrap());
        let shop = ShopClient::new(&site.bus);
        for number in 0..orders {
            let order = shop.order(number).idempotency_key(number.to_string());
            order.send().await.unwrap();
        }
        site.kept(QUEUE, orders.into()).await;
        site.till.repaired.store(true, Ordering::SeqCst);
        Some(site)
    }

    async fn kept(&self, of: &str, letters: u64) {
        let queue = format!("{of}.dead");
        let what = format!("{letters} letters are kept");
        eventually(&what, || async {
            let state = self.bus.inspect(&queue).await;
            state.is_ok_and(|state| state.is_some_and(|state| state.waiting == letters))
        })
        .await;
    }

    /// Puts back what is left, and sees that each order was made once.
    async fn finish(self, orders: u32) {
        let bus = redriver(&self.amqp_url, &self.namespace).await;
        // What a lost connection held is back when the broker has noticed.
        eventually("all orders are made", || async {
            let redrive = bus.dead_letters(QUEUE).redrive(|_| true);
            assert_eq!(redrive.await.unwrap().stayed, 0);
            self.till.orders().len() == orders as usize
        })
        .await;
        self.serving.unwrap().shutdown().await.unwrap();
        let twice = self.till.orders().into_iter().find(|(_, times)| *times > 1);
        assert_eq!(twice, None, "a copy was not recognised");
        self.bus.close(Duration::from_secs(5)).await;
        let left = Leftovers::of(&self.namespace).queues([QUEUE]);
        left.delete(&self.amqp_url).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_loses_no_letter() {
    let Some(site) = Site::broken(300).await else {
        return;
    };
    let (proxy, url) = Proxy::before(&site.amqp_url, 5672).await.unwrap();
    let (proxy, bus) = (
        Arc::new(proxy),
        redriver(url.as_str(), &site.namespace).await,
    );
    let mut cuts = 0;
    for after in [1, 40, 100] {
        let (proxy, put_back) = (Arc::clone(&proxy), AtomicU32::new(0));
        let redrive = bus.dead_letters(QUEUE).redrive(|_| true);
        let outcome = redrive.on_progress(move |_| {
            if put_back.fetch_add(1, Ordering::SeqCst) == after {
                proxy.set(Mode::Cut);
            }
        });
        let outcome: Result<Redriven, DeadLetterError> = outcome.await;
        cuts += u32::from(outcome.is_err());
        eventually("it is connected again", || async { bus.health().is_up() }).await;
    }
    assert!(cuts > 0, "each was over before it was cut");
    bus.close(Duration::from_secs(5)).await;
    site.finish(300).await;
}

const CHILD: &str = "REPLYBUS_TESTS_REDRIVE";

/// What the process does that is killed; nothing unless it is one.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Ok(namespace) = env::var(CHILD) else {
        return;
    };
    let bus = redriver(&live::rabbitmq().await.unwrap(), &namespace).await;
    let redrive = bus.dead_letters(QUEUE).redrive(|_| true);
    let redrive = redrive.on_progress(|progress| println!("put back {}", progress.seen));
    redrive.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_loses_no_letter() {
    let Some(site) = Site::broken(300).await else {
        return;
    };
    for after in [1, 60] {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "dead_letters::the_process_that_is_killed",
                "--nocapture",
            ])
            .env(CHILD, &site.namespace)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut put_back = 0;
        while put_back < after
            && let Some(line) = said.next_line().await.unwrap()
        {
            put_back += u32::from(line.starts_with("put back"));
        }
        assert_eq!(put_back, after, "it had letters to put back");
        child.kill().await.unwrap();
    }
    site.finish(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_full_leaves_the_letters_where_they_are() {
    let Some(site) = Site::open().await else {
        return;
    };
    let serve = || site.bus.serve(NarrowServer::new(site.till.clone()));
    let serving = serve().await.unwrap();
    let narrow = NarrowClient::new(&site.bus);
    for number in 0..8 {
        // One after the other: there is room for three.
        narrow
            .order(number)
            .idempotency_key(number.to_string())
            .send()
            .await
            .unwrap();
        site.kept("narrow.requests", u64::from(number) + 1).await;
    }
    serving.shutdown().await.unwrap();
    let letters = site.bus.dead_letters("narrow.requests");
    let error = letters.redrive(|_| true).await.unwrap_err();
    let DeadLetterError::NotTaken {
        redriven, reason, ..
    } = &error
    else {
        panic!("{error}")
    };
    // A classic queue may take a few more than its limit before it refuses.
    assert!(
        (3..8).contains(redriven) && reason == "it is full",
        "{error}"
    );
    site.kept("narrow.requests", 8 - redriven).await;

    site.till.repaired.store(true, Ordering::SeqCst);
    let serving = serve().await.unwrap();
    eventually("all orders are made", || async {
        // Refused again while the first are being taken.
        let _ = letters.redrive(|_| true).at_most(1).await;
        site.till.orders().len() == 8
    })
    .await;
    assert!(site.till.orders().values().all(|times| *times == 1));
    serving.shutdown().await.unwrap();
    let left = Leftovers::of(&site.namespace).queues(["narrow.requests"]);
    left.delete(&site.amqp_url).await.unwrap();
}
