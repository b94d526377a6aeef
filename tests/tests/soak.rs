//! A million calls in memory: dropped, timed out, refused, panicking, repeated under one key. At
//! the end nobody waits, no task is left and the memory is what it was.
//!
//! A debug build makes a tenth of them unless `SOAK_CALLS` sets how many. `SOAK_SEED` repeats a
//! run; a run that fails prints its seed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test says what it expects, in its functions too"
)]

use replybus::{
    Bus, CallError, Context, FailureKind, Never, limits, queue_handler,
    reply::memory::MemoryReplies,
    transport::{QueueSpec, Settled, Source, Transport, memory::MemoryBroker},
};
use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::IntoFuture,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{advance, sleep, timeout},
};

const CALLERS: u64 = 64;

/// The time one call is given.
const WITHIN: Duration = Duration::from_secs(1);

/// Calls that each caller makes before everything is checked.
const ROUND: u64 = 160;

/// Rounds after which memory has grown to what it needs.
const WARM_UP: usize = 2;

/// What memory may grow by after that: a few bytes a call at the most.
const GROWTH_BYTES_MAX: u64 = 4 * 1024 * 1024;

const CALLS: u64 = if cfg!(debug_assertions) {
    100_000
} else {
    1_000_000
};

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[error("odd")]
struct Odd(u64);

#[queue_handler("soak.requests", concurrency = 48, prefetch = 64)]
trait Soak {
    /// The number after a while; an error if it is odd and `strict`.
    #[query]
    async fn ask(&self, number: u64, after: Duration, strict: bool) -> Result<u64, Odd>;

    /// The same, and counts its runs.
    async fn tell(&self, number: u64, after: Duration, strict: bool) -> Result<u64, Odd>;

    #[query]
    async fn ask_too_much(&self, number: u64) -> Result<u64, Never>;

    async fn tell_too_much(&self, number: u64) -> Result<u64, Never>;
}

#[derive(Clone, Default)]
struct Handlers {
    runs: Arc<AtomicU64>,
    /// Runs beyond the first of a command.
    repeated: Arc<AtomicU64>,
    /// Commands that panicked.
    spoilt: Arc<AtomicU64>,
}

impl Soak for Handlers {
    async fn ask(&self, number: u64, after: Duration, strict: bool) -> Result<u64, Odd> {
        if !after.is_zero() {
            sleep(after).await;
        }
        if strict && !number.is_multiple_of(2) {
            return Err(Odd(number));
        }
        Ok(number)
    }

    async fn tell(&self, number: u64, after: Duration, strict: bool) -> Result<u64, Odd> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        if Context::current().attempt() > 1 {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        }
        self.ask(number, after, strict).await
    }

    async fn ask_too_much(&self, _number: u64) -> Result<u64, Never> {
        panic!("{ON_PURPOSE}");
    }

    async fn tell_too_much(&self, _number: u64) -> Result<u64, Never> {
        self.spoilt.fetch_add(1, Ordering::Relaxed);
        panic!("{ON_PURPOSE}");
    }
}

const ON_PURPOSE: &str = "on purpose";

/// What one call came to, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    Answered,
    Odd,
    TimedOut,
    Panicked,
    Dropped,
    Sent,
    Twice,
}

// One thread and a clock that stands still while anything can be done: waits take no time, and a
// day passes between rounds, so that what is to be forgotten is.
#[tokio::test(start_paused = true)]
async fn a_million_calls_leave_nothing_behind() {
    quiet();
    let calls: u64 = setting("SOAK_CALLS", CALLS);
    let entropy = std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap();
    let seed = setting("SOAK_SEED", u64::from(entropy.subsec_nanos()));
    let _seed = PrintedOnFailure(seed);

    let transport: Arc<dyn Transport> = Arc::new(MemoryBroker::new().connect());
    let bus = Bus::builder()
        .connect(Arc::clone(&transport), MemoryReplies::new())
        .await
        .unwrap();
    let handlers = Handlers::default();
    let serving = bus.serve(SoakServer::new(handlers.clone())).await.unwrap();
    let client = SoakClient::new(&bus);
    let letters = count_dead_letters(&transport).await;
    settle().await;
    let tasks = Handle::current().metrics().num_alive_tasks();

    let mut came = BTreeMap::new();
    let mut memory = Vec::new();
    let rounds = calls.div_ceil(ROUND * CALLERS);
    for round in 0..rounds {
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let mut dice = Dice(seed ^ (round * CALLERS + caller).wrapping_mul(0x9E37_79B9));
            let client = client.clone();
            callers.spawn(async move {
                let mut came = Vec::new();
                for _ in 0..ROUND {
                    came.push(one_call(&client, &mut dice).await);
                }
                came
            });
        }
        for one in callers.join_all().await.into_iter().flatten() {
            *came.entry(one).or_insert(0_u64) += 1;
        }
        // What was dropped or sent runs on for a while.
        sleep(WITHIN * 30).await;
        settle().await;
        assert_eq!(bus.health().calls_waiting, 0);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks);
        let spoilt = handlers.spoilt.load(Ordering::Relaxed);
        assert_eq!(letters.load(Ordering::Relaxed), spoilt);
        advance(limits::KEYED_RETENTION).await;
        memory.push(resident_bytes());
    }
    eprintln!("seed {seed}: {came:?}, {memory:?}");
    assert_eq!(handlers.repeated.load(Ordering::Relaxed), 0);
    if let Some(warm) = memory.get(WARM_UP) {
        let grown = memory.last().unwrap().saturating_sub(*warm);
        assert!(
            grown <= GROWTH_BYTES_MAX,
            "grown by {grown} bytes: {memory:?}"
        );
    }
    serving.shutdown().await.unwrap();
    bus.close(WITHIN).await;
    settle().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

