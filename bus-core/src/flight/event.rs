//! One event of a call, as it is recorded and as it is read.

use crate::{
    call_id::CallId,
    codec::{self, CodecError, ContentType},
    limits::FLIGHT_EVENT_BYTES_MAX,
    message::Text,
    presence::{InstanceId, is_shown},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// Something that happened to a call, by the word of the program where it did.
///
/// It has no arguments, no answer, no metadata and no idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FlightEvent {
    /// The call.
    pub call: CallId,
    /// When it happened, by the clock of the machine where it did, in microseconds since the Unix
    /// epoch where it is written down. Clocks of machines differ.
    #[serde(rename = "at_us", with = "micros")]
    pub at: SystemTime,
    /// What happened.
    #[serde(flatten)]
    pub step: FlightStep,
    /// The serving instance, as [`Bus::instances`](crate::Bus::instances) has it; of a caller, its
    /// bus.
    pub instance: InstanceId,
    /// The program (`app_id`).
    pub program: Text,
    /// The name of the machine, as that has it; empty if it has none.
    pub host: Text,
}

/// What happened to a call. Where it says `outcome`, that is `ok`, `handler` for an error of the
/// handler's own, or the code of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FlightStep {
    /// The caller published it.
    Published {
        /// The trait that is called.
        service: Text,
        /// The method.
        method: Text,
        /// The queue, without the namespace.
        queue: Text,
        /// Its caller waits for the reply.
        awaited: bool,
        /// It was published before, and may have arrived.
        repeated: bool,
        /// The call whose handler made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<CallId>,
        /// The trace that it belongs to, if that is not its own: 32 hexadecimal digits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trace: Option<Text>,
    },
    /// The broker said that it has the call; for a call whose caller waits for that.
    Confirmed,
    /// A worker took it from its queue.
    Taken {
        /// The trait that is served.
        service: Text,
        /// The method, if the service has it.
        method: Text,
        /// The queue, without the namespace.
        queue: Text,
        /// The broker delivered it before, or its caller published it again.
        redelivered: bool,
    },
    /// A command waits, because another run of it has its claim.
    WaitsForRun,
    /// A command has its claim.
    Claimed {
        /// Which attempt at it that is, from 1.
        attempt: u32,
    },
    /// A command is not run, because of what its claim says: it has an outcome already, or can't be
    /// claimed.
    NotClaimed {
        /// What is answered.
        outcome: Text,
    },
    /// The handler was called.
    Began {
        /// Which attempt it sees, from 1.
        attempt: u32,
    },
    /// The handler is done, or was stopped.
    Ended {
        /// What it came to: also `panicked`, and `dropped` if it was stopped half-way.
        outcome: Text,
    },
    /// It waits on the broker for its next run.
    PutOff {
        /// The runs it had.
        runs: u32,
    },
    /// It was kept as a dead letter.
    DeadLettered {
        /// The code of the fault, or `handler`.
        reason: Text,
    },
    /// It became a dead letter that nothing took, and is lost.
    LetterDropped {
        /// The code of the fault, or `handler`.
        reason: Text,
    },
    /// Its reply, or what it came to, is in the reply store.
    ReplyStored {
        /// What is answered.
        outcome: Text,
        /// Its caller's inbox was gone.
        inbox_absent: bool,
    },
    /// Its reply could not be stored in time.
    ReplyNotStored,
    /// The caller has the reply.
    Answered {
        /// What was answered.
        outcome: Text,
    },
    /// The call failed at the caller without a reply.
    Failed {
        /// The kind of failure, such as `timed_out` or `unroutable`.
        reason: Text,
    },
    /// Its caller gave it up while it waited for the reply.
    Abandoned,
}

impl FlightStep {
    /// `true` if nothing more comes of the call for its caller.
    pub(super) fn ends_the_call(&self) -> bool {
        matches!(
            self,
            Self::Answered { .. } | Self::Failed { .. } | Self::Abandoned
        )
    }

    fn texts(&self) -> [Option<&Text>; 4] {
        match self {
            Self::Published {
                service,
                method,
                queue,
                trace,
                ..
            } => [Some(service), Some(method), Some(queue), trace.as_ref()],
            Self::Taken {
                service,
                method,
                queue,
                ..
            } => [Some(service), Some(method), Some(queue), None],
            Self::NotClaimed { outcome: text }
            | Self::Ended { outcome: text }
            | Self::DeadLettered { reason: text }
            | Self::LetterDropped { reason: text }
            | Self::ReplyStored { outcome: text, .. }
            | Self::Answered { outcome: text }
            | Self::Failed { reason: text } => [Some(text), None, None, None],
            Self::Confirmed
            | Self::WaitsForRun
            | Self::Claimed { .. }
            | Self::Began { .. }
            | Self::PutOff { .. }
            | Self::ReplyNotStored
            | Self::Abandoned => [None; 4],
        }
    }
}

