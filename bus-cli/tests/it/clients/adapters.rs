//! The adapters by which callers of other frameworks reach services on the bus, and the other way
//! round: each as its example has it, before the worker that the client's page shows.

use super::{
    brought::{self, Runner},
    desk::{remove, with_letters},
    foreign::Worker,
    readme::shown,
};
use cart::{CartClient, CartError, CartServer, Carts};
use replybus::{Amqp, Bus};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::{rabbitmq, redis, unique},
    wait::bounded,
};
use std::{fs, process::Stdio, time::Duration};
use tokio::process::{Child, Command};

/// The service of docs/migration.md.
#[allow(
    dead_code,
    unreachable_pub,
    reason = "a document shows a public contract, and a caller matches on its error"
)]
#[path = "../../../../examples/migration/cart.rs"]
mod cart;

const FINE: &str = "all was as it should be\n";
/// A worker of Celery takes seconds to start.
const LONG: Duration = Duration::from_secs(60);

/// The servers, and a namespace.
async fn place(name: &str) -> Option<[String; 3]> {
    Some([rabbitmq().await?, redis().await?, unique(name)])
}

/// Serves the carts of the page.
async fn carts(python: &Runner, servers: &[String; 3]) -> (Worker, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let [_, worker] = shown(&python.client, "python");
    fs::write(folder.path().join("worker.py"), worker).unwrap();
    let mut command = python.command();
    command.arg(folder.path().join("worker.py")).args(servers);
    (Worker::start(command).await, folder)
}

/// Programs with Celery: a worker whose task calls the service of carts, and a service whose handler
/// sends that task.
struct Celery<'a> {
    python: &'a Runner,
    servers: &'a [String; 3],
}

impl Celery<'_> {
    fn command(&self) -> Command {
        let [amqp, redis, namespace] = self.servers;
        let path = ["src", "examples"].map(|folder| self.python.client.join(folder));
        let mut command = self.python.command();
        command
            .env("PYTHONPATH", std::env::join_paths(path).unwrap())
            .env("AMQP_URL", amqp)
            .env("REDIS_URL", redis)
            .env("BUS_NAMESPACE", namespace)
            .env("CELERY_QUEUE", format!("{namespace}.celery"));
        command
    }

    /// The service, and the worker, which is killed when it is dropped.
    async fn start(&self) -> (Worker, Child) {
        let mut serves = self.command();
        serves.arg(self.python.client.join("examples/celery_serves.py"));
        let serves = Worker::start(serves).await;
        let mut tasks = self.command();
        tasks.args(["-m", "celery", "-A", "celery_calls", "worker"]);
        tasks.args(["--pool=solo", "--without-mingle", "--without-gossip"]);
        // Two workers of one name would want one exclusive queue for what they are told.
        tasks.arg(format!("--hostname={}@%h", self.servers[2]));
        tasks.arg("--loglevel=ERROR").stdout(Stdio::null());
        (serves, tasks.kill_on_drop(true).spawn().unwrap())
    }

    /// Runs a program that calls the task, and the task by the service; then removes its queue.
    async fn produce(&self) {
        let mut producer = self.command();
        producer.arg(self.python.client.join("tests/celery_producer.py"));
        let produced = bounded(brought::done(&mut producer)).await;
        assert_eq!(produced.unwrap(), FINE);
    }
}

#[tokio::test]
async fn callers_in_celery_reach_a_service_and_its_tasks_serve() {
    let Some(python) = &brought::python().await else {
        return;
    };
    let Some(servers) = &place("celery").await else {
        return;
    };
    let (carts, _folder) = carts(python, servers).await;
    let celery = Celery { python, servers };
    let (serves, tasks) = celery.start().await;
    celery.produce().await;
    drop(tasks);
    serves.stop().await;
    carts.stop().await;
    remove(
        servers,
        ["cart.requests", "tasks.requests"]
            .into_iter()
            .flat_map(with_letters),
    )
    .await;
}

/// docs/migration.md: the task of before asks a service in Rust, and callers in Rust reach the task.
#[tokio::test]
async fn a_task_of_celery_moves_to_a_service_in_rust_both_ways_round() {
    let Some(python) = &brought::python().await else {
        return;
    };
    let Some(servers) = &place("celery.rust").await else {
        return;
    };
    let [amqp, redis, namespace] = servers;
    let bus = Bus::builder().namespace(namespace);
    let bus = bus.connect(Amqp::new(amqp), RedisReplies::new(redis));
    let bus = bus.await.unwrap();
    let carts = bus.serve(CartServer::new(Carts::default())).await.unwrap();
    let celery = Celery { python, servers };
    let (serves, tasks) = celery.start().await;

    let by_tasks = CartClient::new(&bus).on_queue("tasks.requests");
    let add = |cents| by_tasks.add("bob".to_owned(), cents).timeout(LONG);
    assert_eq!(add(70).await.unwrap(), 70);
    let direct = CartClient::new(&bus);
    assert_eq!(direct.add("bob".to_owned(), 30).await.unwrap(), 100);
    assert_eq!(add(1).await.unwrap(), 101);
    let refused = add(1000).await.unwrap_err().into_handler().unwrap();
    assert_eq!(refused, CartError::LimitReached(1000));
    celery.produce().await;

    drop(tasks);
    serves.stop().await;
    carts.shutdown().await.unwrap();
    bus.close(Duration::from_secs(5)).await;
    remove(
        servers,
        ["cart.requests", "tasks.requests"]
            .into_iter()
            .flat_map(with_letters),
    )
    .await;
}

#[tokio::test]
async fn an_application_in_nestjs_calls_and_serves() {
    let (Some(python), Some(node)) = (brought::python().await, brought::node().await) else {
        return;
    };
    let Some(servers) = place("nest").await else {
        return;
    };
    let (carts, _folder) = carts(&python, &servers).await;
    let mut app = node.command();
    app.arg(node.client.join("dist-examples/nest_app.js"));
    app.args(&servers);
    let app = Worker::start(app).await;
    let bought = bounded(brought::done(&mut node.program("buys", &servers))).await;
    assert_eq!(bought.unwrap(), FINE);
    app.stop().await;
    carts.stop().await;
    remove(
        &servers,
        ["cart.requests", "checkout.requests"]
            .into_iter()
            .flat_map(with_letters),
    )
    .await;
}
