//! An order, as it is kept and as it is shown.

use crate::{contracts::OrderCreated, price::Price};
use chassis::database::moment;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// An enum of words, as they are stored and shown.
macro_rules! words {
    ($(#[$of:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            pub(super) const ALL: &'static [&'static str] = &[$($word),+];

            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("one of {} is allowed", Self::ALL.join(", "))),
                }
            }
        }
    };
}

words! {
    /// How an order stands.
    Status {
        /// Being reserved and paid.
        Pending = "pending",
        /// Reserved and paid.
        Confirmed = "confirmed",
        /// On its way.
        Shipped = "shipped",
        /// There.
        Delivered = "delivered",
        /// Taken back by its user; what was done is undone, or about to be.
        Cancelled = "cancelled",
        /// Refused, or given up; the same.
        Rejected = "rejected",
    }
}

words! {
    /// What is to be done next for an order.
    Step {
        /// Ask for the pieces.
        Reserve = "reserve",
        /// Ask for the money.
        Charge = "charge",
        /// Say that the pieces are sold, and tell of it.
        Confirm = "confirm",
        /// Give back what there is of both.
        Undo = "undo",
        /// Nothing.
        Done = "done",
    }
}

words! {
    /// Why an order was rejected or cancelled.
    Reason {
        NoProduct = "no_product",
        NotEnoughStock = "not_enough_stock",
        NotEnoughMoney = "not_enough_money",
        ServiceAway = "service_away",
        ByUser = "by_user",
    }
}

/// An order.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) id: i64,
    /// What other services know it by.
    pub(super) key: Uuid,
    pub(super) user_id: i64,
    pub(super) username: String,
    pub(super) product_id: i64,
    pub(super) product_name: String,
    pub(super) quantity: i64,
    pub(super) unit_price: i64,
    pub(super) total_price: i64,
    pub(super) status: Status,
    pub(super) reason: Option<Reason>,
    pub(super) step: Step,
    pub(super) created_at: Timestamp,
}

/// The same, as its owner sees it.
#[derive(Serialize)]
pub(super) struct Shown {
    id: i64,
    user_id: i64,
    product_id: i64,
    product_name: String,
    quantity: i64,
    unit_price: Price,
    total_price: Price,
    status: &'static str,
    created_at: Timestamp,
}

impl Order {
    /// One that is asked for now.
    pub(super) fn new(
        id: i64,
        user_id: i64,
        username: String,
        product_id: i64,
        pieces: i64,
    ) -> Self {
        Self {
            id,
            key: Uuid::now_v7(),
            user_id,
            username,
            product_id,
            product_name: String::new(),
            quantity: pieces,
            unit_price: 0,
            total_price: 0,
            status: Status::Pending,
            reason: None,
            step: Step::Reserve,
            // As it is stored: to the microsecond.
            created_at: moment(chassis::database::now()).unwrap_or_default(),
        }
    }

    /// Ends it, for that reason.
    pub(super) fn end(&mut self, status: Status, reason: Reason, next: Step) {
        (self.status, self.reason, self.step) = (status, Some(reason), next);
    }

    /// What others are told when it is confirmed.
    pub(super) fn created(&self) -> OrderCreated {
        OrderCreated {
            id: self.key,
            order_id: self.id,
            user_id: self.user_id,
            username: self.username.clone(),
            product_id: self.product_id,
            product_name: self.product_name.clone(),
            quantity: self.quantity,
            unit_price: self.unit_price,
            total_price: self.total_price,
        }
    }

    pub(super) fn shown(self) -> Shown {
        Shown {
            id: self.id,
            user_id: self.user_id,
            product_id: self.product_id,
            product_name: self.product_name,
            quantity: self.quantity,
            unit_price: Price::of_minor(self.unit_price),
            total_price: Price::of_minor(self.total_price),
            status: self.status.as_str(),
            created_at: self.created_at,
        }
    }
}