impl FlightEvent {
    /// What is written down of it.
    pub(super) fn encode(&self) -> Result<Bytes, CodecError> {
        codec::encode(ContentType::Json, self, FLIGHT_EVENT_BYTES_MAX)
    }

    /// The event that was written down; `None` if it is none, or no such as we write.
    pub(super) fn decode(written: &[u8]) -> Option<Self> {
        if written.len() > FLIGHT_EVENT_BYTES_MAX {
            return None;
        }
        let read: Self = codec::decode(ContentType::Json, written).ok()?;
        let of_step = read.step.texts().into_iter().flatten();
        let is_sound = of_step
            .chain([&read.program, &read.host])
            .all(|text| is_shown(text));
        is_sound.then_some(read)
    }
}

mod micros {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    pub(super) fn serialize<S: Serializer>(at: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros())
            .unwrap_or(u64::MAX)
            .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let since = Duration::from_micros(u64::deserialize(from)?);
        let at = UNIX_EPOCH.checked_add(since);
        at.ok_or_else(|| D::Error::custom("a moment that no clock shows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::INSTANCE_TEXT_MAX;
    use std::time::{Duration, UNIX_EPOCH};

    fn event(step: FlightStep) -> FlightEvent {
        FlightEvent {
            call: CallId::from_bytes([7; 16]),
            at: UNIX_EPOCH + Duration::from_micros(1_234_567),
            step,
            instance: InstanceId::new(),
            program: "bank".into(),
            host: "vienna-1".into(),
        }
    }

    fn published() -> FlightStep {
        FlightStep::Published {
            service: "Accounts".into(),
            method: "post".into(),
            queue: "account.requests".into(),
            awaited: true,
            repeated: false,
            parent: Some(CallId::from_bytes([8; 16])),
            trace: Some("0af7651916cd43dd8448eb211c80319c".into()),
        }
    }

    #[test]
    fn every_step_reads_back_what_it_says() {
        let outcome = || Text::from_static("ok");
        for step in [
            published(),
            FlightStep::Confirmed,
            FlightStep::Taken {
                service: "Accounts".into(),
                method: "post".into(),
                queue: "account.requests".into(),
                redelivered: true,
            },
            FlightStep::WaitsForRun,
            FlightStep::Claimed { attempt: 2 },
            FlightStep::NotClaimed { outcome: outcome() },
            FlightStep::Began { attempt: 2 },
            FlightStep::Ended { outcome: outcome() },
            FlightStep::PutOff { runs: 3 },
            FlightStep::DeadLettered { reason: outcome() },
            FlightStep::LetterDropped { reason: outcome() },
            FlightStep::ReplyStored {
                outcome: outcome(),
                inbox_absent: true,
            },
            FlightStep::ReplyNotStored,
            FlightStep::Answered { outcome: outcome() },
            FlightStep::Failed { reason: outcome() },
            FlightStep::Abandoned,
        ] {
            let event = event(step);
            let written = event.encode().unwrap();
            assert_eq!(FlightEvent::decode(&written), Some(event));
        }
    }

    #[test]
    fn the_longest_names_fit() {
        let longest = || Text::from("x".repeat(crate::limits::NAME_BYTES_MAX));
        let mut event = event(FlightStep::Published {
            service: longest(),
            method: longest(),
            queue: longest(),
            awaited: true,
            repeated: true,
            parent: Some(CallId::new()),
            trace: Some("0".repeat(32).into()),
        });
        (event.program, event.host) = (longest(), longest());
        assert!(event.encode().is_ok());
    }

    #[test]
    fn what_is_no_event_or_can_not_be_shown_is_none() {
        let written = event(published()).encode().unwrap();
        let good = String::from_utf8(written.to_vec()).unwrap();
        let with = |from: &str, to: &str| good.replace(from, to).into_bytes();
        // What a later version adds is passed over.
        assert!(FlightEvent::decode(&with("\"step\"", "\"new\":[1],\"step\"")).is_some());
        let long = format!("\"{}\"", "x".repeat(INSTANCE_TEXT_MAX + 1));
        for bad in [
            Vec::new(),
            b"[]".to_vec(),
            with("\"post\"", "\"\\u001b[2J\""),
            with("\"post\"", &long),
            with("1234567", "-1"),
            with("\"published\"", "\"landed\""),
            [good.as_bytes(), &vec![b' '; FLIGHT_EVENT_BYTES_MAX]].concat(),
        ] {
            assert_eq!(FlightEvent::decode(&bad), None, "{}", bad.escape_ascii());
        }
    }
}
