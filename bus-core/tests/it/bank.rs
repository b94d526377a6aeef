//! The service that the tests call, and what they need to watch it.

use replybus::{Bus, Context, Never, queue_handler, server::Serving};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refused {
    #[error("no account {0}")]
    NoAccount(String),
}

#[queue_handler("account.requests", timeout = "2s")]
pub(crate) trait Accounts {
    /// Echoes the amount, unless the account is "nobody".
    #[query]
    async fn balance(&self, account: String, amount: i64) -> Result<i64, Refused>;

    /// Counts its runs and returns the count.
    async fn post(&self, amount: i64) -> Result<u32, Refused>;

    /// Waits at the gate, as a query.
    #[query]
    async fn wait(&self) -> Result<(), Never>;

    /// Waits at the gate, as a command, and counts its runs.
    async fn work(&self) -> Result<u32, Never>;

    #[query]
    async fn panics(&self) -> Result<(), Never>;

    async fn panics_half_way(&self) -> Result<(), Never>;

    #[query]
    async fn too_much(&self, bytes: usize) -> Result<String, Never>;

    /// What the handler saw: milliseconds left, metadata, attempt.
    #[query]
    async fn seen(&self) -> Result<Seen, Never>;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) remaining: Option<Duration>,
    pub(crate) token: Option<String>,
    pub(crate) caller: Option<String>,
    pub(crate) trace: Option<u128>,
    pub(crate) key: Option<String>,
    pub(crate) queue: Option<String>,
}

/// The implementation. `entered` and `gate` let a test hold a handler inside.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) runs: Arc<AtomicU32>,
    pub(crate) entered: Arc<Semaphore>,
    pub(crate) gate: Arc<Semaphore>,
    pub(crate) left: Arc<Semaphore>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            runs: Arc::default(),
            entered: Arc::new(Semaphore::new(0)),
            gate: Arc::new(Semaphore::new(0)),
            left: Arc::new(Semaphore::new(0)),
        }
    }

    pub(crate) fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    /// Waits until `n` handlers are inside.
    pub(crate) async fn entered(&self, n: u32) {
        self.entered.acquire_many(n).await.unwrap().forget();
    }

    /// Lets `n` handlers go.
    pub(crate) fn open(&self, n: usize) {
        self.gate.add_permits(n);
    }

    async fn pass(&self) {
        self.entered.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.left.add_permits(1);
    }
}

impl Accounts for Ledger {
    async fn balance(&self, account: String, amount: i64) -> Result<i64, Refused> {
        if account == "nobody" {
            return Err(Refused::NoAccount(account));
        }
        Ok(amount)
    }

    async fn post(&self, _amount: i64) -> Result<u32, Refused> {
        Ok(self.runs.fetch_add(1, Ordering::SeqCst) + 1)
    }

    async fn wait(&self) -> Result<(), Never> {
        self.pass().await;
        Ok(())
    }

    async fn work(&self) -> Result<u32, Never> {
        self.pass().await;
        Ok(self.runs.fetch_add(1, Ordering::SeqCst) + 1)
    }

    async fn panics(&self) -> Result<(), Never> {
        panic!("on purpose");
    }

    async fn panics_half_way(&self) -> Result<(), Never> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    }

    async fn too_much(&self, bytes: usize) -> Result<String, Never> {
        Ok("x".repeat(bytes))
    }

    async fn seen(&self) -> Result<Seen, Never> {
        let context = Context::current();
        Ok(Seen {
            remaining: context.remaining(),
            token: context.metadata().get("token").map(str::to_owned),
            caller: context.caller().map(str::to_owned),
            trace: context.trace().map(|trace| trace.trace_id()),
            key: context.idempotency_key().map(str::to_owned),
            queue: context.queue().map(str::to_owned),
        })
    }
}

/// A bus with the service on it.
pub(crate) async fn bank() -> (Bus, Ledger, AccountsClient, Serving) {
    let bus = Bus::in_memory();
    let ledger = Ledger::new();
    let serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    (bus, ledger, client, serving)
}
