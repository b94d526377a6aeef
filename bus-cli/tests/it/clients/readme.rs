//! The pages of the clients: what they show runs, and their packages are as their own tools want them.

use super::{
    brought::{self, Runner, copy},
    foreign::Worker,
};
use replybus::Amqp;
use replybus_testkit::{
    live::{rabbitmq, redis, unique},
    wait::bounded,
};
use std::{fs, path::Path, time::Duration};
use tokio::process::Command;

/// The programs that a page shows: a caller, and then a worker.
pub(super) fn shown(client: &Path, language: &str) -> [String; 2] {
    let page = fs::read_to_string(client.join("README.md")).unwrap();
    let mark = format!("```{language}\n");
    let programs = page.split(&mark).skip(1);
    let programs = programs.map(|rest| rest.split("```").next().unwrap().to_owned());
    programs.collect::<Vec<_>>().try_into().unwrap()
}

/// Has the caller of a page call its worker, twice under one key.
async fn tried(command: impl Fn(&str, &[String]) -> Command) {
    let (Some(amqp), Some(redis)) = (rabbitmq().await, redis().await) else {
        return;
    };
    let namespace = unique("readme");
    let servers = [amqp.clone(), redis, namespace.clone()];
    let worker = Worker::start(command("worker", &servers)).await;
    for _ in 0..2 {
        let said = bounded(brought::done(&mut command("caller", &servers))).await;
        assert_eq!(said.unwrap(), "in the cart: 250\n");
    }
    worker.stop().await;
    let transport = Amqp::new(&amqp).connect().await.unwrap();
    for queue in ["cart.requests", "cart.requests.dead"] {
        let queue = format!("{namespace}.{queue}");
        transport.remove(&queue, &[], true).await.unwrap();
    }
    transport.close(Duration::from_secs(5)).await;
}

/// The package as `pip install` puts it into a folder.
async fn installed(python: &Runner, into: &Path) {
    let package = into.join("package");
    for part in ["pyproject.toml", "README.md", "src"] {
        fs::create_dir_all(&package).unwrap();
        copy(&python.client.join(part), &package.join(part)).unwrap();
    }
    let mut install = python.command();
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    ]);
    install
        .arg("--target")
        .arg(into.join("installed"))
        .arg(&package);
    bounded(brought::done(&mut install)).await.unwrap();
}

#[tokio::test]
async fn the_page_of_the_client_in_python_is_true() {
    let Some(python) = brought::python().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    installed(&python, folder.path()).await;
    let [caller, worker] = shown(&python.client, "python");
    fs::write(folder.path().join("caller.py"), caller).unwrap();
    fs::write(folder.path().join("worker.py"), worker).unwrap();
    tried(|program, servers| {
        let mut command = python.command();
        command.env("PYTHONPATH", folder.path().join("installed"));
        command.arg(folder.path().join(format!("{program}.py")));
        command.args(servers);
        command
    })
    .await;
}

#[tokio::test]
async fn the_page_of_the_client_in_typescript_is_true() {
    let Some(node) = brought::node().await else {
        return;
    };
    let folder = tempfile::tempdir_in(&node.client).unwrap();
    let [caller, worker] = shown(&node.client, "ts");
    fs::write(folder.path().join("caller.ts"), caller).unwrap();
    fs::write(folder.path().join("worker.ts"), worker).unwrap();
    let mut compile = Command::new(node.client.join("node_modules/.bin/tsc"));
    compile.args(["--strict", "--target", "es2023", "--module", "nodenext"]);
    compile.args(["--skipLibCheck", "caller.ts", "worker.ts"]);
    brought::done(compile.current_dir(&folder)).await.unwrap();
    tried(|program, servers| {
        let mut command = node.command();
        command.arg(folder.path().join(format!("{program}.js")));
        command.args(servers);
        command
    })
    .await;
}

#[tokio::test]
async fn the_package_in_python_is_as_its_tools_want_it() {
    let Some(python) = brought::python().await else {
        return;
    };
    for check in [
        &["ruff", "check", "."][..],
        &["ruff", "format", "--check", "."],
        &["mypy"],
    ] {
        let mut command = python.command();
        command.arg("-m").args(check).current_dir(&python.client);
        bounded(brought::done(&mut command)).await.unwrap();
    }
    for tests in ["units", "faults"] {
        let mut tests = python.program(tests, &[]);
        bounded(brought::done(&mut tests)).await.unwrap();
    }
}

#[tokio::test]
async fn the_package_in_typescript_reads_and_writes_the_bytes_of_the_protocol() {
    let Some(node) = brought::node().await else {
        return;
    };
    let mut units = node.command();
    units.args(["--test", "dist-tests/units.js", "dist-tests/faults.js"]);
    units.current_dir(&node.client);
    bounded(brought::done(&mut units)).await.unwrap();
}
