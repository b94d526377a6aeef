//! The instructions of one call in memory, both ends together: counted by callgrind, so that they
//! are the same whatever else the machine does.
//!
//! It runs itself under valgrind, with 1,000 calls and with 2,000: the difference is that of 1,000
//! calls and of nothing else. Prints one JSON object a line.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a measurement that can not be made has nothing to say; its lines are for a program"
)]

use replybus::{Bus, Never, queue_handler};
use std::{env, hint::black_box, process::Command};
use tokio::runtime::Builder;

const TEXT_BYTES: usize = 128;

/// Calls of the shorter run, and of the longer one beyond it.
const CALLS: u64 = 1_000;

#[queue_handler("echo.requests")]
pub trait Echo {
    #[query]
    async fn ask(&self, text: String) -> Result<String, Never>;
    async fn order(&self, text: String) -> Result<String, Never>;
}

struct Echoes;

impl Echo for Echoes {
    async fn ask(&self, text: String) -> Result<String, Never> {
        Ok(text)
    }

    async fn order(&self, text: String) -> Result<String, Never> {
        Ok(text)
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["calls", path, calls] => make_calls(path, calls.parse().unwrap()),
        // As cargo runs a benchmark; under `cargo test` there is nothing to measure.
        ["--bench", ..] => report(),
        _ => {}
    }
}

/// Makes calls one after the other, in one thread.
fn make_calls(path: &str, calls: u64) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = Bus::in_memory();
        let serving = bus.serve(EchoServer::new(Echoes)).await.unwrap();
        let client = EchoClient::new(&bus);
        for _ in 0..calls {
            let text = "x".repeat(TEXT_BYTES);
            let back = if path == "query" {
                client.ask(text).await
            } else {
                client.order(text).await
            };
            black_box(back).unwrap();
        }
        serving.shutdown().await.unwrap();
    });
}

fn report() {
    for path in ["query", "command"] {
        let counted = instructions(path, 2 * CALLS) - instructions(path, CALLS);
        println!(
            r#"{{"path":"memory_{path}","payload_bytes":{TEXT_BYTES},"instructions":{}}}"#,
            counted / CALLS
        );
    }
}

/// The instructions that this program takes for so many calls.
fn instructions(path: &str, calls: u64) -> u64 {
    let this = env::current_exe().unwrap();
    let counted = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["calls", path, &calls.to_string()])
        .output()
        .unwrap_or_else(|error| panic!("valgrind can't be started: {error}"));
    let said = String::from_utf8_lossy(&counted.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, number) = line.unwrap_or_else(|| panic!("valgrind said:\n{said}"));
    number.trim().parse().unwrap()
}
