//! The transport and the store in memory.

use replybus::{reply::memory::MemoryReplies, transport::memory::MemoryBroker};
use replybus_conformance::{StoreCase, TransportCase, store_suite, transport_suite};

transport_suite!(broker, claims: [
    limits, turns, events, removal, delays, delayed_events, single_active, browsing,
]);

#[tokio::main(flavor = "current_thread")]
async fn broker(case: TransportCase) {
    case.check(MemoryBroker::new()).await;
}

store_suite!(replies, claims: all);

#[tokio::main(flavor = "current_thread")]
async fn replies(case: StoreCase) {
    case.check(MemoryReplies::new()).await;
}
