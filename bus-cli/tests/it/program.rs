//! The program, run to its end.

use replybus_testkit::wait::bounded;
use serde_json::Value;
use std::process::{Output, Stdio};
use tokio::{io::AsyncWriteExt as _, process::Command};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// What it printed, as JSON, of one that did what it should.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// What it printed, of one that did what it should.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        &self.out
    }
}

/// The program with these servers, and nothing else of the environment that concerns it.
pub(crate) fn command(environment: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replybus"));
    for name in [
        "AMQP_URL",
        "REDIS_URL",
        "BUS_NAMESPACE",
        "REPLYBUS_PROFILE",
        "AMQP_CA_FILE",
        "AMQP_CERT_FILE",
        "AMQP_KEY_FILE",
        "REDIS_CA_FILE",
        "REDIS_CERT_FILE",
        "REDIS_KEY_FILE",
        "SIGNING_KEY_FILE",
        "SIGNING_KEY_NAME",
        "NO_COLOR",
    ] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).args(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Runs it to its end, with this on its stdin.
pub(crate) async fn run(environment: &[(&str, &str)], arguments: &[&str], stdin: &str) -> Ran {
    let mut child = command(environment, arguments).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // It may have ended without a look at it.
    let _ = input.write_all(stdin.as_bytes()).await;
    drop(input);
    Ran::of(&bounded(child.wait_with_output()).await.unwrap())
}
