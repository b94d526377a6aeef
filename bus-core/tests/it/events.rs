use crate::dead_letters;
use replybus::{
    Bus, CallId, Context, Event,
    event::{EmitError, RemoveGroupError},
    limits,
    reply::memory::MemoryReplies,
    transport::{Outgoing, Transport, Verdict, memory::MemoryBroker},
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

#[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
#[event("transfer.completed", exchange = "bank.events")]
struct Completed {
    amount: i64,
}

#[derive(Event, Serialize, Deserialize)]
#[event("transfer.completed", exchange = "bank.events")]
struct Misread {
    #[allow(dead_code)]
    amount: String,
}

type Seen = mpsc::UnboundedReceiver<(&'static str, i64)>;

/// A handler that reports what it was given, in the name of a member.
fn member(
    name: &'static str,
    seen: &mpsc::UnboundedSender<(&'static str, i64)>,
) -> impl Fn(Completed) -> std::future::Ready<()> + Send + Sync + 'static + use<> {
    let seen = seen.clone();
    move |event| {
        seen.send((name, event.amount)).unwrap();
        std::future::ready(())
    }
}

#[tokio::test]
async fn a_text_that_is_json_travels_as_it_is() {
    let bus = Bus::in_memory();
    let mut heard = bus.listen("bank.events", "#").await.unwrap();
    let emit = |text: &str| bus.emit_json("bank.events", "transfer.completed", text);
    let text = r#"{ "amount": 340282366920938463463374607431768211455 }"#;
    emit(text).await.unwrap();
    let event = heard.next().await.unwrap();
    assert_eq!(event.message().body, text);
    let deep =
        "[".repeat(limits::NESTING_DEPTH_MAX + 1) + &"]".repeat(limits::NESTING_DEPTH_MAX + 1);
    let long = format!("\"{}\"", "x".repeat(limits::REQUEST_BYTES_MAX));
    for refused in ["", "{", "1 2", &deep, &long] {
        let error = emit(refused).await.unwrap_err();
        assert!(matches!(error, EmitError::Codec { .. }), "{error}");
    }
}

#[tokio::test]
async fn each_group_gets_each_event_once_whichever_member() {
    let bus = Bus::in_memory();
    let (tell, mut seen): (_, Seen) = mpsc::unbounded_channel();
    let _a1 = bus
        .subscribe("audit", member("audit", &tell))
        .await
        .unwrap();
    let _a2 = bus
        .subscribe("audit", member("audit", &tell))
        .await
        .unwrap();
    let _n = bus
        .subscribe("notify", member("notify", &tell))
        .await
        .unwrap();
    for amount in 0..50 {
        bus.emit(&Completed { amount }).await.unwrap();
    }
    let mut all = Vec::new();
    for _ in 0..100 {
        all.push(seen.recv().await.unwrap());
    }
    all.sort_unstable();
    let expected: Vec<_> = ["audit", "notify"]
        .into_iter()
        .flat_map(|group| (0..50).map(move |amount| (group, amount)))
        .collect();
    assert_eq!(all, expected);
    assert!(seen.is_empty());
}

#[tokio::test]
async fn a_mandatory_event_without_a_subscriber_is_told() {
    let bus = Bus::in_memory();
    let emit = || bus.emit(&Completed { amount: 1 });
    emit().await.unwrap();
    let error = emit().mandatory().await.unwrap_err();
    assert!(matches!(error, EmitError::NoSubscriber { .. }), "{error}");
    let (tell, mut seen): (_, Seen) = mpsc::unbounded_channel();
    let subscription = bus
        .subscribe("audit", member("audit", &tell))
        .await
        .unwrap();
    emit().mandatory().await.unwrap();
    assert_eq!(seen.recv().await.unwrap(), ("audit", 1));
    // The group is still there when its last member is gone.
    subscription.shutdown().await.unwrap();
    emit().mandatory().await.unwrap();
}

#[tokio::test]
async fn an_event_emitted_twice_is_handled_once() {
    let bus = Bus::in_memory();
    let (tell, mut seen): (_, Seen) = mpsc::unbounded_channel();
    // One at a time: the repetitions are done with before the next event is taken.
    let subscription = bus
        .subscribe("audit", member("audit", &tell))
        .concurrency(1);
    let subscription = subscription.await.unwrap();
    let id = CallId::new();
    for _ in 0..3 {
        assert_eq!(bus.emit(&Completed { amount: 1 }).id(id).await.unwrap(), id);
    }
    bus.emit(&Completed { amount: 2 }).await.unwrap();
    assert_eq!(seen.recv().await, Some(("audit", 1)));
    assert_eq!(seen.recv().await, Some(("audit", 2)));
    subscription.shutdown().await.unwrap();
    assert!(seen.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_runs_again() {
    let bus = Bus::in_memory();
    let runs = Arc::new(AtomicU32::new(0));
    let (tell, mut seen) = mpsc::unbounded_channel();
    let counted = Arc::clone(&runs);
    let handler = move |event: Completed| {
        let (run, tell) = (counted.fetch_add(1, Ordering::SeqCst) + 1, tell.clone());
        async move {
            if run < 3 {
                return Err("not yet");
            }
            tell.send(event).unwrap();
            Ok(())
        }
    };
    let _subscription = bus.subscribe("audit", handler).await.unwrap();
    bus.emit(&Completed { amount: 5 }).await.unwrap();
    assert_eq!(seen.recv().await, Some(Completed { amount: 5 }));
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_handler_panicked_can_be_handled_at_once() {
    let bus = Bus::in_memory();
    let runs = Arc::new(AtomicU32::new(0));
    let (tell, mut seen) = mpsc::unbounded_channel();
    let counted = Arc::clone(&runs);
    let handler = move |_: Completed| {
        let (run, tell) = (counted.fetch_add(1, Ordering::SeqCst) + 1, tell.clone());
        async move {
            assert!(run > 1, "on purpose");
            tell.send(Context::current().attempt()).unwrap();
        }
    };
    let subscription = bus.subscribe("audit", handler).concurrency(1);
    let _subscription = subscription.retry_within(Duration::ZERO).await.unwrap();
    let id = CallId::new();
    for _ in 0..2 {
        bus.emit(&Completed { amount: 5 }).id(id).await.unwrap();
    }
    // Nothing is left of the run that panicked.
    assert_eq!(seen.recv().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_run_again_for_as_long_as_it_is_told_to() {
    let (bus, transport) = dead_letters::bus().await;
    let since = Instant::now();
    let away = move |for_seconds| {
        move |_: Completed| {
            let back = since.elapsed() >= Duration::from_secs(for_seconds);
            async move { back.then_some(()).ok_or("the database is away") }
        }
    };
    let by_default = bus.subscribe("patient", away(55)).await.unwrap();
    let hasty = bus.subscribe("hasty", away(55));
    let hasty = hasty.retry_within(Duration::ZERO).await.unwrap();
    bus.emit(&Completed { amount: 5 }).await.unwrap();
    sleep(Duration::from_secs(61)).await;
    by_default.shutdown().await.unwrap();
    hasty.shutdown().await.unwrap();
    assert_eq!(dead_letters::kept(&transport, "patient").await, 0);
    assert_eq!(dead_letters::kept(&transport, "hasty").await, 1);

    let too_long = bus.subscribe("endless", away(0));
    let too_long = too_long.retry_within(limits::CALL_TIMEOUT_MAX + Duration::from_secs(1));
    assert!(too_long.await.is_err());
}

#[tokio::test]
async fn an_event_nobody_subscribed_to_is_no_error() {
    let bus = Bus::in_memory();
    bus.emit(&Completed { amount: 1 }).await.unwrap();
}

#[tokio::test]
async fn an_event_that_can_not_be_read_takes_no_place_for_ever() {
    let bus = Bus::in_memory();
    let (tell, mut seen) = mpsc::unbounded_channel();
    let handler = move |event: Completed| {
        tell.send(event.amount).unwrap();
        std::future::ready(())
    };
    let _subscription = bus
        .subscribe("audit", handler)
        .concurrency(1)
        .await
        .unwrap();
    for _ in 0..20 {
        bus.emit(&Misread { amount: "x".into() }).await.unwrap();
    }
    bus.emit(&Completed { amount: 7 }).await.unwrap();
    assert_eq!(seen.recv().await, Some(7));
}

#[derive(Event, Serialize, Deserialize)]
#[event("transfer.rejected", exchange = "bank.events")]
struct Rejected {
    amount: i64,
}

#[tokio::test]
async fn a_group_has_one_type_of_event() {
    let broker = MemoryBroker::new();
    let transport: Arc<dyn Transport> = Arc::new(broker.connect());
    // In one program it would be refused.
    let connect = || Bus::connect(broker.clone(), MemoryReplies::new());
    let (bus, misled_bus) = (connect().await.unwrap(), connect().await.unwrap());
    let (tell, mut seen): (_, Seen) = mpsc::unbounded_channel();
    let misled = tell.clone();
    let rejected = move |event: Rejected| {
        misled.send(("rejected", event.amount)).unwrap();
        std::future::ready(())
    };
    let other = misled_bus.subscribe("audit", rejected).await.unwrap();
    let subscription = bus
        .subscribe("audit", member("audit", &tell))
        .await
        .unwrap();
    // In turn: one goes to each member.
    bus.emit(&Completed { amount: 1 }).await.unwrap();
    bus.emit(&Completed { amount: 1 }).await.unwrap();
    assert_eq!(seen.recv().await, Some(("audit", 1)));
    other.shutdown().await.unwrap();
    subscription.shutdown().await.unwrap();
    let mut dead = dead_letters::dead(&transport, "audit").await;
    let (reason, letter) = dead_letters::next(&mut dead).await;
    assert_eq!(reason, "bad_request");
    let text = letter.properties.header("dead-letter-message").unwrap();
    for named in ["audit", "transfer.completed", "transfer.rejected"] {
        assert!(text.contains(named), "{text}");
    }

    // Put back as it is, it is known by its type.
    let subscription = bus.subscribe("audit", member("audit", &tell));
    let _subscription = subscription.await.unwrap();
    let mut message = letter;
    message.routing_key = "audit".into();
    let mut receipt = transport.publish(Outgoing::new(message));
    assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    assert_eq!(seen.recv().await, Some(("audit", 1)));
}

#[tokio::test]
async fn a_group_needs_a_name_that_can_be_a_queue() {
    let bus = Bus::in_memory();
    let handler = |_: Completed| std::future::ready(());
    assert!(bus.subscribe("a b", handler).await.is_err());
    assert!(bus.subscribe("", handler).await.is_err());
    assert!(
        bus.subscribe("audit", handler)
            .concurrency(0)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_group_that_is_not_wanted_any_more_can_be_removed() {
    let (bus, transport) = dead_letters::bus().await;
    let (tell, mut seen): (_, Seen) = mpsc::unbounded_channel();
    let unheard = || bus.emit(&Completed { amount: 1 }).mandatory();
    let remove = || bus.remove_group::<Completed>("audit");
    assert!(!remove().await.unwrap(), "there is none");

    let subscription = bus.subscribe("audit", member("audit", &tell));
    let subscription = subscription.await.unwrap();
    let error = remove().discard_messages().await.unwrap_err();
    assert!(
        matches!(error, RemoveGroupError::InUse { consumers: 1, .. }),
        "{error}"
    );
    unheard().await.unwrap();
    assert_eq!(seen.recv().await, Some(("audit", 1)));
    subscription.shutdown().await.unwrap();

    unheard().await.unwrap();
    let error = remove().await.unwrap_err();
    assert!(
        matches!(error, RemoveGroupError::HoldsMessages { waiting: 1, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("\"audit\""), "{error}");
    // It was left as it was.
    unheard().await.unwrap();
    assert!(remove().discard_messages().await.unwrap());
    assert!(matches!(
        unheard().await,
        Err(EmitError::NoSubscriber { .. })
    ));
    for queue in ["audit", "audit.dead"] {
        assert_eq!(transport.inspect(queue).await.unwrap(), None, "{queue}");
    }
}

#[tokio::test]
async fn nor_are_the_dead_letters_of_a_group_removed_unless_that_is_said() {
    let (bus, transport) = dead_letters::bus().await;
    let group = bus.subscribe("audit", |_: Completed| {
        std::future::ready(Err::<(), _>("no"))
    });
    let group = group.retry_within(Duration::ZERO).await.unwrap();
    bus.emit(&Completed { amount: 1 }).await.unwrap();
    while dead_letters::kept(&transport, "audit").await == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    group.shutdown().await.unwrap();
    let remove = || bus.remove_group::<Completed>("audit");
    let error = remove().await.unwrap_err();
    assert!(error.to_string().contains("audit.dead"), "{error}");
    bus.emit(&Completed { amount: 1 })
        .mandatory()
        .await
        .unwrap();
    assert!(remove().discard_messages().await.unwrap());
}
