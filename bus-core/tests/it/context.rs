use crate::bank::{AccountsClient, AccountsServer, Ledger, bank};
use replybus::{
    Bus, CallId, Context, Metadata, context::TraceContext, reply::memory::MemoryReplies,
    transport::memory::MemoryBroker,
};

#[tokio::test]
async fn a_handler_sees_what_its_caller_attached() {
    let (_bus, _, client, _serving) = bank().await;
    let seen = client
        .seen()
        .metadata("token", "t1")
        .idempotency_key("k")
        .await
        .unwrap();
    assert_eq!(seen.token.as_deref(), Some("t1"));
    assert_eq!(seen.key.as_deref(), Some("k"));
    assert!(seen.remaining.is_some_and(|left| left.as_millis() <= 2_000));
    assert!(seen.caller.is_some_and(|caller| caller.starts_with("it-")));
    assert!(seen.trace.is_some(), "a trace begins with the call");
}

#[tokio::test]
async fn a_call_inherits_metadata_and_trace_and_its_own_entries_win() {
    let (_bus, _, client, _serving) = bank().await;
    let mut metadata = Metadata::new();
    metadata.insert("token", "outer").unwrap();
    let trace = TraceContext::root(CallId::new());
    let id = trace.trace_id();
    let context = Context::builder()
        .metadata(metadata)
        .trace(trace)
        .idempotency_key("outer")
        .build();
    let call = |client: AccountsClient, own: bool| async move {
        let call = client.seen();
        let call = if own {
            call.metadata("token", "inner")
        } else {
            call
        };
        call.await.unwrap()
    };
    let inherited = context.clone().scope(call(client.clone(), false)).await;
    assert_eq!(inherited.token.as_deref(), Some("outer"));
    assert_eq!(inherited.trace, Some(id));
    // A key names one effect; a nested call is another.
    assert_eq!(inherited.key, None);
    let own = context.scope(call(client, true)).await;
    assert_eq!(own.token.as_deref(), Some("inner"));
}

#[tokio::test]
async fn a_handler_knows_its_queue_without_the_namespace() {
    let builder = Bus::builder().namespace("test");
    let connecting = builder.connect(MemoryBroker::new(), MemoryReplies::new());
    let bus = connecting.await.unwrap();
    let service = || AccountsServer::new(Ledger::new());
    let _own = bus.serve(service()).await.unwrap();
    let other = bus.serve(service()).on_queue("account.other");
    let _other = other.await.unwrap();
    for queue in ["account.requests", "account.other"] {
        let client = AccountsClient::new(&bus).on_queue(queue);
        let seen = client.seen().await.unwrap();
        assert_eq!(seen.queue.as_deref(), Some(queue));
    }
    assert_eq!(Context::current().queue(), None);
}

#[tokio::test(start_paused = true)]
async fn the_current_context_can_be_asked_within_a_select() {
    use std::time::Duration;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    let context = Context::builder().deadline(deadline).build();
    let ended = context.scope(async {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(60)) => "slept",
            () = Context::current().cancelled() => "cancelled",
        }
    });
    assert_eq!(ended.await, "cancelled");
    let spawned = tokio::spawn(Context::current().cancelled());
    spawned.abort();
}
