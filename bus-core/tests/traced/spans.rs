use crate::{
    hops::{HopsClient, PARENT, Way, given_in},
    recorded::{Spans, attributes, keep},
};
use replybus::{
    Bus, CallId, Context,
    context::TraceContext,
    trace::{Span, SpanKind},
};
use std::time::Duration;

/// A trace id that no other test has.
fn new_trace() -> (u128, String) {
    let id = u128::from_be_bytes(*CallId::new().as_bytes());
    (id, format!("{id:032x}"))
}

fn parent() -> Option<u64> {
    u64::from_str_radix(PARENT, 16).ok()
}

#[tokio::test(start_paused = true)]
async fn a_query_is_what_its_caller_sends_and_what_its_service_processes() {
    keep();
    let mut way = Way::begin().await;
    let (trace, text) = new_trace();
    given_in(&text, true)
        .scope(way.client.look())
        .await
        .unwrap();
    let hop = way.next().await;
    let spans = Spans::wait(trace, 3).await;
    assert_eq!(
        spans.tree(parent()),
        [
            "call hops.requests ->",
            "  process hops.requests <-",
            "    store reply",
        ]
    );
    let processed = spans.named("process hops.requests");
    assert!(processed.parent_is_remote);
    assert_eq!(hop.trace.span_id(), processed.trace.span_id());
    assert_eq!(
        (hop.attempt, hop.origin.as_deref()),
        (1, Some("another program"))
    );
    assert_eq!(processed.trace.state(), Some("vendor=x"));
}

