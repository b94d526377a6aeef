use super::{database, stock::Outcome};
use replybus::{Bus, queue_handler};
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;

#[queue_handler("wallet.requests")]
pub trait Wallets {
    #[command(own_record)]
    async fn pay(&self, wallet: i64, amount: i64) -> Result<i64, PayError>;
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("nothing was paid")]
pub enum PayError {
    Overdrawn,
    OtherPayment,
    NotAvailable,
}

struct Service {
    inbox: Inbox,
    pool: SqlitePool,
}

const PAY: &str = "UPDATE wallets SET balance = balance - $2
    WHERE id = $1 AND balance >= $2 RETURNING balance";

use replybus_sql::{Inbox, InboxError, Request};

impl From<InboxError> for PayError {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Conflict => Self::OtherPayment,
            _ => Self::NotAvailable,
        }
    }
}

impl Wallets for Service {
    async fn pay(&self, wallet: i64, amount: i64) -> Result<i64, PayError> {
        let request = Request::current(&(wallet, amount))?;
        let paid = self.inbox.once(&self.pool, &request, async |transaction| {
            let pay = sqlx::query_as(PAY).bind(wallet).bind(amount);
            let left: Option<(i64,)> = pay.fetch_optional(&mut *transaction).await?;
            Ok::<_, InboxError>(left.map(|(left,)| left).ok_or(PayError::Overdrawn))
        });
        paid.await?
    }
}

#[tokio::test]
async fn a_payment_is_made_once_whoever_forgets_it() -> Outcome {
    let bus = Bus::in_memory();
    let pool = database("inbox").await?;
    let create = "CREATE TABLE wallets (id INTEGER, balance INTEGER)";
    sqlx::query(create).execute(&pool).await?;
    sqlx::query("INSERT INTO wallets VALUES (1, 1000)")
        .execute(&pool)
        .await?;
    let inbox = Inbox::new();
    inbox.install().run(&mut *pool.acquire().await?).await?;
    let service = Service { inbox, pool };
    let _serving = bus.serve(WalletsServer::new(service)).await?;
    let wallets = WalletsClient::new(&bus);
    for _ in 0..3 {
        let pay = wallets.pay(1, 300).idempotency_key("order-17");
        assert_eq!(pay.await?, 700);
    }
    let other = wallets.pay(1, 301).idempotency_key("order-17").await;
    assert_eq!(other.unwrap_err().into_handler()?, PayError::OtherPayment);
    Ok(())
}
