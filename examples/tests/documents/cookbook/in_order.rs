use super::stock::Outcome;
use std::sync::{Arc, Mutex, PoisonError};

use replybus::{Bus, Never, queue_handler};

#[queue_handler("ledger.requests", partitions = 4)]
pub trait Ledgers {
    async fn post(&self, #[key] account: String, entry: u32) -> Result<(), Never>;

    #[query]
    async fn entries(&self, #[key] account: String) -> Result<Vec<u32>, Never>;
}

#[derive(Clone, Default)]
struct Books(Arc<Mutex<Vec<(String, u32)>>>);

impl Ledgers for Books {
    async fn post(&self, account: String, entry: u32) -> Result<(), Never> {
        tokio::task::yield_now().await; // others may come in between, but none of this account
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        books.push((account, entry));
        Ok(())
    }

    async fn entries(&self, account: String) -> Result<Vec<u32>, Never> {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = books.iter().filter(|(of, _)| *of == account);
        Ok(entries.map(|(_, entry)| *entry).collect())
    }
}

#[tokio::test]
async fn calls_of_one_key_run_in_their_order() -> Outcome {
    let bus = Bus::in_memory();
    let books = Books::default();
    let one = bus.serve(LedgersServer::new(books.clone())).await?;
    let other = bus.serve(LedgersServer::new(books)).await?;
    let ledgers = LedgersClient::new(&bus);
    for entry in 0..20 {
        for account in ["ada", "bob"] {
            ledgers.post(account.to_owned(), entry).send().await?;
        }
    }
    // A query of a key comes after all that was sent before it.
    let entries = ledgers.entries("ada".to_owned()).await?;
    assert_eq!(entries, (0..20).collect::<Vec<_>>());
    one.shutdown().await?;
    other.shutdown().await?;
    Ok(())
}
