//! A service that takes signed requests only.

use crate::{
    program,
    shop::{QUEUE, Site},
};
use replybus::{
    Never, queue_handler,
    signature::{KeyRing, SigningKey},
};
use replybus_testkit::{servers::Workplace, wait::eventually};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

/// The seed of it is 32 times 7.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n\
                   -----END PRIVATE KEY-----\n";

/// A vault at the queue of the shop.
#[queue_handler("shop.requests")]
trait Vault {
    #[query]
    async fn holds(&self) -> Result<u32, Never>;
    async fn put(&self, coins: u32) -> Result<(), Never>;
}

#[derive(Clone, Default)]
struct Steel {
    is_jammed: Arc<AtomicBool>,
    coins: Arc<AtomicU32>,
}

impl Vault for Steel {
    async fn holds(&self) -> Result<u32, Never> {
        Ok(self.coins.load(Ordering::SeqCst))
    }

    async fn put(&self, coins: u32) -> Result<(), Never> {
        assert!(!self.is_jammed.load(Ordering::SeqCst), "it does not open");
        self.coins.fetch_add(coins, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_key_calls_and_puts_back_and_nobody_else() {
    let Some(site) = Site::open("cli-signed").await else {
        return;
    };
    let workplace = Workplace::new("cli-signed").unwrap();
    let file = workplace.path("ops.pem");
    fs::write(&file, KEY).unwrap();
    let key = SigningKey::from_pem("ops", KEY).unwrap();
    let ring = KeyRing::new().trust("ops", &key.public_key()).unwrap();
    let steel = Steel::default();
    steel.coins.store(450, Ordering::SeqCst);
    steel.is_jammed.store(true, Ordering::SeqCst);
    let serving = site.bus.serve(VaultServer::new(steel.clone()));
    let serving = serving.only_signed(ring).await.unwrap();

    let [amqp, redis, namespace] = site.environment();
    let path = file.to_str().unwrap();
    let signing = [("SIGNING_KEY_FILE", path), ("SIGNING_KEY_NAME", "ops")];
    let unsigned = [amqp, redis, namespace];
    let signed = [&unsigned[..], &signing].concat();
    let call = ["call", QUEUE, "holds", "{}"];
    let refused = program::run(&unsigned, &call, "").await;
    assert!(
        refused.code != 0 && refused.err.contains("not signed"),
        "{refused:?}"
    );
    let held = program::run(&signed, &call, "").await;
    assert!(held.code == 0 && held.text().contains("450"), "{held:?}");
    let half = [&unsigned[..], &signing[..1]].concat();
    let refused = program::run(&half, &call, "").await;
    assert!(
        refused.code == 2 && refused.err.contains("signing_key_name"),
        "{refused:?}"
    );

    // What is given up as it came is run when it is put back with the key, and not without.
    let sent = ["call", QUEUE, "put", r#"{"coins":50}"#, "--send"];
    let sent = program::run(&signed, &sent, "").await;
    assert_eq!(sent.code, 0, "{sent:?}");
    site.letters(1).await;
    steel.is_jammed.store(false, Ordering::SeqCst);
    let redrive = ["dlq", "redrive", QUEUE, "--json"];
    let back = program::run(&unsigned, &redrive, "").await.json();
    assert_eq!(back["redriven"], 1);
    site.letters(1).await;
    let listed = program::run(&unsigned, &["dlq", "list", QUEUE, "--json"], "").await;
    assert_eq!(listed.json()["letters"][0]["reason"], "denied");
    assert_eq!(steel.coins.load(Ordering::SeqCst), 450);
    let back = program::run(&signed, &redrive, "").await.json();
    assert_eq!(back["redriven"], 1);
    eventually("it was run", || async {
        steel.coins.load(Ordering::SeqCst) == 500
    })
    .await;
    site.letters(0).await;
    serving.shutdown().await.unwrap();
    site.close().await;
}
