//! The names that generated code uses, all of them. Not public API: it changes with the macros.

pub use crate::__described as described;
#[cfg(feature = "schema")]
pub use crate::schema::{KnownType, MethodParts, TypeOf, UnknownType};
pub use crate::{
    Stream,
    bus::Bus,
    client::{Call, ClientLayer, ServiceClient},
    codec::ContentType,
    contract::{
        CachePolicy, Described, MethodContract, MethodKind, Outcome, QueueType, RetryPolicy,
        ServeDefaults, ServiceContract,
    },
    event::Event,
    partition::PartitionKey,
    server::{
        AnswerFuture, Payload, Service,
        service::{answer, no_such_method},
    },
    stream::{
        FeedCall, StreamArgument, StreamCall, StreamOutcome, feed::argument::answer_fed,
        items::answer_stream,
    },
};
pub use serde;
