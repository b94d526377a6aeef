//! Trace and baggage at every hop that a message can take.

use crate::hops::{Hop, Way, given_in};
use replybus::{
    CallId, Context,
    context::{Baggage, TraceContext},
    limits::{BAGGAGE_BYTES_MAX, BAGGAGE_MEMBERS_MAX},
    message::{Message, Properties},
    transport::{Outgoing, Verdict},
};
use std::time::Duration;

pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The context that another program gave us, with a trace that is sampled or not.
pub(crate) fn given(is_sampled: bool) -> Context {
    given_in(TRACE, is_sampled)
}

/// Asserts that a handler was reached by the trace that was given, as it was given.
fn is_of_it(hop: &Hop, of: &str, is_sampled: bool) {
    assert_eq!(hop.of, of);
    assert_eq!(format!("{:032x}", hop.trace.trace_id()), TRACE, "{hop:?}");
    assert_eq!(hop.trace.state(), Some("vendor=x"), "{hop:?}");
    assert_eq!(hop.trace.is_sampled(), is_sampled, "{hop:?}");
    assert_eq!(hop.origin.as_deref(), Some("another program"), "{hop:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_trace_and_baggage_to_its_handler_and_the_calls_that_makes() {
    for is_sampled in [true, false] {
        let mut way = Way::begin().await;
        given(is_sampled).scope(way.client.look()).await.unwrap();
        is_of_it(&way.next().await, "look", is_sampled);
        given(is_sampled).scope(way.client.pass_on()).await.unwrap();
        let outer = way.next().await;
        is_of_it(&outer, "pass_on", is_sampled);
        let nested = way.next().await;
        is_of_it(&nested, "note", is_sampled);
        assert_ne!(outer.trace, nested.trace, "each has a span of its own");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_takes_them_to_its_subscribers() {
    let mut way = Way::begin().await;
    given(false).scope(way.client.tell()).await.unwrap();
    is_of_it(&way.next().await, "tell", false);
    is_of_it(&way.next().await, "event", false);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_submitted_or_delayed_takes_them_as_well() {
    let mut way = Way::begin().await;
    let hour = Duration::from_secs(3600);
    given(false).scope(way.client.note().send()).await.unwrap();
    is_of_it(&way.next().await, "note", false);
    given(false)
        .scope(way.client.note().submit())
        .await
        .unwrap();
    is_of_it(&way.next().await, "note", false);
    let delayed = way.client.note().send_after(hour);
    given(false).scope(delayed).await.unwrap();
    is_of_it(&way.next().await, "note", false);
    let delayed = way.bus.emit_after(&crate::hops::Noted, hour);
    given(false).scope(delayed).await.unwrap();
    is_of_it(&way.next().await, "event", false);
}

#[tokio::test(start_paused = true)]
async fn every_run_of_what_is_put_off_has_them() {
    let mut way = Way::begin().await;
    given(false).scope(way.client.soon()).await.unwrap();
    given(false).scope(way.client.later()).await.unwrap();
    for (of, attempt) in [("soon", 1), ("soon", 2), ("later", 1), ("later", 2)] {
        let hop = way.next().await;
        is_of_it(&hop, of, false);
        assert_eq!(hop.attempt, attempt);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_keeps_them_for_when_it_is_put_back() {
    for (context, begins) in [(given(false), false), (Context::default(), true)] {
        let mut way = Way::begin().await;
        let id = context.scope(way.client.breaks().send()).await.unwrap();
        let broken = way.next().await;
        way.kept(1).await;
        way.put_back().await;
        let again = way.next().await;
        assert_eq!(broken.trace, again.trace);
        if begins {
            // The trace that began with the call is still named after it.
            let named = u128::from_be_bytes(*id.as_bytes());
            assert_eq!(again.trace.trace_id(), named);
        } else {
            is_of_it(&again, "breaks", false);
        }
        way.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_begins_with_a_call_is_named_after_it_and_reaches_all_it_leads_to() {
    let mut way = Way::begin().await;
    way.client.tell().await.unwrap();
    let (first, event) = (way.next().await, way.next().await);
    let named = u128::from_be_bytes(*first.id.as_bytes());
    assert_eq!([first, event].map(|hop| hop.trace.trace_id()), [named; 2]);
}

#[tokio::test(start_paused = true)]
async fn baggage_that_arrives_malformed_is_dropped_and_the_call_is_served() {
    let too_long = format!("origin={}", "x".repeat(BAGGAGE_BYTES_MAX));
    let too_many: Vec<_> = (0..=BAGGAGE_MEMBERS_MAX)
        .map(|n| format!("n{n}=1"))
        .collect();
    for header in [
        "origin",
        "origin=1,,",
        "origin=\"",
        &too_long,
        &too_many.join(","),
    ] {
        let mut way = Way::begin().await;
        // As a program would send it that knows no limits.
        publish(&way, header).await;
        let hop = way.next().await;
        assert_eq!((hop.of, hop.origin), ("note", None), "{header:.20}");
    }
}

async fn publish(way: &Way, baggage: &str) {
    let properties = Properties {
        kind: Some("note".into()),
        message_id: Some(CallId::new().to_string().into()),
        headers: [("baggage".into(), baggage.into())].into(),
        ..Properties::default()
    };
    let message = Message {
        routing_key: "hops.requests".into(),
        properties,
        body: replybus::Bytes::from_static(&[0x80]),
        ..Message::default()
    };
    let published = way
        .transport
        .publish(Outgoing::new(message))
        .verdict()
        .await;
    assert_eq!(published, Verdict::Confirmed);
}

#[tokio::test]
async fn a_handler_changes_baggage_for_the_calls_it_makes() {
    let mut way = Way::begin().await;
    let mut baggage = Baggage::new();
    baggage.insert("origin", "a, b & c").unwrap();
    let context = Context::builder().trace(TraceContext::root(CallId::new()));
    let context = context.build().with_baggage(baggage);
    context.scope(way.client.pass_on()).await.unwrap();
    for of in ["pass_on", "note"] {
        let hop = way.next().await;
        assert_eq!((hop.of, hop.origin.as_deref()), (of, Some("a, b & c")));
    }
}
