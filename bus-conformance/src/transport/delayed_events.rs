//! Events that are due later.

use super::{
    bench::{Bench, bind, routed},
    delays::{SECOND, publish_after},
};
use replybus::transport::{Settled, Verdict};
use std::{sync::Arc, time::Duration};

pub(crate) async fn a_delayed_event_reaches_who_listens_when_it_is_due(bench: Arc<Bench>) {
    let (exchange, way) = (bench.exchange(), bench.way());
    let outgoing = || {
        let outgoing = routed(&exchange, "offer.expired", "x");
        outgoing.mandatory(false)
    };
    // Nobody listens yet, and nobody ever to the first, which makes the way: that can take a while,
    // and who is to listen to the second has to be there when it is due.
    for delay in [Duration::ZERO, 4 * SECOND] {
        let verdict = publish_after(&bench, &way, outgoing(), delay).await;
        assert_eq!(verdict, Verdict::Confirmed);
    }
    let (first, second) = (bench.queue(), bench.queue());
    let bindings = || vec![bind(&exchange, "offer.*")];
    let mut listeners = [
        bench.subscribe(&first, 9, bindings()).await,
        bench.subscribe(&second, 9, bindings()).await,
    ];
    for listener in &mut listeners {
        let delivery = listener.next().await;
        assert_eq!(delivery.message.routing_key, "offer.expired");
        assert_ne!(delivery.message.exchange, "");
        delivery.settler.settle(Settled::Ack);
    }
    let verdict = publish_after(&bench, &way, outgoing(), Duration::ZERO).await;
    assert_eq!(verdict, Verdict::Confirmed);
    for listener in &mut listeners {
        listener.takes("x").await;
    }
}
