//! The options arrive in the contract.
#![deny(warnings)]

use replybus::{
    contract::{MethodKind, QueueType},
    queue_handler,
};
use std::time::Duration;

#[queue_handler(
    "account.requests",
    concurrency = 32,
    prefetch = 64,
    timeout = "2s",
    queue_type = "quorum",
    queue_length_max = 10_000,
    bundles = false
)]
pub trait Accounts: Send + Sync + 'static {
    #[query(timeout = "500ms")]
    async fn balance(&self, account: String) -> Result<u64, String>;

    #[command]
    async fn open(&self) -> Result<(), String>;

    #[deprecated = "accounts are never closed"]
    async fn close(&self) -> Result<(), String>;
}

#[test]
fn options_arrive() {
    let contract = AccountsClient::CONTRACT;
    assert_eq!(contract, AccountsServer::<()>::CONTRACT);
    assert_eq!(
        (contract.name, contract.queue),
        ("Accounts", "account.requests")
    );
    let defaults = &contract.defaults;
    assert_eq!(
        (defaults.concurrency, defaults.prefetch),
        (Some(32), Some(64))
    );
    assert_eq!(defaults.timeout, Some(Duration::from_secs(2)));
    assert_eq!(defaults.queue_type, QueueType::Quorum);
    assert_eq!(defaults.queue_length_max, Some(10_000));
    assert!(!defaults.bundles);
    let methods: Vec<_> = contract
        .methods
        .iter()
        .map(|m| (m.name, m.kind, m.timeout))
        .collect();
    let expected = [
        (
            "balance",
            MethodKind::Query,
            Some(Duration::from_millis(500)),
        ),
        ("open", MethodKind::Command, None),
        ("close", MethodKind::Command, None),
    ];
    assert_eq!(methods, expected);
}
