//! The public API by name: what is missing here after a change, or no longer compiles, breaks a
//! user's program. And what holds for all of its types: they can be sent, shared and shown.

use replybus::{
    Bus, BusBuilder, Bytes, Call, CallError, CallFailure, CallId, ContentType, Context,
    FailureKind, Health, Instant, InvalidCallId, Metadata, Never, SetupError, Ticket,
    client::{
        CallFuture, CallOutcome, CallRequest, CallResponse, ClientService, ServiceClient, Verb,
    },
    codec::CodecError,
    context::{ContextBuilder, InvalidMetadata, TraceContext, metadata},
    contract::{
        Fingerprint, FingerprintKind, InvalidFingerprint, MethodContract, MethodKind, QueueType,
        ServeDefaults, ServiceContract,
    },
    error::{BoxError, ContractMismatch, Fault, FaultCode},
    event::{Emit, EmitError, RemoveGroup, RemoveGroupError, Subscribe},
    flight::{Flight, FlightEvent, FlightRecord, FlightStep, FlightTimes},
    message::{Message, OtherHeaders, Properties},
    reply::{
        Claim, Claimed, FlightBatch, FlightCursor, FlightPage, Reply, ReplyTarget, StoreError,
        StoreHealth, Stored, memory::MemoryReplies,
    },
    server::{
        Answer, AnswerFuture, Drained, Payload, Request, Serve, ServerService, Serving,
        ServingError,
    },
    transport::{
        Binding, Delay, Delivery, InspectError, Outgoing, QueueSpec, QueueState, Receipt, Removal,
        Settled, Settler, Slip, Source, TransportHealth, Verdict, Withdrawn, memory::MemoryBroker,
    },
    wire::{FrameError, ReplyFrame},
};
use std::{error::Error, fmt::Debug, future::Future};

type Outcome = Result<u64, Never>;

/// A value that tasks hand to each other, keep between awaits, and print.
fn value<T: Debug + Send + Sync + Unpin + 'static>() {}

/// A value that moves between threads and is used by one at a time.
fn sent<T: Debug + Send + Unpin + 'static>() {}

/// An error that goes anywhere an error goes.
fn error<T: Error + Send + Sync + Unpin + 'static>() {}

#[test]
fn what_a_caller_meets_is_sent_shared_and_shown() {
    value::<Bus>();
    value::<BusBuilder>();
    value::<Health>();
    value::<Call<Outcome>>();
    value::<Ticket<Outcome>>();
    value::<CallId>();
    value::<Metadata>();
    value::<metadata::Iter<'static>>();
    value::<metadata::IntoIter>();
    value::<FailureKind>();
    value::<ContractMismatch>();
    value::<ServiceClient>();
    value::<ClientService>();
    value::<CallRequest>();
    value::<CallResponse>();
    value::<CallOutcome>();
    value::<Verb>();
    value::<ContentType>();
    value::<Bytes>();
    value::<Instant>();
    sent::<CallFuture>();
}

#[test]
fn what_a_handler_meets_is_sent_shared_and_shown() {
    value::<Context>();
    value::<ContextBuilder>();
    value::<TraceContext>();
    value::<ServiceContract>();
    value::<MethodContract>();
    value::<MethodKind>();
    value::<Fingerprint>();
    value::<FingerprintKind>();
    value::<ServeDefaults>();
    value::<QueueType>();
    value::<ServerService>();
    value::<Request>();
    value::<Payload>();
    value::<Answer>();
    value::<Serving>();
    value::<Drained>();
    value::<Emit>();
    value::<RemoveGroup>();
    value::<Subscribe<Happened, Handler>>();
    sent::<Serve>();
    fn future<T: Future<Output = Answer> + Send>() {}
    future::<AnswerFuture>();
}

#[cfg(feature = "schema")]
#[test]
fn contracts_as_data_are_sent_shared_and_shown() {
    use replybus::schema::{
        Change, Contracts, ContractsBuilder, Impact, InvalidContracts, LockError, SchemaError,
    };
    value::<Contracts>();
    value::<ContractsBuilder>();
    value::<Change>();
    value::<Impact>();
    error::<InvalidContracts>();
    error::<LockError>();
    error::<SchemaError>();
}

