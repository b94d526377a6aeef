//! Traces that begin with a call and are not recorded: the service is told so, and decides nothing.

use crate::{
    between::Between,
    hops::Way,
    paced::Paced,
    recorded::{Spans, decline},
};
use replybus::{message::Message, transport::memory::MemoryBroker};
use std::{future::IntoFuture, sync::Arc};

/// Lets all tasks come to where they wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn traceparent(message: &Message) -> Option<&str> {
    message.properties.header("traceparent")
}

#[tokio::test(start_paused = true)]
async fn a_service_heeds_what_the_caller_decided_of_calls_alone_and_together() {
    decline();
    let paced = Paced::on(&MemoryBroker::new());
    let mut way = Way::over(Arc::<Between<Paced>>::clone(&paced)).await;
    // The caller learns that the service takes bundles.
    way.client.look().await.unwrap();
    paced.depart();
    let calls: Vec<_> = (0..3)
        .map(|_| tokio::spawn(way.client.look().into_future()))
        .collect();
    settle().await;
    paced.depart();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let written = paced.take_written();
    let [alone, together] = &written[..] else {
        panic!("{written:?}");
    };
    assert!(traceparent(alone).unwrap().ends_with("-00"));
    assert_eq!(together.properties.kind.as_deref(), Some("replybus/bundle"));
    assert_eq!(traceparent(together), None);
    let names = together.body.windows("trace".len());
    assert!(!names.into_iter().any(|name| name == b"trace"));
    for _ in 0..4 {
        let hop = way.next().await;
        let own = u128::from_be_bytes(*hop.id.as_bytes());
        assert_eq!((hop.trace.trace_id(), hop.trace.is_sampled()), (own, false));
        assert_eq!(Spans::of(own).0.len(), 0);
    }
    way.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_called_within_such_a_call_is_not_recorded_either() {
    decline();
    let mut way = Way::begin().await;
    way.client.pass_on().await.unwrap();
    let (outer, inner) = (way.next().await, way.next().await);
    assert_eq!(inner.trace.trace_id(), outer.trace.trace_id());
    assert!(!inner.trace.is_sampled());
    way.end().await;
    assert_eq!(Spans::of(outer.trace.trace_id()).0.len(), 0);
}
