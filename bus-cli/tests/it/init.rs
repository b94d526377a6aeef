//! A new service, made, built and run.

use crate::program::run;
use replybus::Amqp;
use replybus_testkit::{
    live::{rabbitmq, redis, unique},
    wait::bounded,
};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Makes a service that depends on this checkout.
async fn made(folder: &Path, name: &str) -> PathBuf {
    let root = root();
    let (into, checkout) = (folder.to_str().unwrap(), root.to_str().unwrap());
    let ran = run(
        &[],
        &["init", name, "--in", into, "--replybus", checkout],
        "",
    )
    .await;
    assert!(ran.text().contains("cargo test"), "{ran:?}");
    assert!(!ran.text().contains("crates.io"), "{ran:?}");
    folder.join(name)
}

fn cargo(service: &Path, arguments: &[&str]) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command
        .args(arguments)
        .current_dir(service)
        .kill_on_drop(true);
    // What was compiled by an earlier run is found again, and nothing is fetched: the versions are
    // those of this repository.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("init");
    command
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true");
    command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    command
}

#[tokio::test]
async fn a_new_service_builds_passes_its_tests_serves_and_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let service = made(folder.path(), "made-service").await;
    std::fs::copy(root().join("Cargo.lock"), service.join("Cargo.lock")).unwrap();

    // Compiling takes as long as it takes; the test itself has a bound.
    let tested = cargo(&service, &["test", "--all-targets"])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&tested.stderr);
    assert!(
        tested.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&tested.stdout)
    );
    assert!(!text.contains("warning"), "{text}");

    let (Some(amqp), Some(redis)) = (rabbitmq().await, redis().await) else {
        return;
    };
    let namespace = unique("init");
    let environment = [
        ("AMQP_URL", &*amqp),
        ("REDIS_URL", &redis),
        ("BUS_NAMESPACE", &namespace),
    ];
    let mut serving = cargo(&service, &["run"]);
    let mut serving = serving
        .envs(environment)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    let line = bounded(lines.next_line()).await.unwrap().unwrap();
    assert_eq!(line, "made-service.requests is served until Ctrl-C");
    let mut hearing = cargo(&service, &["run", "--example", "hear"]);
    let mut hearing = hearing
        .envs(environment)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut heard = BufReader::new(hearing.stdout.take().unwrap()).lines();
    let line = bounded(heard.next_line()).await.unwrap().unwrap();
    assert_eq!(line, "events are heard until Ctrl-C");
    let mut calling = cargo(&service, &["run", "--example", "call", "--", "Grace"]);
    let called = bounded(calling.envs(environment).output()).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&called.stdout),
        "Hello, Grace!\n1 remembered\n"
    );
    let line = bounded(heard.next_line()).await.unwrap().unwrap();
    assert_eq!(line, "Grace is remembered");
    serving.kill().await.unwrap();
    hearing.kill().await.unwrap();

    let transport = Amqp::new(&amqp).connect().await.unwrap();
    for queue in [
        "made-service.requests",
        "made-service.requests.dead",
        "newsletter",
        "newsletter.dead",
    ] {
        let queue = format!("{namespace}.{queue}");
        transport.remove(&queue, &[], true).await.unwrap();
    }
    transport.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_new_service_is_formatted_as_cargo_fmt_would() {
    let folder = tempfile::tempdir().unwrap();
    let service = made(folder.path(), "made-service").await;
    let formatted = cargo(&service, &["fmt", "--check"]).output().await.unwrap();
    let text = String::from_utf8_lossy(&formatted.stdout);
    assert!(formatted.status.success(), "{text}");
}

#[tokio::test]
async fn nothing_is_written_over_and_no_name_leads_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().to_str().unwrap();
    let service = made(folder.path(), "made-service").await;
    std::fs::write(service.join("src/lib.rs"), "mine").unwrap();
    let again = run(&[], &["init", "made-service", "--in", into], "").await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("made-service: "), "{again:?}");
    assert_eq!(
        std::fs::read_to_string(service.join("src/lib.rs")).unwrap(),
        "mine"
    );

    for name in ["../other", "Made", "test"] {
        let refused = run(&[], &["init", name, "--in", into], "").await;
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains(name), "{refused:?}");
    }
    let nowhere = run(
        &[],
        &["init", "other", "--in", into, "--replybus", into],
        "",
    )
    .await;
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
    assert!(!folder.path().join("other").exists());

    let published = run(&[], &["init", "other", "--in", into, "--json"], "").await;
    assert_eq!(published.json()["queue"], "other.requests");
    let manifest = std::fs::read_to_string(folder.path().join("other/Cargo.toml")).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        manifest.contains(&format!("replybus = \"{version}\"\n")),
        "{manifest}"
    );
    let told = run(&[], &["init", "another", "--in", into], "").await;
    let source = format!("replybus {version} from crates.io");
    assert!(told.text().contains(&source), "{told:?}");
}
