//! A call of which several copies were made, and no service that answers: what is known of the last
//! copy is not known of the one before.

use crate::{
    bank::{AccountsClient, Refused},
    between::Between,
    unsure::Unsure,
};
use replybus::{
    Bus, Bytes, CallError, CallId, ContentType, FailureKind, Never, Ticket,
    client::{CallRequest, CallResponse, ClientService},
    error::{BoxError, Fault, FaultCode},
    reply::{Arrivals, Reply, ReplyBackend, ReplyStore, ReplyTarget, memory::MemoryReplies},
    transport::{Deliveries, QueueSpec, Settled, Source, Transport, Verdict},
    wire::ReplyFrame,
};
use std::{future::IntoFuture, pin::Pin, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tower::{ServiceExt, layer::layer_fn, service_fn};

type Called<T> = JoinHandle<Result<T, CallError<Refused>>>;

/// A caller on a transport whose word is the test's.
struct Stage {
    bus: Bus,
    transport: Arc<Between<Unsure>>,
    replies: MemoryReplies,
}

impl Stage {
    async fn open() -> Self {
        let (transport, replies) = (Unsure::transport(), MemoryReplies::new());
        let bus = Bus::builder().connect(Arc::clone(&transport), replies.clone());
        Self {
            bus: bus.await.unwrap(),
            transport,
            replies,
        }
    }

    /// A call whose first copy is written.
    async fn call(&self) -> Called<u32> {
        let call = AccountsClient::new(&self.bus).post(1);
        let call = tokio::spawn(call.into_future());
        self.transport.published(1).await;
        call
    }

    /// A call through a layer, whose first attempt is written.
    async fn call_through<F>(&self, layer: fn(ClientService, CallRequest) -> F) -> Called<u32>
    where
        F: Future<Output = Result<CallResponse, BoxError>> + Send + 'static,
    {
        let client = AccountsClient::new(&self.bus);
        let client = client.layer(layer_fn(move |inner: ClientService| {
            service_fn(move |request| layer(inner.clone(), request))
        }));
        let call = tokio::spawn(client.post(1).into_future());
        self.transport.published(1).await;
        call
    }

    async fn submit(&self) -> JoinHandle<Result<Ticket<Result<u32, Refused>>, BoxError>> {
        let client = AccountsClient::new(&self.bus);
        let submit = async move { client.post(1).submit().await.map_err(BoxError::from) };
        let submit = tokio::spawn(submit);
        self.transport.published(1).await;
        submit
    }

    /// Has another copy made: the connection was lost.
    async fn copied(&self) {
        self.transport.say(Verdict::Lost);
        self.transport.published(1).await;
    }
}

/// Which kind of failure it was, and whether it says that the call may have been executed.
async fn failed<T: std::fmt::Debug>(call: Called<T>) -> (FailureKind, bool) {
    let error = call.await.unwrap().unwrap_err();
    (error.kind().unwrap(), error.may_have_executed())
}

#[tokio::test]
async fn a_verdict_about_the_last_copy_is_none_about_the_one_before() {
    for (verdict, kind) in [
        (Verdict::Unroutable, FailureKind::Unroutable),
        (Verdict::Refused, FailureKind::Overloaded),
        (Verdict::Busy, FailureKind::Overloaded),
        (Verdict::NotWritten, FailureKind::Disconnected),
        (Verdict::Denied("no".into()), FailureKind::Denied),
        (Verdict::Unacceptable("no".into()), FailureKind::NotSent),
    ] {
        let stage = Stage::open().await;
        for copies in 1..=3 {
            let call = stage.call().await;
            for _ in 1..copies {
                stage.copied().await;
            }
            stage.transport.say(verdict.clone());
            assert_eq!(failed(call).await, (kind, copies > 1), "{copies} copies");

            let submit = stage.submit().await;
            for _ in 1..copies {
                stage.copied().await;
            }
            stage.transport.say(verdict.clone());
            let error = submit.await.unwrap().unwrap_err();
            let error = error.downcast_ref::<replybus::CallFailure>().unwrap();
            assert_eq!(error.kind(), kind);
            assert_eq!(error.may_have_executed(), copies > 1, "{copies} copies");
        }
    }
}

struct Nobody;

impl Arrivals for Nobody {
    fn arrived(&self, _: CallId, _: Bytes) {}

    fn waiting(&self) -> Vec<CallId> {
        Vec::new()
    }
}

/// A service that is played by the test.
struct Service {
    requests: Box<dyn Deliveries>,
    replies: Arc<dyn ReplyStore>,
}

impl Service {
    async fn of(stage: &Stage) -> Self {
        let source = Source::new(QueueSpec::new("account.requests"), 10);
        let replies = Box::new(stage.replies.clone());
        Self {
            requests: stage.transport.consume(source).await.unwrap(),
            replies: replies.open("", Arc::new(Nobody)).await.unwrap(),
        }
    }

    /// Answers the next copy.
    async fn refuses(&mut self, fault: &Fault) {
        let copy = self.requests.next().await.unwrap();
        let properties = &copy.message.properties;
        let reply = Reply::new(
            properties.correlation_id.as_ref().unwrap().parse().unwrap(),
            ReplyTarget::Inbox(properties.reply_to.clone().unwrap()),
            ReplyFrame::encode_fault(ContentType::MessagePack, fault),
        );
        self.replies.store(reply).await.unwrap();
        copy.settler.settle(Settled::Ack);
    }
}

/// Said of a copy by a service that knows of no other.
fn no_room() -> Fault {
    let fault = Fault::new(FaultCode::Overloaded, "no room");
    assert!(!fault.may_have_executed);
    fault
}

#[tokio::test]
async fn a_reply_to_one_copy_is_none_to_the_other() {
    for copies in 1..=2 {
        let stage = Stage::open().await;
        let mut service = Service::of(&stage).await;
        let call = stage.call().await;
        for _ in 1..copies {
            stage.copied().await;
        }
        service.refuses(&no_room()).await;
        let expected = (FailureKind::Overloaded, copies > 1);
        assert_eq!(failed(call).await, expected, "{copies} copies");
    }
}

#[tokio::test(start_paused = true)]
async fn when_time_is_up_a_copy_that_was_never_written_does_not_count() {
    let stage = Stage::open().await;
    stage.transport.hold();
    let unwritten = stage.call().await;
    assert_eq!(failed(unwritten).await, (FailureKind::Disconnected, false));

    let stage = Stage::open().await;
    let written = stage.call().await;
    assert_eq!(failed(written).await, (FailureKind::TimedOut, true));

    let stage = Stage::open().await;
    let one_of_two = stage.call().await;
    stage.transport.hold();
    stage.copied().await;
    assert_eq!(failed(one_of_two).await, (FailureKind::TimedOut, true));
}

#[tokio::test(start_paused = true)]
async fn when_the_bus_closes_a_copy_that_was_never_written_does_not_count() {
    let close = async |stage: &Stage| stage.bus.close(Duration::from_secs(1)).await;
    let stage = Stage::open().await;
    stage.transport.hold();
    let unwritten = stage.call().await;
    close(&stage).await;
    assert_eq!(failed(unwritten).await, (FailureKind::Disconnected, false));

    let stage = Stage::open().await;
    let written = stage.call().await;
    close(&stage).await;
    assert_eq!(failed(written).await, (FailureKind::Disconnected, true));

    let stage = Stage::open().await;
    let one_of_two = stage.call().await;
    stage.transport.hold();
    stage.copied().await;
    close(&stage).await;
    assert_eq!(failed(one_of_two).await, (FailureKind::Disconnected, true));
}

/// Tries once more whatever the first attempt came to.
async fn once_more(inner: ClientService, request: CallRequest) -> Result<CallResponse, BoxError> {
    match inner.clone().oneshot(request.clone()).await {
        Ok(response) => Ok(response),
        Err(_) => inner.oneshot(request).await,
    }
}

#[tokio::test]
async fn an_attempt_of_a_layer_counts_unless_it_surely_was_not_run() {
    // By the broker's word,
    let stage = Stage::open().await;
    let call = stage.call_through(once_more).await;
    stage.transport.say(Verdict::Unroutable);
    stage.transport.published(1).await;
    stage.transport.say(Verdict::Unroutable);
    assert_eq!(failed(call).await, (FailureKind::Unroutable, false));

    let stage = Stage::open().await;
    let call = stage.call_through(once_more).await;
    stage.copied().await;
    stage.transport.say(Verdict::Unroutable);
    stage.transport.published(1).await;
    stage.transport.say(Verdict::Unroutable);
    assert_eq!(failed(call).await, (FailureKind::Unroutable, true));

    // and by the service's.
    for may_have_executed in [false, true] {
        let stage = Stage::open().await;
        let mut service = Service::of(&stage).await;
        let call = stage.call_through(after_a_reply).await;
        let mut fault = no_room();
        fault.may_have_executed = may_have_executed;
        service.refuses(&fault).await;
        stage.transport.published(1).await;
        // The first attempt's verdict is wanted no more.
        stage.transport.say(Verdict::Confirmed);
        stage.transport.say(Verdict::Unroutable);
        let expected = (FailureKind::Unroutable, may_have_executed);
        assert_eq!(failed(call).await, expected);
    }
}

/// Tries once more when the first attempt was answered.
async fn after_a_reply(
    inner: ClientService,
    request: CallRequest,
) -> Result<CallResponse, BoxError> {
    let _ = inner.clone().oneshot(request.clone()).await;
    inner.oneshot(request).await
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_comes_too_late_knows_of_those_before() {
    let stage = Stage::open().await;
    let call = stage.call_through(once_more).await;
    assert_eq!(failed(call).await, (FailureKind::Expired, true));

    let stage = Stage::open().await;
    stage.transport.hold();
    let call = stage.call_through(once_more).await;
    assert_eq!(failed(call).await, (FailureKind::Expired, false));
}

/// An attempt that has been published.
async fn begun(
    inner: ClientService,
    request: CallRequest,
) -> Pin<Box<dyn Future<Output = Result<CallResponse, BoxError>> + Send>> {
    let mut attempt = Box::pin(inner.oneshot(request));
    tokio::select! {
        biased;
        ended = &mut attempt => panic!("{ended:?}"),
        () = std::future::ready(()) => attempt,
    }
}

/// Makes two attempts at once, and tells what the first came to, after the second.
async fn both(inner: ClientService, request: CallRequest) -> Result<CallResponse, BoxError> {
    let first = begun(inner.clone(), request.clone()).await;
    let _ = begun(inner, request).await.await;
    first.await
}

/// Makes two attempts at once, and gives up the first.
async fn the_other(inner: ClientService, request: CallRequest) -> Result<CallResponse, BoxError> {
    let first = begun(inner.clone(), request.clone()).await;
    let second = begun(inner, request).await;
    drop(first);
    second.await
}

#[tokio::test]
async fn an_attempt_that_is_given_up_takes_no_reply_from_another() {
    let stage = Stage::open().await;
    let mut service = Service::of(&stage).await;
    let call = stage.call_through(the_other).await;
    stage.transport.published(1).await;
    service.refuses(&no_room()).await;
    assert_eq!(failed(call).await, (FailureKind::Overloaded, true));
}

#[tokio::test]
async fn a_reply_that_may_be_to_either_of_two_attempts_is_taken_from_neither() {
    let stage = Stage::open().await;
    let mut service = Service::of(&stage).await;
    let call = stage.call_through(both).await;
    stage.transport.published(1).await;
    // It is heard by the second.
    service.refuses(&no_room()).await;
    stage.transport.say(Verdict::Unroutable);
    assert_eq!(failed(call).await, (FailureKind::Unroutable, true));
}

#[tokio::test]
async fn a_confirm_is_asked_for_where_a_queue_may_refuse_and_where_nobody_waits_for_a_reply() {
    #[replybus::queue_handler("narrow.requests", queue_length_max = 8)]
    trait Narrow {
        #[query]
        async fn ask(&self) -> Result<(), Never>;
    }

    let stage = Stage::open().await;
    let confirms = async |call: JoinHandle<()>| {
        let asked = stage.transport.asked_to_confirm().await;
        call.abort();
        asked
    };
    let (wide, narrow) = (
        AccountsClient::new(&stage.bus),
        NarrowClient::new(&stage.bus),
    );
    let (submit, send) = (wide.post(1).submit(), wide.post(1).send());
    let (wide, narrow) = (wide.post(1).into_future(), narrow.ask().into_future());
    assert!(!confirms(tokio::spawn(async move { drop(wide.await) })).await);
    assert!(confirms(tokio::spawn(async move { drop(narrow.await) })).await);
    assert!(confirms(tokio::spawn(async move { drop(submit.await) })).await);
    assert!(confirms(tokio::spawn(async move { drop(send.await) })).await);
}
