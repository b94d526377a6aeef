//! Events of every shape, with and without an exchange.
use replybus::event::Event as _;
use serde::{Deserialize, Serialize};

#[derive(replybus::Event, Serialize, Deserialize)]
#[event("transaction.completed")]
pub struct Completed {
    pub id: u64,
}

#[derive(replybus::Event, Serialize, Deserialize)]
#[event("account.changed", exchange = "banking_events")]
pub enum Changed {
    Opened,
    Closed,
}

#[test]
fn each_shape_has_its_names() {
    assert_eq!(Completed::ROUTING_KEY, "transaction.completed");
    assert_eq!(Completed::EXCHANGE, "replybus.events");
    assert_eq!(Changed::ROUTING_KEY, "account.changed");
    assert_eq!(Changed::EXCHANGE, "banking_events");
}
