//! The adapters by which callers of other frameworks reach services on the bus, and the other way
//! round: each as its example has it, before the worker that the client's page shows.

use super::{
    brought::{self, Runner},
    foreign::Worker,
    readme::shown,
};
use replybus::Amqp;
use replybus_testkit::{
    live::{rabbitmq, redis, unique},
    wait::bounded,
};
use std::{fs, process::Stdio, time::Duration};

const FINE: &str = "all was as it should be\n";

/// The servers, and a namespace.
async fn place(name: &str) -> Option<[String; 3]> {
    Some([rabbitmq().await?, redis().await?, unique(name)])
}

async fn remove([amqp, _, namespace]: &[String; 3], queues: &[&str]) {
    let transport = Amqp::new(amqp).connect().await.unwrap();
    for queue in queues {
        for queue in [
            format!("{namespace}.{queue}"),
            format!("{namespace}.{queue}.dead"),
        ] {
            let _ = transport.remove(&queue, &[], true).await;
        }
    }
    transport.close(Duration::from_secs(5)).await;
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

#[tokio::test]
async fn callers_in_celery_reach_a_service_and_its_tasks_serve() {
    let Some(python) = brought::python().await else {
        return;
    };
    let Some(servers) = place("celery").await else {
        return;
    };
    let [amqp, redis, namespace] = &servers;
    let examples = python.client.join("examples");
    let command = || {
        let mut command = python.command();
        let path = [python.client.join("src"), examples.clone()];
        command
            .env("PYTHONPATH", std::env::join_paths(path).unwrap())
            .env("AMQP_URL", amqp)
            .env("REDIS_URL", redis)
            .env("BUS_NAMESPACE", namespace)
            .env("CELERY_QUEUE", format!("{namespace}.celery"));
        command
    };
    let (carts, _folder) = carts(&python, &servers).await;
    let mut serves = command();
    serves.arg(examples.join("celery_serves.py"));
    let serves = Worker::start(serves).await;
    let mut tasks = command();
    tasks.args([
        "-m",
        "celery",
        "-A",
        "celery_calls",
        "worker",
        "--pool=solo",
    ]);
    tasks.args(["--without-mingle", "--without-gossip", "--loglevel=ERROR"]);
    tasks.stdout(Stdio::null()).kill_on_drop(true);
    let tasks = tasks.spawn().unwrap();
    let mut producer = command();
    producer.arg(python.client.join("tests/celery_producer.py"));
    let produced = bounded(brought::done(&mut producer)).await;
    assert_eq!(produced.unwrap(), FINE);
    drop(tasks);
    serves.stop().await;
    carts.stop().await;
    remove(&servers, &["cart.requests", "tasks.requests"]).await;
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
    remove(&servers, &["cart.requests", "checkout.requests"]).await;
}