/// Takes the dead letters out of their queue.
async fn count_dead_letters(transport: &Arc<dyn Transport>) -> Arc<AtomicU64> {
    let dead = Source::new(QueueSpec::new("soak.requests.dead").or_existing(), 1);
    let mut deliveries = transport.consume(dead).await.unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Some(letter) = deliveries.next().await {
            counting.fetch_add(1, Ordering::Relaxed);
            letter.settler.settle(Settled::Ack);
        }
    });
    count
}

/// Lets all tasks that can go on do so.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// One call of a kind that the dice choose, and whether it came to what it must.
async fn one_call(client: &SoakClient, dice: &mut Dice) -> Came {
    let number = dice.next();
    let short = Duration::from_millis(dice.below(3));
    match dice.below(100) {
        0..30 => came(
            number,
            client.ask(number, short, true).timeout(WITHIN).await,
        ),
        30..55 => came(
            number,
            client.tell(number, short, true).timeout(WITHIN).await,
        ),
        // Dropped at any moment, from before the first poll on.
        55..65 => {
            let call = client.tell(number, short, false).timeout(WITHIN);
            let _ = timeout(Duration::from_micros(dice.below(3_000)), call.into_future()).await;
            Came::Dropped
        }
        65..72 => {
            let call = client.ask(number, WITHIN, false).timeout(WITHIN);
            let task = tokio::spawn(call.into_future());
            for _ in 0..dice.below(6) {
                tokio::task::yield_now().await;
            }
            task.abort();
            Came::Dropped
        }
        // The handler takes longer than its caller waits.
        72..75 => late(client.ask(number, WITHIN * 2, false).timeout(WITHIN).await),
        75..78 => late(client.tell(number, WITHIN * 2, false).timeout(WITHIN).await),
        78..80 => panicked(client.ask_too_much(number).timeout(WITHIN).await),
        80..82 => panicked(client.tell_too_much(number).timeout(WITHIN).await),
        82..90 => {
            client.tell(number, short, false).send().await.unwrap();
            Came::Sent
        }
        // Under one key, at once and one after the other: one run, one answer.
        _ => {
            let key = number.to_string();
            let again = || {
                let call = client.tell(number, short, false).idempotency_key(&key);
                call.timeout(WITHIN * 5).into_future()
            };
            let (first, second) = tokio::join!(again(), again());
            assert_eq!(first.unwrap(), number);
            assert_eq!(second.unwrap(), number);
            assert_eq!(again().await.unwrap(), number);
            Came::Twice
        }
    }
}

fn came(number: u64, outcome: Result<u64, CallError<Odd>>) -> Came {
    match outcome {
        Ok(answer) if number.is_multiple_of(2) => {
            assert_eq!(answer, number);
            Came::Answered
        }
        Err(CallError::Handler(Odd(odd))) => {
            assert_eq!(odd, number);
            Came::Odd
        }
        Err(error) if had_no_time(error.kind()) => Came::TimedOut,
        other => panic!("{number} came to {other:?}"),
    }
}

fn late(outcome: Result<u64, CallError<Odd>>) -> Came {
    assert!(had_no_time(outcome.unwrap_err().kind()));
    Came::TimedOut
}

fn panicked(outcome: Result<u64, CallError<Never>>) -> Came {
    match outcome.unwrap_err().kind() {
        Some(FailureKind::Panicked) => Came::Panicked,
        kind if had_no_time(kind) => Came::TimedOut,
        other => panic!("a panic came to {other:?}"),
    }
}

/// True if all handlers were busy with those that take long: its time ran out, or it was refused
/// because it would have.
fn had_no_time(kind: Option<FailureKind>) -> bool {
    matches!(
        kind,
        Some(FailureKind::TimedOut | FailureKind::Expired | FailureKind::Overloaded)
    )
}

/// A generator of numbers that look random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

struct PrintedOnFailure(u64);

impl Drop for PrintedOnFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to run this again: SOAK_SEED={}", self.0);
        }
    }
}

/// Keeps panics on purpose off the output.
fn quiet() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<String>().map(String::as_str) != Some(ON_PURPOSE) {
            loud(info);
        }
    }));
}

fn setting<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// What this process occupies, on Linux; elsewhere it is not known and does not grow.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}
