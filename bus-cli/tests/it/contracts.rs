//! Contracts in files.

use crate::program::run;
use replybus::{Never, queue_handler, schema::Contracts};
use serde_json::{Value, json};

mod before {
    use super::*;

    #[queue_handler("till.requests")]
    pub(super) trait Till {
        /// What is in it.
        #[query]
        async fn balance(&self) -> Result<u64, Never>;
        async fn pay(&self, amount: u32) -> Result<u64, String>;
    }
}

mod now {
    use super::*;

    #[queue_handler("till.requests")]
    pub(super) trait Till {
        #[query]
        async fn balance(&self) -> Result<u64, Never>;
        async fn pay(&self, amount: u64, note: String) -> Result<u64, String>;
    }
}

mod wider {
    use super::*;

    #[queue_handler("till.requests")]
    pub(super) trait Till {
        #[query]
        async fn balance(&self) -> Result<u64, Never>;
        async fn pay(&self, amount: u64) -> Result<u64, String>;
    }
}

fn text(contract: &'static replybus::contract::ServiceContract) -> String {
    Contracts::builder()
        .service(contract)
        .build()
        .unwrap()
        .to_json()
}

#[tokio::test]
async fn a_check_fails_on_what_breaks_and_says_which_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (lock, broken, wider) = (path("contracts.lock"), path("broken"), path("wider"));
    std::fs::write(&lock, text(before::TillClient::CONTRACT)).unwrap();
    std::fs::write(&broken, text(now::TillClient::CONTRACT)).unwrap();
    std::fs::write(&wider, text(wider::TillClient::CONTRACT)).unwrap();

    let ran = run(&[], &["contracts", "check", "--lock", &lock, &broken], "").await;
    assert_eq!((ran.code, &*ran.err), (1, ""), "{ran:?}");
    assert!(
        ran.out.starts_with(
            "breaking: Till.pay arguments.note is not sent by a caller with the old contract"
        ),
        "{ran:?}"
    );
    assert!(
        ran.out
            .contains("\nservice first: Till.pay arguments.amount can have"),
        "{ran:?}"
    );

    let ran = run(
        &[],
        &["contracts", "check", "--lock", "-", &wider],
        &text(before::TillClient::CONTRACT),
    )
    .await;
    assert!(ran.text().ends_with("\nnothing breaks\n"), "{ran:?}");

    let ran = run(&[], &["contracts", "diff", &lock, &broken, "--json"], "").await;
    let changes = ran.json();
    assert_eq!(changes[0]["impact"], "breaking");
    assert_eq!(changes[0]["subject"], "Till.pay");
    assert_eq!(changes[0]["path"], "arguments.note");
    let same = run(&[], &["contracts", "diff", &lock, &lock], "").await;
    assert_eq!(same.text(), "nothing is different\n");
}

#[tokio::test]
async fn an_export_is_an_asyncapi_document() {
    let ran = run(
        &[],
        &[
            "contracts",
            "export",
            "-",
            "--title",
            "Tills",
            "--as-version",
            "2.0.1",
        ],
        &text(before::TillClient::CONTRACT),
    )
    .await;
    let exported: Value = ran.json();
    assert_eq!(exported["asyncapi"], "3.0.0");
    assert_eq!(
        exported["info"],
        json!({ "title": "Tills", "version": "2.0.1" })
    );
    let balance = &exported["operations"]["Till.balance"];
    assert_eq!(balance["action"], "receive");
    assert_eq!(balance["summary"], "What is in it.");
}

#[tokio::test]
async fn a_file_that_is_none_is_named() {
    let ran = run(&[], &["contracts", "export", "/nowhere/contracts.lock"], "").await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with("replybus: /nowhere/contracts.lock: "),
        "{ran:?}"
    );
    let ran = run(&[], &["contracts", "export", "-"], "{}").await;
    assert!(
        ran.err
            .starts_with("replybus: stdin: no document of contracts"),
        "{ran:?}"
    );
    let ran = run(&[], &["contracts", "diff", "-", "-"], "{}").await;
    assert_eq!(ran.code, 2, "{ran:?}");
}
