//! The allocations of one call, both ends together: a program of its own, for an allocator that
//! counts.
//!
//! They are the same in every run: one thread, a store and a queue in memory, and all that grows
//! once has grown before it is counted.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test; what it counted is worth a line"
)]

use replybus::{Bus, Never, queue_handler};
use std::future::{Future, IntoFuture};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

/// Calls before it is counted, and while it is. Each may take a minute: the machine may be busy.
const CALLS: u64 = 1_000;

/// The text of a call.
const TEXT_BYTES: usize = 128;

/// Allocations of a query, of which 2 are the texts that the two ends decode. Only ever lower.
const QUERY_MAX: u64 = 12;
/// Allocations of a command, likewise.
const COMMAND_MAX: u64 = 27;

#[queue_handler("echo.requests", timeout = "60s")]
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

/// Bytes of a call that waits for its reply, all that belongs to it together: its future in a task,
/// its place among those that wait, and its message, which is in the same process here.
const WAITING_BYTES_MAX: u64 = 1_933;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Makes calls, and returns how many allocations, and bytes of them, one takes.
fn count<F: Future<Output = usize>>(call: impl Fn(EchoClient, String) -> F) -> (u64, u64) {
    let runtime = runtime();
    let (client, serving) = runtime.block_on(async {
        let bus = Bus::in_memory();
        let serving = bus.serve(EchoServer::new(Echoes)).await.unwrap();
        (EchoClient::new(&bus), serving)
    });
    let make = |texts: Vec<String>| {
        runtime.block_on(async {
            for text in texts {
                assert_eq!(call(client.clone(), text).await, TEXT_BYTES);
            }
        });
    };
    let texts = || (0..CALLS).map(|_| "x".repeat(TEXT_BYTES)).collect();
    make(texts());
    let counted = texts();
    let info = allocation_counter::measure(|| make(counted));
    runtime.block_on(serving.shutdown()).unwrap();
    (info.count_total, info.bytes_total / CALLS)
}

fn assert_at_most(max: u64, name: &str, (counted, bytes): (u64, u64)) {
    let (whole, rest) = (counted / CALLS, counted % CALLS);
    println!("a {name}: {whole}.{rest:03} allocations, {bytes} bytes");
    assert!(
        counted <= max * CALLS,
        "a {name} makes {whole}.{rest:03} allocations of {bytes} bytes, {max} are allowed"
    );
}

#[test]
fn a_query_allocates_no_more_than_it_did() {
    let counted = count(|client, text| async move { client.ask(text).await.unwrap().len() });
    assert_at_most(QUERY_MAX, "query", counted);
}

#[test]
fn a_call_that_waits_takes_no_more_memory_than_it_did() {
    let runtime = runtime();
    let bus = runtime.block_on(async { Bus::in_memory() });
    let client = EchoClient::new(&bus);
    // There is a queue, and nobody who takes anything from it.
    let serving = runtime.block_on(async { bus.serve(EchoServer::new(Echoes)).await.unwrap() });
    runtime.block_on(serving.shutdown()).unwrap();
    let future = size_of_val(&*client.ask(String::new()).into_future());
    let mut tasks = JoinSet::new();
    let info = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..CALLS {
                let call = client.ask("x".repeat(TEXT_BYTES)).wait_for_service();
                let call = call.into_future();
                tasks.spawn(call);
            }
            while u64::try_from(bus.health().calls_waiting).unwrap() < CALLS {
                tokio::task::yield_now().await;
            }
        });
    });
    let bytes = u64::try_from(info.bytes_current).unwrap() / CALLS;
    println!("a call that waits: {bytes} bytes, {future} of them the future");
    assert!(
        bytes <= WAITING_BYTES_MAX,
        "a call that waits takes {bytes} bytes, {WAITING_BYTES_MAX} are allowed"
    );
}

#[test]
fn a_command_allocates_no_more_than_it_did() {
    let counted = count(|client, text| async move { client.order(text).await.unwrap().len() });
    assert_at_most(COMMAND_MAX, "command", counted);
}
