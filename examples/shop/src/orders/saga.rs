//! The saga of an order: pieces are reserved, money is charged, and the order is confirmed; or what
//! was done of it is undone.
//!
//! Each step is a command that carries the order's key, and that the other service does once however
//! often it is asked; then the step is recorded, by the first who does. So whoever finds an order at
//! some step may do it again: after a crash, after an answer that was lost, also two at a time.

use super::{
    order::{Order, Reason, Status, Step},
    table::OrderTable,
};
use crate::contracts::{ChargeError, ProductsClient, ReserveError, Unavailable, UsersClient};
use replybus::{CallError, CallFailure};
use replybus_sql::Outbox;
use std::error::Error;

/// Brings orders to their end.
#[derive(Clone)]
pub(super) struct Saga {
    pub(super) table: OrderTable,
    pub(super) products: ProductsClient,
    pub(super) users: UsersClient,
    /// Told when there is an event in the outbox.
    pub(super) outbox: Outbox,
}

/// An order is at the step that it was at, as far as is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfinished {
    /// The other service did not answer, and may have done the step.
    #[error("a service did not answer")]
    NoAnswer(#[from] CallFailure),
    /// It answered that it can't.
    #[error("a service can't answer now")]
    Unavailable(#[from] Unavailable),
    /// The step is done, or not, and is not recorded.
    #[error("an order can't be read or recorded")]
    Record(#[from] sqlx::Error),
}

impl Saga {
    /// Brings a new order as far as it gets while its user waits. If a service is away before it is
    /// paid, it is given up.
    pub(super) async fn place(&self, order: Order) -> sqlx::Result<Order> {
        let id = order.id;
        let order = match self.drive(order).await {
            Ok(order) => order,
            Err(error) => {
                tracing::warn!(
                    order = id,
                    error = &error as &dyn Error,
                    "an order can't go on"
                );
                self.table.abandon(id).await?;
                self.reload(id).await?
            }
        };
        let outcome = order.reason.map_or(order.status.as_str(), Reason::as_str);
        metrics::counter!("shop_orders_total", "outcome" => outcome).increment(1);
        Ok(order)
    }

    /// Does one step after the other.
    pub(super) async fn drive(&self, mut order: Order) -> Result<Order, Unfinished> {
        while order.step != Step::Done {
            let from = order.step;
            match from {
                Step::Reserve => self.reserve(&mut order).await?,
                Step::Charge => self.charge(&mut order).await?,
                Step::Confirm => {
                    let confirm = self.products.confirm(order.key);
                    let confirm = confirm.idempotency_key(order.key.to_string());
                    confirm.await.map_err(CallError::merge::<Unfinished>)?;
                    (order.status, order.step) = (Status::Confirmed, Step::Done);
                }
                Step::Undo => {
                    self.undo(&order).await?;
                    order.step = Step::Done;
                }
                Step::Done => {}
            }
            if !self.table.record(&order, from).await? {
                order = self.reload(order.id).await?;
            } else if order.status == Status::Confirmed {
                self.outbox.wake();
            }
        }
        Ok(order)
    }

    async fn reserve(&self, order: &mut Order) -> Result<(), Unfinished> {
        let reserve = self
            .products
            .reserve(order.key, order.product_id, order.quantity);
        let reason = match reserve.idempotency_key(order.key.to_string()).await {
            Ok(reserved) => {
                order.product_name = reserved.name;
                order.unit_price = reserved.unit_price;
                // Both have limits with which it can be counted.
                order.total_price = reserved.unit_price.saturating_mul(order.quantity);
                order.step = Step::Charge;
                return Ok(());
            }
            Err(CallError::Handler(ReserveError::NotFound)) => Reason::NoProduct,
            Err(CallError::Handler(ReserveError::NotEnough { .. })) => Reason::NotEnoughStock,
            // Somebody else has given it up meanwhile.
            Err(CallError::Handler(ReserveError::Ended)) => Reason::ServiceAway,
            Err(CallError::Handler(ReserveError::Unavailable(error))) => return Err(error.into()),
            Err(CallError::Bus(failure)) => return Err(failure.into()),
        };
        // A refusal leaves no row, and a copy of the request may still be under way.
        order.end(Status::Rejected, reason, Step::Undo);
        Ok(())
    }

    async fn charge(&self, order: &mut Order) -> Result<(), Unfinished> {
        let charge = self
            .users
            .charge(order.key, order.user_id, order.total_price);
        let reason = match charge.idempotency_key(order.key.to_string()).await {
            Ok(()) => {
                order.step = Step::Confirm;
                return Ok(());
            }
            Err(CallError::Handler(ChargeError::Declined)) => Reason::NotEnoughMoney,
            Err(CallError::Handler(ChargeError::Ended)) => Reason::ServiceAway,
            Err(CallError::Handler(ChargeError::Unavailable(error))) => return Err(error.into()),
            Err(CallError::Bus(failure)) => return Err(failure.into()),
        };
        order.end(Status::Rejected, reason, Step::Undo);
        Ok(())
    }

    /// Both at the same time: while one service is away, the other gives back what it has.
    async fn undo(&self, order: &Order) -> Result<(), Unfinished> {
        let key = order.key.to_string();
        let refund = self.users.refund(order.key).idempotency_key(&key);
        let release = self.products.release(order.key).idempotency_key(&key);
        let (refunded, released) = tokio::join!(refund.into_future(), release.into_future());
        refunded.map_err(CallError::merge::<Unfinished>)?;
        released.map_err(CallError::merge::<Unfinished>)
    }

    async fn reload(&self, id: i64) -> sqlx::Result<Order> {
        let found = self.table.find(id).await?;
        found.ok_or(sqlx::Error::RowNotFound)
    }
}
