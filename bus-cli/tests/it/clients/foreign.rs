//! Programs in other languages that call and serve, and ours that they call and serve.

use super::{
    brought::{self, Runner},
    desk::{self, DeskServer, OurDesk, Place},
};
use replybus_testkit::wait::bounded;
use std::{fs, path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
};

/// A program that serves, or calls, until its input is closed.
pub(super) struct Worker {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts it, and waits until it serves.
    pub(super) async fn start(command: Command) -> Self {
        let mut worker = Self::begin(command);
        worker.says("serving").await;
        worker
    }

    /// Starts it.
    pub(super) fn begin(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// Waits until it has said another line, which is this.
    pub(super) async fn says(&mut self, expected: &str) {
        let mut line = String::new();
        bounded(self.said.read_line(&mut line)).await.unwrap();
        assert_eq!(line.trim_end(), expected);
    }

    /// Kills it.
    pub(super) async fn kill(mut self) {
        bounded(self.child.kill()).await.unwrap();
    }

    /// Waits until it has ended by itself, and returns its exit code.
    pub(super) async fn died(&mut self) -> Option<i32> {
        // To wait for it would close its input, which tells it to end.
        let input = self.child.stdin.take();
        let code = bounded(self.child.wait()).await.unwrap().code();
        drop(input);
        code
    }

    /// Closes its input, and waits for its end. Returns what it said before that.
    pub(super) async fn stop(mut self) -> String {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        bounded(self.said.read_to_string(&mut rest)).await.unwrap();
        assert!(bounded(self.child.wait()).await.unwrap().success());
        rest
    }
}

/// A program in another language calls a service in ours.
async fn calls(runner: Runner) {
    let Some(place) = Place::open("calls").await else {
        return;
    };
    let serving = place.bus.serve(DeskServer::new(OurDesk::default()));
    let serving = serving.await.unwrap();
    let called = bounded(brought::done(&mut runner.program("calls", &place.servers))).await;
    assert_eq!(called.unwrap(), "all was as it should be\n");
    serving.shutdown().await.unwrap();
    place.close().await;
}

/// A program in ours calls a service in another language.
async fn serves(runner: Runner) {
    let Some(place) = Place::open("serves").await else {
        return;
    };
    let worker = Worker::start(runner.program("worker", &place.servers)).await;
    desk::ask(&place).await;
    desk::events(&place).await;
    let mut first = worker;
    let second = {
        let dies = desk::outlives_a_worker(&place);
        let replaces = async {
            assert_eq!(first.died().await, Some(9));
            Worker::start(runner.program("worker", &place.servers)).await
        };
        tokio::join!(dies, replaces).1
    };
    assert_eq!(second.stop().await, "all was as it should be\n");
    place.close().await;
}

#[tokio::test]
async fn callers_in_python_call_a_service_in_rust() {
    if let Some(python) = brought::python().await {
        calls(python).await;
    }
}

#[tokio::test]
async fn workers_in_python_serve_callers_in_rust() {
    if let Some(python) = brought::python().await {
        serves(python).await;
    }
}

#[tokio::test]
async fn callers_in_typescript_call_a_service_in_rust() {
    if let Some(node) = brought::node().await {
        calls(node).await;
    }
}

#[tokio::test]
async fn workers_in_typescript_serve_callers_in_rust() {
    if let Some(node) = brought::node().await {
        serves(node).await;
    }
}

/// Whether a command is run twice rests on all workers changing its record in the same way.
#[test]
fn all_languages_have_the_same_scripts() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["python/src/replybus/scripts", "typescript/scripts"] {
        let folder = package.join("../clients").join(folder);
        let mut found = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|of| of == "lua") {
                let ours = package.join("../bus-redis/src/scripts");
                let ours = ours.join(file.file_name().unwrap());
                assert_eq!(
                    fs::read(&file).unwrap(),
                    fs::read(ours).unwrap(),
                    "{file:?}"
                );
                found += 1;
            }
        }
        assert_eq!(found, 13);
    }
}
