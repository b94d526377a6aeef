//! Calls that are dropped, while servers and connections break.

use super::rig::{Rig, Settings, bounded, connect, eventually, until};
use replybus::{Bus, Context, Never, queue_handler};
use replybus_testkit::{
    live::unique,
    proxy::{Mode, Proxy},
    servers::Persistence,
};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// Longer than any wait of these tests: what ends sooner was cancelled.
#[queue_handler("job.requests", timeout = "10m")]
trait Jobs {
    /// Never ends by itself.
    #[query]
    async fn watch(&self) -> Result<(), Never>;

    /// Ends when it is cancelled.
    async fn work(&self) -> Result<(), Never>;

    #[query]
    async fn look(&self) -> Result<u32, Never>;
}

/// Counts the handlers that began and that ended.
#[derive(Debug, Clone, Default)]
struct Workshop(Arc<[AtomicU32; 2]>);

struct Ended(Workshop);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.0[1].fetch_add(1, Ordering::SeqCst);
    }
}

impl Workshop {
    fn counts(&self) -> [u32; 2] {
        [0, 1].map(|at: usize| self.0[at].load(Ordering::SeqCst))
    }

    fn begin(&self) -> Ended {
        self.0[0].fetch_add(1, Ordering::SeqCst);
        Ended(self.clone())
    }

    fn is_idle(&self) -> bool {
        let [began, ended] = self.counts();
        began == ended
    }
}

impl Jobs for Workshop {
    async fn watch(&self) -> Result<(), Never> {
        let _ended = self.begin();
        std::future::pending().await
    }

    async fn work(&self) -> Result<(), Never> {
        let _ended = self.begin();
        Context::current().cancelled().await;
        Ok(())
    }

    async fn look(&self) -> Result<u32, Never> {
        Ok(7)
    }
}

/// Starts a call, and drops it when it is in its handler. An error if it does not end soon.
async fn drop_one<F: IntoFuture>(call: F, workshop: &Workshop) -> Result<(), [u32; 2]>
where
    F::IntoFuture: Send + 'static,
    F::Output: Send + 'static,
{
    /// A cancel may be lost, and is tried again then.
    const SOON: Duration = Duration::from_secs(5);
    let [before, _] = workshop.counts();
    let called = tokio::spawn(call.into_future());
    let begins = eventually("it begins", || async { workshop.counts()[0] > before });
    let begun = timeout(SOON, begins).await.is_ok();
    called.abort();
    let ends = eventually("it ends", || async { begun && workshop.is_idle() });
    timeout(SOON, ends).await.map_err(|_| workshop.counts())
}

async fn cancels(jobs: &JobsClient, workshop: &Workshop) {
    until("a query is dropped", || drop_one(jobs.watch(), workshop)).await;
    until("a command is told", || drop_one(jobs.work(), workshop)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_calls_are_cancelled_again_after_every_fault() {
    let Some(mut rig) = Rig::start(Persistence::AppendOnly).await else {
        return;
    };
    let proxies = [rig.rabbit.address(), rig.redis.address()].repeat(2);
    let mut links = Vec::new();
    for server in proxies {
        links.push(Proxy::to(server).await.unwrap());
    }
    let bus = async |side: usize| {
        let servers = (
            format!("amqp://guest:guest@{}/%2f", links[side * 2].addr()),
            format!("redis://{}/0", links[side * 2 + 1].addr()),
        );
        connect("cancel", Settings::quick(), &servers).await
    };
    let (caller, worker) = (bus(0).await, bus(1).await);
    let workshop = Workshop::default();
    let serving = worker
        .serve(JobsServer::new(workshop.clone()))
        .await
        .unwrap();
    let jobs = JobsClient::new(&caller);
    cancels(&jobs, &workshop).await;
    for link in &links {
        link.set(Mode::Cut);
        link.set(Mode::Pass);
        cancels(&jobs, &workshop).await;
    }
    rig.redis.restart().await.unwrap();
    cancels(&jobs, &workshop).await;
    rig.rabbit.restart().await.unwrap();
    cancels(&jobs, &workshop).await;
    assert_eq!(bounded(jobs.look().into_future()).await.unwrap(), 7);

    serving.shutdown().await.unwrap();
    let control = |name: &str| name.starts_with("cancel.replybus.control.");
    eventually("no control queue is left", || async {
        let listed = rig.rabbit.ctl(&["list_queues", "name"]).await.unwrap();
        !listed.lines().any(control)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_right_to_the_control_line_all_else_goes_on() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("silent");
    let only_requests = format!(r"^({namespace}\.job\.requests.*|amq\.default)$");
    let url = rig.url_of("silent", [only_requests.as_str(); 3]).await;
    let servers = (url, rig.redis.url());
    let bus = || connect(&namespace, Settings::quick(), &servers);
    let (caller, worker): (Bus, Bus) = (bus().await, bus().await);
    let workshop = Workshop::default();
    let serving = worker.serve(JobsServer::new(workshop.clone()));
    let _serving = bounded(serving.into_future()).await.unwrap();
    let jobs = JobsClient::new(&caller);
    for round in 1..=3 {
        let dropped = tokio::spawn(jobs.watch().into_future());
        eventually("it begins", || async { workshop.counts()[0] == round }).await;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..50 {
            calls.spawn(jobs.look().into_future());
        }
        dropped.abort();
        for answer in calls.join_all().await {
            assert_eq!(answer.unwrap(), 7);
        }
    }
    assert!(worker.health().is_up(), "{:?}", worker.health());
    assert_eq!(workshop.counts(), [3, 0]);
}
