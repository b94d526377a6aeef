//! Topic exchanges, and what is bound to them.

use super::bench::{Bench, bind, routed};
use replybus::transport::Verdict;
use std::sync::Arc;

pub(crate) async fn an_exchange_needs_no_listener(bench: Arc<Bench>) {
    let exchange = bench.exchange();
    for (mandatory, expected) in [(true, Verdict::Unroutable), (false, Verdict::Confirmed)] {
        let outgoing = routed(&exchange, "a.b", "x").mandatory(mandatory);
        assert_eq!(bench.publish(outgoing).await, expected);
    }
    let queue = bench.queue();
    let bindings = vec![bind(&exchange, "a.b")];
    let mut consumer = bench.subscribe(&queue, 9, bindings).await;
    let verdict = bench.publish(routed(&exchange, "a.b", "heard")).await;
    assert_eq!(verdict, Verdict::Confirmed);
    consumer.takes("heard").await;
}

pub(crate) async fn patterns_select_events(bench: Arc<Bench>) {
    let exchange = bench.exchange();
    let (one_word, any_words) = (bench.queue(), bench.queue());
    let mut one_word = bench
        .subscribe(&one_word, 9, vec![bind(&exchange, "transaction.*")])
        .await;
    let mut any_words = bench
        .subscribe(&any_words, 9, vec![bind(&exchange, "#.completed")])
        .await;
    for (routing_key, expected) in [
        ("transaction.started", Verdict::Confirmed),
        ("transaction.completed", Verdict::Confirmed),
        ("completed", Verdict::Confirmed),
        ("transaction.completed.twice", Verdict::Unroutable),
        ("transaction", Verdict::Unroutable),
        ("", Verdict::Unroutable),
    ] {
        let verdict = bench
            .publish(routed(&exchange, routing_key, routing_key))
            .await;
        assert_eq!(verdict, expected, "{routing_key}");
    }
    one_word.takes("transaction.started").await;
    one_word.takes("transaction.completed").await;
    any_words.takes("transaction.completed").await;
    any_words.takes("completed").await;
}

pub(crate) async fn a_queue_bound_twice_gets_an_event_once(bench: Arc<Bench>) {
    let (exchange, other, queue) = (bench.exchange(), bench.exchange(), bench.queue());
    let bindings = vec![
        bind(&exchange, "#"),
        bind(&exchange, "a.*"),
        bind(&exchange, "a.*"),
        bind(&other, "b"),
    ];
    let mut consumer = bench.subscribe(&queue, 9, bindings).await;
    for (exchange, routing_key) in [(&exchange, "a.b"), (&other, "b"), (&exchange, "end")] {
        let verdict = bench
            .publish(routed(exchange, routing_key, routing_key))
            .await;
        assert_eq!(verdict, Verdict::Confirmed);
    }
    for expected in ["a.b", "b", "end"] {
        consumer.takes(expected).await;
    }
}
