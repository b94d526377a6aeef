use super::stock::Outcome;
use replybus::Bus;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("the bank does not answer")]
pub struct NoBank;

#[derive(Default)]
struct Bank(AtomicU32);

impl Bank {
    /// Answers the third time it is asked.
    async fn pay(&self, amount: u64) -> Result<u64, NoBank> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(NoBank),
            _ => Ok(amount),
        }
    }
}

struct Till(Bank);

use replybus::{RetryLater, queue_handler};

#[queue_handler("till.requests")]
pub trait Payments {
    #[command(retry(max = 5, base = "10ms", max_delay = "1m", jitter))]
    async fn pay(&self, amount: u64) -> Result<u64, NoBank>;
}

impl Payments for Till {
    async fn pay(&self, amount: u64) -> Result<u64, NoBank> {
        self.0.pay(amount).await.retry_later() // this error passes: run me again
    }
}

#[tokio::test]
async fn an_error_that_passes_is_met_by_a_further_run() -> Outcome {
    let bus = Bus::in_memory();
    let serving = bus.serve(PaymentsServer::new(Till(Bank::default())));
    let _serving = serving.await?;
    assert_eq!(PaymentsClient::new(&bus).pay(70).await?, 70);
    Ok(())
}
