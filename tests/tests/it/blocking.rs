//! A handler that blocks its thread for longer than its lease runs once all the same, while another
//! worker asks for the same key all the time.

use replybus::{
    Amqp, Bus, Never, limits::CLAIM_LEASE, queue_handler, reply::memory::MemoryReplies,
    transport::memory::MemoryBroker,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{rabbitmq, redis, unique},
    wait::bounded,
};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::{
    runtime::{Builder, RuntimeFlavor},
    sync::{Semaphore, oneshot},
};

#[queue_handler("proof.requests", timeout = "3m")]
trait Proof {
    /// Blocks for longer than a lease, and counts its runs.
    async fn search(&self) -> Result<u32, Never>;
}

#[derive(Clone)]
struct Search {
    runs: Arc<AtomicU32>,
    entered: Arc<Semaphore>,
}

impl Proof for Search {
    async fn search(&self) -> Result<u32, Never> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        self.entered.add_permits(1);
        let block = || thread::sleep(CLAIM_LEASE + CLAIM_LEASE / 2);
        match tokio::runtime::Handle::current().runtime_flavor() {
            RuntimeFlavor::MultiThread => tokio::task::block_in_place(block),
            _ => block(),
        }
        Ok(run)
    }
}

/// Servers that several programs share.
#[derive(Clone)]
enum Servers {
    Memory(MemoryBroker, MemoryReplies),
    Live {
        amqp: String,
        redis: String,
        namespace: String,
    },
}

impl Servers {
    fn memory() -> Self {
        Self::Memory(MemoryBroker::new(), MemoryReplies::new())
    }

    async fn live() -> Option<Self> {
        Some(Self::Live {
            amqp: rabbitmq().await?,
            redis: redis().await?,
            namespace: unique("blocking"),
        })
    }

    /// A program on them.
    async fn bus(&self) -> Bus {
        let connected = match self {
            Self::Memory(broker, replies) => Bus::connect(broker.clone(), replies.clone()).await,
            Self::Live {
                amqp,
                redis,
                namespace,
            } => {
                let bus = Bus::builder().namespace(namespace);
                bus.connect(Amqp::new(amqp), RedisReplies::new(redis)).await
            }
        };
        connected.unwrap()
    }

    async fn clean_up(&self) {
        let Self::Live {
            amqp, namespace, ..
        } = self
        else {
            return;
        };
        let left = Leftovers::of(namespace).queues(["proof.requests"]);
        left.delete(amqp).await.unwrap();
    }
}

/// A program that serves on a runtime of its own, until the sender is dropped.
fn worker(
    servers: Servers,
    mut runtime: Builder,
    search: Search,
) -> (
    oneshot::Receiver<()>,
    oneshot::Sender<()>,
    thread::JoinHandle<()>,
) {
    let (serves, serving) = oneshot::channel();
    let (end, ended) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let bus = servers.bus().await;
            let serving = bus.serve(ProofServer::new(search)).await.unwrap();
            serves.send(()).unwrap();
            let _ = ended.await;
            serving.shutdown().await.unwrap();
            bus.close(Duration::from_secs(5)).await;
        });
    });
    (serving, end, thread)
}

async fn runs_once(servers: Servers, runtime: Builder) {
    let search = Search {
        runs: Arc::default(),
        entered: Arc::new(Semaphore::new(0)),
    };
    let (serving, end, thread) = worker(servers.clone(), runtime, search.clone());
    serving.await.unwrap();
    let bus = servers.bus().await;
    let client = ProofClient::new(&bus);
    let call = || tokio::spawn(client.search().idempotency_key("proof").into_future());
    let first = call();
    let _entered = search.entered.acquire().await.unwrap();
    let other = bus.serve(ProofServer::new(search.clone())).await.unwrap();
    // Of several some go to the other worker, whatever the turns are.
    let again: Vec<_> = (0..4).map(|_| call()).collect();
    for call in again.into_iter().chain([first]) {
        assert_eq!(call.await.unwrap().unwrap(), 1);
    }
    assert_eq!(search.runs.load(Ordering::SeqCst), 1);
    other.shutdown().await.unwrap();
    bus.close(Duration::from_secs(5)).await;
    drop(end);
    tokio::task::spawn_blocking(|| thread.join())
        .await
        .unwrap()
        .unwrap();
    servers.clean_up().await;
}

fn two_threads() -> Builder {
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(2);
    runtime
}

#[tokio::test]
async fn in_one_process_on_many_threads() {
    bounded(runs_once(Servers::memory(), two_threads())).await;
}

#[tokio::test]
async fn in_one_process_on_one_thread() {
    bounded(runs_once(Servers::memory(), Builder::new_current_thread())).await;
}

#[tokio::test]
async fn on_servers_on_many_threads() {
    let Some(servers) = Servers::live().await else {
        return;
    };
    bounded(runs_once(servers, two_threads())).await;
}

#[tokio::test]
async fn on_servers_on_one_thread() {
    let Some(servers) = Servers::live().await else {
        return;
    };
    bounded(runs_once(servers, Builder::new_current_thread())).await;
}
