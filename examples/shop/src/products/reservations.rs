//! Stock that is taken out for orders: each gets its pieces once, whatever is lost on the way, and
//! none after it was released.

use crate::contracts::{ReserveError, Reserved};
use chassis::Database;
use uuid::Uuid;

/// The reservations. Each method is one transaction, and safe to repeat: the first row of an order
/// decides. A refusal leaves no row, because it changes nothing.
pub(super) struct Reservations {
    database: Database,
}

impl Reservations {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    pub(super) async fn reserve(
        &self,
        order: Uuid,
        product: i64,
        quantity: i64,
    ) -> sqlx::Result<Result<Reserved, ReserveError>> {
        const FOUND: &str = "SELECT product_id, product_name, quantity, unit_price, state
            FROM reservations WHERE order_key = $1";
        const TAKE: &str = "UPDATE products SET quantity = quantity - $2
            WHERE id = $1 AND quantity >= $2 RETURNING name, price";
        const LEFT: &str = "SELECT quantity FROM products WHERE id = $1";
        const KEEP: &str = "INSERT INTO reservations
            (order_key, product_id, product_name, quantity, unit_price, state)
            VALUES ($1, $2, $3, $4, $5, 'held') ON CONFLICT (order_key) DO NOTHING";
        let reserving = self.database.transaction(async |mut writing| {
            let order = order.to_string();
            // Its row is locked from here on, so that of two that ask for one order at the same
            // time the second finds what the first wrote.
            let take = sqlx::query_as(TAKE).bind(product).bind(quantity);
            let taken: Option<(String, i64)> = take.fetch_optional(&mut *writing).await?;
            if let Some((name, unit_price)) = &taken {
                let keep = sqlx::query(KEEP)
                    .bind(&order)
                    .bind(product)
                    .bind(name)
                    .bind(quantity)
                    .bind(unit_price);
                if keep.execute(&mut *writing).await?.rows_affected() == 1 {
                    writing.commit().await?;
                    let (name, unit_price) = (name.clone(), *unit_price);
                    return Ok(Ok(Reserved { name, unit_price }));
                }
            }
            // There is a row, or there was not enough; a row decides.
            let found = sqlx::query_as(FOUND).bind(&order);
            let found: Option<(i64, String, i64, i64, String)> =
                found.fetch_optional(&mut *writing).await?;
            let left = sqlx::query_as(LEFT).bind(product);
            let left: Option<(i64,)> = left.fetch_optional(&mut *writing).await?;
            // Whatever it took.
            writing.rollback().await?;
            Ok(match (found, left) {
                (Some((of, name, pieces, unit_price, state)), _)
                    if (of, pieces) == (product, quantity) && state != "released" =>
                {
                    Ok(Reserved { name, unit_price })
                }
                (Some(_), _) => Err(ReserveError::Ended),
                (None, Some((left,))) => Err(ReserveError::NotEnough { left }),
                (None, None) => Err(ReserveError::NotFound),
            })
        });
        reserving.await
    }

    pub(super) async fn confirm(&self, order: Uuid) -> sqlx::Result<()> {
        const CONFIRM: &str =
            "UPDATE reservations SET state = 'sold' WHERE order_key = $1 AND state = 'held'";
        let confirm = sqlx::query(CONFIRM).bind(order.to_string());
        confirm.execute(self.database.pool()).await.map(drop)
    }

    /// Returns the product that has more pieces now, if one has.
    pub(super) async fn release(&self, order: Uuid) -> sqlx::Result<Option<i64>> {
        // One that never got any has a row from now on, which refuses the pieces if it is asked for
        // them later.
        const CLAIM: &str = "INSERT INTO reservations
            (order_key, product_id, product_name, quantity, unit_price, state)
            VALUES ($1, 0, '', 0, 0, 'released') ON CONFLICT (order_key) DO NOTHING";
        const TURN: &str = "UPDATE reservations SET state = 'released'
            WHERE order_key = $1 AND state <> 'released' RETURNING product_id, quantity";
        const GIVE: &str = "UPDATE products SET quantity = quantity + $2 WHERE id = $1";
        let releasing = self.database.transaction(async |mut writing| {
            let order = order.to_string();
            let claim = sqlx::query(CLAIM).bind(&order);
            let mut product = None;
            if claim.execute(&mut *writing).await?.rows_affected() == 0 {
                let turn = sqlx::query_as(TURN).bind(&order);
                let turned: Option<(i64, i64)> = turn.fetch_optional(&mut *writing).await?;
                if let Some((of, quantity)) = turned {
                    let give = sqlx::query(GIVE).bind(of).bind(quantity);
                    give.execute(&mut *writing).await?;
                    product = Some(of);
                }
            }
            writing.commit().await?;
            Ok(product)
        });
        releasing.await
    }
}
