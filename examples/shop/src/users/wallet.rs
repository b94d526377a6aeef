//! What users can pay: each order is charged once, whatever is lost on the way, and never after it
//! was refunded.

use crate::contracts::ChargeError;
use chassis::Database;
use uuid::Uuid;

/// The wallets and what they were charged. Each method is one transaction, and safe to repeat: the
/// first row of an order decides.
pub(super) struct Wallets {
    database: Database,
}

impl Wallets {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    pub(super) async fn charge(
        &self,
        order: Uuid,
        user: i64,
        amount: i64,
    ) -> sqlx::Result<Result<(), ChargeError>> {
        const CLAIM: &str = "INSERT INTO charges (order_key, user_id, amount, state)
            VALUES ($1, $2, $3, 'charged') ON CONFLICT (order_key) DO NOTHING";
        const FOUND: &str = "SELECT user_id, amount, state FROM charges WHERE order_key = $1";
        const TAKE: &str = "UPDATE users SET credit = credit - $2 WHERE id = $1 AND credit >= $2";
        const DECLINE: &str = "UPDATE charges SET state = 'declined' WHERE order_key = $1";
        let charging = self.database.transaction(async |mut writing| {
            let order = order.to_string();
            let claim = sqlx::query(CLAIM).bind(&order).bind(user).bind(amount);
            if claim.execute(&mut *writing).await?.rows_affected() == 0 {
                let found = sqlx::query_as(FOUND).bind(&order);
                let (of, charged, state): (i64, i64, String) =
                    found.fetch_one(&mut *writing).await?;
                writing.rollback().await?;
                return Ok(match state.as_str() {
                    "charged" if (of, charged) == (user, amount) => Ok(()),
                    "declined" if (of, charged) == (user, amount) => Err(ChargeError::Declined),
                    _ => Err(ChargeError::Ended),
                });
            }
            let take = sqlx::query(TAKE).bind(user).bind(amount);
            let is_paid = take.execute(&mut *writing).await?.rows_affected() == 1;
            if !is_paid {
                let decline = sqlx::query(DECLINE).bind(&order);
                decline.execute(&mut *writing).await?;
            }
            writing.commit().await?;
            Ok(is_paid.then_some(()).ok_or(ChargeError::Declined))
        });
        charging.await
    }

    pub(super) async fn refund(&self, order: Uuid) -> sqlx::Result<()> {
        // One that was never charged has a row from now on, which refuses the charge if it comes.
        const CLAIM: &str = "INSERT INTO charges (order_key, user_id, amount, state)
            VALUES ($1, 0, 0, 'refunded') ON CONFLICT (order_key) DO NOTHING";
        const TURN: &str = "UPDATE charges SET state = 'refunded'
            WHERE order_key = $1 AND state = 'charged' RETURNING user_id, amount";
        const GIVE: &str = "UPDATE users SET credit = credit + $2 WHERE id = $1";
        let refunding = self.database.transaction(async |mut writing| {
            let order = order.to_string();
            let claim = sqlx::query(CLAIM).bind(&order);
            if claim.execute(&mut *writing).await?.rows_affected() == 0 {
                let turn = sqlx::query_as(TURN).bind(&order);
                let turned: Option<(i64, i64)> = turn.fetch_optional(&mut *writing).await?;
                if let Some((user, amount)) = turned {
                    let give = sqlx::query(GIVE).bind(user).bind(amount);
                    give.execute(&mut *writing).await?;
                }
            }
            writing.commit().await
        });
        refunding.await
    }
}