#[tokio::test(start_paused = true)]
async fn spans_have_the_attributes_of_the_conventions_and_no_others() {
    keep();
    let mut way = Way::begin().await;
    let (trace, text) = new_trace();
    let call = way.client.note().metadata("session", "s3cret");
    let call = call.idempotency_key("a-key-of-mine");
    given_in(&text, true).scope(call).await.unwrap();
    let id = way.next().await.id.to_string();
    let spans = Spans::wait(trace, 4).await;
    let common = [
        ("messaging.system", "rabbitmq"),
        ("messaging.destination.name", "hops.requests"),
        ("messaging.message.conversation_id", &id),
        ("messaging.message.body.size", "1"),
        ("rpc.service", "Hops"),
        ("rpc.method", "note"),
        ("replybus.outcome", "ok"),
    ];
    for (name, operation, kind) in [
        ("call hops.requests", "call", "send"),
        ("process hops.requests", "process", "process"),
    ] {
        let mut expected: Vec<_> = common.to_vec();
        expected.push(("messaging.operation.name", operation));
        expected.push(("messaging.operation.type", kind));
        expected.sort_unstable();
        let found = attributes(spans.named(name));
        let found: Vec<_> = found.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(found, expected);
    }
    let shown = format!("{spans:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("a-key-of-mine"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_command_claims_and_what_its_handler_calls_and_emits_is_part_of_it() {
    keep();
    let mut way = Way::begin().await;
    let (trace, text) = new_trace();
    given_in(&text, true)
        .scope(way.client.pass_on())
        .await
        .unwrap();
    let spans = Spans::wait(trace, 8).await;
    assert_eq!(
        spans.tree(parent()),
        [
            "call hops.requests ->",
            "  process hops.requests <-",
            "    claim",
            "    call hops.requests ->",
            "      process hops.requests <-",
            "        claim",
            "        store reply",
            "    store reply",
        ]
    );
    let (trace, text) = new_trace();
    given_in(&text, true)
        .scope(way.client.tell())
        .await
        .unwrap();
    for _ in 0..4 {
        way.next().await;
    }
    let spans = Spans::wait(trace, 8).await;
    assert_eq!(
        spans.tree(parent()),
        [
            "call hops.requests ->",
            "  process hops.requests <-",
            "    claim",
            "    send hops.noted ->",
            "      process hearers <-",
            "        claim",
            "        store reply",
            "    store reply",
        ]
    );
    let sent = attributes(spans.named("send hops.noted"));
    let handled = attributes(spans.named("process hearers"));
    assert_eq!(
        sent["messaging.destination.name"],
        "replybus.events:hops.noted"
    );
    assert_eq!(
        handled["messaging.destination.name"],
        "replybus.events:hops.noted:hearers"
    );
    assert_eq!(handled["messaging.consumer.group.name"], "hearers");
    assert_eq!(
        sent["messaging.message.id"],
        handled["messaging.message.id"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_ids_that_are_recorded_are_those_that_travel() {
    keep();
    let mut way = Way::begin().await;
    // Nobody gave a trace: it begins with the call, and is named after it.
    way.client.note().await.unwrap();
    let hop = way.next().await;
    let trace = u128::from_be_bytes(*hop.id.as_bytes());
    let spans = Spans::wait(trace, 4).await;
    let root = TraceContext::root(hop.id);
    assert_eq!(spans.named("call hops.requests").trace, root);
    assert_eq!(spans.named("call hops.requests").parent, None);
    let processed = spans.named("process hops.requests");
    assert_eq!(processed.parent, Some(root.span_id()));
    assert_eq!(processed.trace, hop.trace);
}

#[tokio::test(start_paused = true)]
async fn delay_retry_dead_letter_and_redrive_are_one_trace() {
    keep();
    let mut way = Way::begin().await;
    let (trace, text) = new_trace();
    let delayed = way.client.note().send_after(Duration::from_secs(3600));
    given_in(&text, true).scope(delayed).await.unwrap();
    way.next().await;
    let spans = Spans::wait(trace, 4).await;
    let shown = [
        "send hops.requests ->",
        "  process hops.requests <-",
        "    claim",
        "    store reply",
    ];
    assert_eq!(spans.tree(parent()), shown);

    let (trace, text) = new_trace();
    given_in(&text, true)
        .scope(way.client.soon())
        .await
        .unwrap();
    let spans = Spans::wait(trace, 6).await;
    assert_eq!(
        spans.tree(parent()),
        [
            "call hops.requests ->",
            "  process hops.requests <-",
            "    claim",
            "    try",
            "    try",
            "    store reply",
        ]
    );

    let (trace, text) = new_trace();
    given_in(&text, true)
        .scope(way.client.later())
        .await
        .unwrap();
    let spans = Spans::wait(trace, 6).await;
    assert_eq!(
        spans.tree(parent()),
        [
            "call hops.requests ->",
            "  process hops.requests <-",
            "    claim",
            "  process hops.requests <-",
            "    claim",
            "    store reply",
        ]
    );
    let outcomes = spans.0.iter().map(attributes);
    let outcomes: Vec<_> = outcomes
        .filter_map(|of| {
            Some((
                of.get("replybus.outcome")?.clone(),
                of.get("replybus.attempt").cloned(),
            ))
        })
        .collect();
    assert!(outcomes.contains(&("put_off".into(), None)), "{outcomes:?}");
    assert!(
        outcomes.contains(&("ok".into(), Some("2".into()))),
        "{outcomes:?}"
    );

    let (trace, text) = new_trace();
    given_in(&text, true)
        .scope(way.client.breaks().send())
        .await
        .unwrap();
    way.kept(1).await;
    way.put_back().await;
    let spans = Spans::wait(trace, 7).await;
    assert_eq!(
        spans.tree(parent()),
        [
            "send hops.requests ->",
            "  process hops.requests <- !panicked",
            "    claim",
            "    send hops.requests.dead ->",
            "  process hops.requests <-",
            "    claim",
            "    store reply",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_is_not_sampled_is_not_recorded_anywhere() {
    keep();
    let mut way = Way::begin().await;
    let (trace, text) = new_trace();
    let context = given_in(&text, false);
    context.clone().scope(way.client.pass_on()).await.unwrap();
    context.clone().scope(way.client.tell()).await.unwrap();
    context
        .scope(async {
            let span = Span::begin(SpanKind::Internal, "of one's own");
            assert!(!span.is_recorded());
            span.within(async { way.client.look().await.unwrap() })
                .await;
        })
        .await;
    for of in ["pass_on", "note", "tell", "event", "look"] {
        let hop = way.next().await;
        assert_eq!((hop.of, hop.trace.is_sampled()), (of, false));
    }
    way.end().await;
    assert_eq!(Spans::of(trace).0.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_span_of_ones_own_has_the_calls_that_are_made_in_it() {
    keep();
    let mut way = Way::begin().await;
    let id = CallId::new();
    let mut span = Span::begin_trace(id, SpanKind::Server, "GET /notes");
    span.set("http.route", "/notes");
    span.within(async { way.client.look().await.unwrap() })
        .await;
    way.next().await;
    span.fail("500");
    drop(span);
    let spans = Spans::wait(u128::from_be_bytes(*id.as_bytes()), 4).await;
    assert_eq!(
        spans.tree(None),
        [
            "GET /notes !500",
            "  call hops.requests ->",
            "    process hops.requests <-",
            "      store reply",
        ]
    );
    assert_eq!(attributes(spans.named("GET /notes"))["error.type"], "500");
    assert!(Context::current().trace().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_says_of_what() {
    keep();
    let (trace, text) = new_trace();
    let nobody = HopsClient::new(&Bus::in_memory());
    assert!(given_in(&text, true).scope(nobody.look()).await.is_err());
    let spans = Spans::wait(trace, 1).await;
    assert_eq!(spans.tree(parent()), ["call hops.requests -> !unroutable"]);
}
