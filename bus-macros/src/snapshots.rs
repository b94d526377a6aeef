//! Whole expansions, as reviewers read them. `BUS_MACROS_BLESS=1` accepts what the code says now.

use proc_macro2::TokenStream;
use quote::quote;
use std::{fs, path::Path};

fn assert_snapshot(name: &str, expansion: TokenStream) {
    let expansion = prettyplease::unparse(&syn::parse2(expansion).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
    if std::env::var_os("BUS_MACROS_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, &expansion).unwrap();
    }
    let accepted = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        accepted == expansion,
        "the expansion differs from {}; if it should, run with BUS_MACROS_BLESS=1. It is:\n{expansion}",
        path.display(),
    );
}

#[test]
fn plain_service() {
    let item = quote! {
        /// Accounts and their balances.
        pub trait AccountService {
            /// Balance in minor units.
            #[query]
            async fn balance(&self, account: AccountNumber) -> Result<Balance, AccountError>;

            /// Posts one entry.
            async fn post(&self, entry: Entry, note: Option<String>) -> Result<Posted, AccountError>;
        }
    };
    let expansion = crate::service(quote!("account.requests"), item);
    assert_snapshot("plain_service.rs", expansion);
}

#[test]
fn every_option() {
    let attribute = quote! {
        "rates", concurrency = 32, prefetch = 64, timeout = "2s", queue_type = "quorum",
        queue_length_max = 10_000, bundles = false, crate = ::bus,
    };
    let item = quote! {
        pub(crate) trait Rates: Send {
            #[query(timeout = "500ms")]
            #[deprecated]
            async fn all(&self) -> Result<Vec<Rate>, RatesError>;

            #[stream(timeout = "1s")]
            async fn each(&self, since: Option<u64>) -> Result<Items<Rate, RatesError>, RatesError>;

            #[query(cache = "300s", tags("rate:{of}", "rates"), vary("tenant"))]
            async fn rate(&self, of: String) -> Result<Rate, RatesError>;

            #[invalidates("rate:{type}", "rates")]
            #[command(own_record, timeout = "1m", retry(max = 7, base = "1s", max_delay = "2h", jitter))]
            async fn set(&self, r#type: RateType) -> Result<(), RatesError>;

            #[command(job = "4h")]
            async fn recount(&self) -> Result<u64, RatesError>;

            async fn load(
                &self,
                #[stream] rates: Items<Rate>,
                day: u32,
            ) -> Result<u64, RatesError>;
        }
    };
    assert_snapshot("every_option.rs", crate::service(attribute, item));
}

#[test]
fn partitions() {
    let item = quote! {
        pub trait Accounts {
            async fn deposit(&self, #[key] account: AccountNumber, amount: u64) -> Result<u64, AccountError>;

            #[stream]
            async fn entries(&self, since: u64, #[key] account: AccountNumber) -> Result<Items<Entry, AccountError>, AccountError>;
        }
    };
    let expansion = crate::service(quote!("account.requests", partitions = 16), item);
    assert_snapshot("partitions.rs", expansion);
}

#[test]
fn event() {
    let item = quote! {
        #[event("transaction.completed", exchange = "banking_events")]
        pub struct TransactionCompleted {
            id: TransactionId,
        }
    };
    assert_snapshot("event.rs", crate::event::derive(item));
}
