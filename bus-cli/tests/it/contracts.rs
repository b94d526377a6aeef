//! Contracts in files.

use crate::{
    program::run,
    shop::{Counter, QUEUE, ShopServer, Site},
};
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

struct Empty;

impl before::Till for Empty {
    async fn balance(&self) -> Result<u64, Never> {
        Ok(0)
    }

    async fn pay(&self, _: u32) -> Result<u64, String> {
        Ok(0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_served_is_fetched_and_compared() {
    let Some(site) = Site::open("cli-contracts").await else {
        return;
    };
    let nobody = site.run(&["contracts", "fetch", QUEUE]).await;
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("nobody answers"), "{nobody:?}");
    let shop = ShopServer::new(Counter::default());
    let serving = site.bus.serve(shop).await.unwrap();
    let unknown = site.run(&["contracts", "fetch", QUEUE]).await;
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("there is no schema of"), "{unknown:?}");
    serving.shutdown().await.unwrap();

    let serving = site
        .bus
        .serve(before::TillServer::new(Empty))
        .on_queue(QUEUE);
    let serving = serving.await.unwrap();
    let instance = site.bus.instances(QUEUE).await.unwrap()[0].id;
    let agreed = text(before::TillClient::CONTRACT);
    for of in [QUEUE.to_owned(), format!("{QUEUE}@{instance}")] {
        let fetched = site.run(&["contracts", "fetch", &of]).await;
        assert_eq!(fetched.text().trim_end(), agreed.trim_end());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("now");
    let path = path.to_str().unwrap();
    std::fs::write(path, text(now::TillClient::CONTRACT)).unwrap();
    let running = format!("queue:{QUEUE}");
    let same = site.run(&["contracts", "diff", &running, &running]).await;
    assert_eq!(same.text(), "nothing is different\n");
    let check = ["contracts", "check", "--lock", &running, path];
    let broken = site.run(&check).await;
    assert_eq!(broken.code, 1);
    assert!(broken.out.contains("arguments.note"), "{broken:?}");
    let exported = site.run(&["contracts", "export", &running]).await.json();
    assert_eq!(exported["asyncapi"], "3.0.0");
    let misnamed = site.run(&["contracts", "fetch", "a@b"]).await;
    assert_eq!(misnamed.code, 2, "{misnamed:?}");
    serving.shutdown().await.unwrap();
    site.close().await;
}