#[test]
fn what_became_of_calls_is_sent_shared_and_shown() {
    value::<FlightRecord>();
    value::<Flight>();
    value::<FlightEvent>();
    value::<FlightStep>();
    value::<FlightTimes>();
}

#[test]
fn what_a_transport_meets_is_sent_shared_and_shown() {
    value::<MemoryBroker>();
    value::<Source>();
    value::<QueueSpec>();
    value::<QueueState>();
    value::<Binding>();
    value::<Delay>();
    value::<Outgoing>();
    value::<Verdict>();
    value::<Withdrawn>();
    value::<Settled>();
    value::<TransportHealth>();
    value::<Message>();
    value::<Properties>();
    value::<OtherHeaders>();
    value::<Removal>();
    sent::<Receipt>();
    sent::<Slip>();
    sent::<Delivery>();
    sent::<Settler>();
    #[cfg(feature = "amqp")]
    value::<replybus::Amqp>();
}

#[test]
fn what_a_store_meets_is_sent_shared_and_shown() {
    value::<Reply>();
    value::<ReplyTarget>();
    value::<FlightBatch>();
    value::<FlightCursor>();
    value::<FlightPage>();
    value::<Claim>();
    value::<Claimed>();
    value::<Stored>();
    value::<StoreHealth>();
    value::<MemoryReplies>();
    value::<ReplyFrame>();
    value::<Fault>();
    value::<FaultCode>();
}

#[test]
fn errors_go_wherever_errors_go() {
    error::<CallError<Never>>();
    error::<CallFailure>();
    error::<SetupError>();
    error::<CodecError>();
    error::<FrameError>();
    error::<StoreError>();
    error::<InvalidCallId>();
    error::<InvalidFingerprint>();
    error::<InvalidMetadata>();
    error::<ServingError>();
    error::<InspectError>();
    error::<EmitError>();
    error::<RemoveGroupError>();
    let _: Option<BoxError> = None;
}

#[test]
fn what_may_hold_a_secret_does_not_show_it() {
    let secret = "s3cret";
    let claim = Claim::new(format!("queue:method:key:{secret}"), [0; 16], "owner");
    let frame = Bytes::from(secret);
    let reply = Reply::new(CallId::new(), ReplyTarget::Key, frame.clone()).record(claim.clone());
    let message = Message {
        body: frame.clone(),
        ..Message::default()
    };
    for shown in [
        format!("{claim:?}"),
        format!("{reply:?}"),
        format!("{message:?}"),
        format!("{:?}", Claimed::Done(frame.clone())),
        format!("{:?}", ReplyFrame::Ok(frame.clone())),
        format!("{:?}", ReplyFrame::Handler(frame)),
        format!("{:?}", Metadata::try_from([("session", secret)]).unwrap()),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// The traits that others implement, each as what it is used as.
#[test]
fn the_seams_can_be_named() {
    use replybus::{
        client::ClientLayer,
        contract::Outcome,
        event::{Event, EventOutcome, SubscribeHandler},
        reply::{Arrivals, ReplyBackend, ReplyStore},
        server::{ServerLayer, Service},
        transport::{Acknowledger, Deliveries, Transport, TransportBackend},
    };
    fn object<T: ?Sized>() {}
    object::<dyn ReplyStore>();
    object::<dyn ReplyBackend>();
    object::<dyn Arrivals>();
    object::<dyn Transport>();
    object::<dyn TransportBackend>();
    object::<dyn Deliveries>();
    object::<dyn Acknowledger>();
    object::<dyn Service>();
    fn bounds<L: ClientLayer, M: ServerLayer, E: Event, H: SubscribeHandler<E>>() {}
    fn outcomes<R: Outcome, O: EventOutcome>() {}
    let _ = outcomes::<self::Outcome, ()>;
    let _ = bounds::<tower::layer::util::Identity, tower::layer::util::Identity, Happened, Handler>;
}

type Handler = fn(Happened) -> std::future::Ready<()>;

#[derive(replybus::Event, serde::Serialize, serde::Deserialize)]
#[event("something.happened")]
struct Happened;
