//! All that the services know of each other: who can be asked what, and what is told.
//!
//! Who may publish to these queues is trusted, and so is what they say: the rights of the broker
//! keep others out. Amounts are in minor units.

use replybus::{Event, queue_handler};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The user service, as other services see it.
#[queue_handler("user.requests", timeout = "3s")]
pub trait Users {
    /// A user; `None` if there is none.
    #[query]
    async fn profile(&self, user: i64) -> Result<Option<Profile>, Unavailable>;

    /// Takes the price of an order out of the user's wallet, once for each order. An order that was
    /// refunded is never charged.
    #[command(own_record)]
    async fn charge(&self, order: Uuid, user: i64, amount: i64) -> Result<(), ChargeError>;

    /// Gives back what was charged for an order, once, and lets it never be charged from now on.
    #[command(own_record)]
    async fn refund(&self, order: Uuid) -> Result<(), Unavailable>;
}

/// The product service, as other services see it.
#[queue_handler("product.requests", timeout = "3s")]
pub trait Products {
    /// How much there is of everything.
    #[query]
    async fn stock(&self) -> Result<Stock, Unavailable>;

    /// Takes pieces out of the stock, once for each order. An order that was released never gets
    /// any.
    #[command(own_record)]
    async fn reserve(
        &self,
        order: Uuid,
        product: i64,
        quantity: i64,
    ) -> Result<Reserved, ReserveError>;

    /// Says that the pieces of an order are sold.
    #[command(own_record)]
    async fn confirm(&self, order: Uuid) -> Result<(), Unavailable>;

    /// Puts the pieces of an order back, once, and lets it never get any from now on.
    #[command(own_record)]
    async fn release(&self, order: Uuid) -> Result<(), Unavailable>;
}

/// The notification service, as other services see it.
#[queue_handler("notification.requests", timeout = "3s")]
pub trait Notifications {
    /// How many notifications a user had.
    #[query]
    async fn count(&self, user: i64) -> Result<Told, Unavailable>;
}

/// Somebody bought something.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event("order.created", exchange = "order_events")]
pub struct OrderCreated {
    /// The event's id, the same however often it is told.
    pub id: Uuid,
    /// The order's number.
    pub order_id: i64,
    /// Who bought.
    pub user_id: i64,
    /// Their name.
    pub username: String,
    /// What they bought.
    pub product_id: i64,
    /// Its name then.
    pub product_name: String,
    /// How many pieces.
    pub quantity: i64,
    /// What each cost.
    pub unit_price: i64,
    /// What all cost.
    pub total_price: i64,
}

/// Somebody wrote about products. It has the names that a reader shows, so that none has to ask who
/// the author is, or what the products are called.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event("article.created", exchange = "article_events")]
pub struct ArticleCreated {
    /// The article's number.
    pub article_id: i64,
    /// Who wrote it.
    pub author_id: i64,
    /// Their name.
    pub author_name: String,
    /// What it is called.
    pub title: String,
    /// What it is about, in the order of their ids, as they were then.
    pub products: Vec<NamedProduct>,
}

/// A product was changed. What is told of one product is told in the order of its versions, and may
/// be handled in any.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event("product.updated", exchange = "product_events")]
pub struct ProductUpdated {
    /// The product as it is since.
    pub product: NamedProduct,
}

/// As much of a product as others show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedProduct {
    /// Its id.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// Grows with each change: of two states of a product, the higher is the newer one.
    pub version: i64,
}

/// The groups by which the dashboard hears of articles, and of the products that they are about.
pub const DASHBOARD_ARTICLES: &str = "dashboard_articles";
/// See [`DASHBOARD_ARTICLES`].
pub const DASHBOARD_PRODUCTS: &str = "dashboard_products";

/// The group that notifies buyers; its queue has this name.
pub const ORDER_NOTIFICATIONS: &str = "order_notifications";

/// The service can't answer now: its database is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the service is not available")]
pub struct Unavailable;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Their id.
    pub id: i64,
    /// Their name.
    pub username: String,
    /// What is in their wallet.
    pub credit: i64,
}

/// The reason why an order was not charged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ChargeError {
    /// There is less in the wallet. It is the answer for this order from now on.
    #[error("there is not enough money in the wallet")]
    Declined,
    /// It was refunded before, or is another order under the same key.
    #[error("the order can't be charged any more")]
    Ended,
    /// Nothing is known.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// How much there is of everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// Different products.
    pub products: i64,
    /// Of which there is a piece or more.
    pub available: i64,
}

/// What was taken out of the stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The product's name.
    pub name: String,
    /// The price of a piece.
    pub unit_price: i64,
}

/// The reason why nothing was reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ReserveError {
    /// There is no such product.
    #[error("product not found")]
    NotFound,
    /// There are fewer pieces.
    #[error("not enough stock: {left} left")]
    NotEnough {
        /// How many there are.
        left: i64,
    },
    /// It was released before, or is another order under the same key.
    #[error("the order can't be reserved any more")]
    Ended,
    /// Nothing is known.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What a user was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Notifications that were sent.
    pub sent: i64,
    /// All of them.
    pub total: i64,
}

impl Unavailable {
    /// What the database failed with, for the log.
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        let error: &(dyn std::error::Error + 'static) = error;
        tracing::warn!(error, "the database failed");
        Self
    }
}
