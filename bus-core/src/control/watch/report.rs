//! What is asked for and reported, as it travels.

use crate::{
    call_id::CallId,
    codec::{self, ContentType},
    limits::{CONTROL_REQUEST_BYTES_MAX, WATCH_LEASE, WATCHED_IN_ONE_MAX, WATCHED_PER_SECOND_MAX},
    message::Text,
    presence::{InstanceId, is_shown, millis},
    wire::ReplyFrame,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use std::time::{Duration, SystemTime};

/// Which calls are to be reported, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::control) struct WatchRequest {
    /// Calls a second, by one instance.
    pub(super) per_second: u32,
    /// Those of one method only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<String>,
    /// Those only whose outcome is not `ok`.
    #[serde(default)]
    pub(super) failed: bool,
    /// Nothing more is wanted.
    #[serde(default)]
    pub(super) end: bool,
}

impl WatchRequest {
    /// The request in a message; `None` if it can't be read.
    pub(in crate::control) fn read(encoding: ContentType, body: &Bytes) -> Option<Self> {
        let request: Self = codec::decode(encoding, body).ok()?;
        let per_second = request.per_second.min(WATCHED_PER_SECOND_MAX);
        Some(Self {
            per_second,
            ..request
        })
    }

    pub(super) fn encode(&self, encoding: ContentType) -> Result<Bytes, codec::CodecError> {
        codec::encode(encoding, self, CONTROL_REQUEST_BYTES_MAX)
    }

    pub(super) fn wants(&self, call: &CallReport) -> bool {
        let method = self.method.as_deref();
        method.is_none_or(|method| method == call.method) && !(self.failed && call.outcome == OK)
    }
}

/// The outcome of a call that its handler answered with a value.
const OK: &str = "ok";

/// What an instance says of a call that it took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CallReport {
    #[serde(rename = "ended_ms", with = "millis")]
    pub(crate) ended_at: SystemTime,
    pub(crate) id: CallId,
    pub(crate) method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    pub(crate) caller: Option<Text>,
    #[serde(
        rename = "waited_us",
        skip_serializing_if = "Option::is_none",
        with = "optional_micros"
    )]
    pub(crate) waited: Option<Duration>,
    #[serde(rename = "took_us", with = "micros")]
    pub(crate) took: Duration,
    pub(crate) outcome: &'static str,
    pub(crate) attempt: u32,
}

/// A call to a queue that is watched, as the instance says it that took it.
///
/// Of what was called with, and under which key, it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct WatchedCall {
    /// The instance that took it.
    #[serde(skip, default = "nobody")]
    pub instance: InstanceId,
    /// When it ended there, by the clock of its machine.
    #[serde(rename = "ended_ms", with = "millis")]
    pub ended_at: SystemTime,
    /// Its id.
    pub id: CallId,
    /// Its method; `unknown` of those that the service does not have.
    pub method: String,
    /// How its caller names itself (`app_id`), if it does.
    #[serde(default)]
    pub caller: Option<String>,
    /// How long it had waited when it reached the instance, if it says when it was published: awaited
    /// calls do. It is as wrong as the clocks of caller and instance are apart.
    #[serde(rename = "waited_us", default, with = "optional_micros")]
    pub waited: Option<Duration>,
    /// From when it reached the instance until its outcome was known.
    #[serde(rename = "took_us", with = "micros")]
    pub took: Duration,
    /// What it came to, in one word: `ok`; `handler` for an error of the handler's own; `put_off` for
    /// one that is run again later; else the [code](crate::error::FaultCode) of its fault. More may
    /// come.
    pub outcome: String,
    /// The number of its run: 1, unless it was begun before.
    pub attempt: u32,
}

impl WatchedCall {
    /// `true` if its handler answered it with a value.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome == OK
    }

    /// `true` if it can be shown to people as it is.
    fn is_sound(&self) -> bool {
        let texts = [&self.method, &self.outcome];
        let mut texts = texts.into_iter().chain(&self.caller);
        texts.all(|text| is_shown(text))
    }
}

fn nobody() -> InstanceId {
    InstanceId::from_bytes([0; 16])
}

/// What an instance reports at a time.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WatchReport<C> {
    pub(super) instance: InstanceId,
    /// The calls that were asked for since it was asked first: those that are reported nowhere are
    /// missed.
    pub(super) matched: u64,
    pub(super) calls: Vec<C>,
}

impl WatchReport<CallReport> {
    pub(super) fn encode(&self, encoding: ContentType) -> Bytes {
        // Texts and numbers: neither encoder has a way to fail.
        ReplyFrame::encode_ok(encoding, self).unwrap_or_default()
    }
}

impl WatchReport<WatchedCall> {
    /// The report in a frame; `None` if it is none, or holds what can't be shown.
    pub(super) fn read(frame: &Bytes) -> Option<Self> {
        let (encoding, ReplyFrame::Ok(body)) = ReplyFrame::decode(frame).ok()? else {
            return None;
        };
        let mut report: Self = codec::decode(encoding, &body).ok()?;
        let is_sound = report.calls.len() <= WATCHED_IN_ONE_MAX
            && report.calls.iter().all(WatchedCall::is_sound);
        for call in &mut report.calls {
            call.instance = report.instance;
        }
        is_sound.then_some(report)
    }
}

/// A text as a report may hold it.
fn shown<S: Serializer>(text: &Option<Text>, to: S) -> Result<S::Ok, S::Error> {
    let text = text.as_deref().unwrap_or_default();
    crate::presence::shown(text).serialize(to)
}

mod micros {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        micros.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_micros)
    }
}

mod optional_micros {
    use super::{Deserialize, Duration, Serialize, Serializer, micros};
    use serde::Deserializer;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Micros(#[serde(with = "micros")] Duration);

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Micros).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let read = Option::<Micros>::deserialize(from)?;
        Ok(read.map(|Micros(time)| time))
    }
}

// A lease is renewed while reports come in.
const _: () = assert!(WATCH_LEASE.as_secs() >= 3);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::limits::INSTANCE_TEXT_MAX;

    /// A call as an instance reports it.
    pub(in crate::control::watch) fn call(
        method: &'static str,
        outcome: &'static str,
    ) -> CallReport {
        CallReport {
            ended_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_350_000_123),
            id: CallId::from_bytes([7; 16]),
            method,
            caller: Some("bank".into()),
            waited: Some(Duration::from_micros(1_500)),
            took: Duration::from_millis(12),
            outcome,
            attempt: 2,
        }
    }

    fn report(calls: Vec<CallReport>) -> WatchReport<CallReport> {
        WatchReport {
            instance: InstanceId::from_bytes([3; 16]),
            matched: 17,
            calls,
        }
    }

    #[test]
    fn reads_back_what_it_says() {
        let mut silent = call("balance", "timed_out");
        (silent.caller, silent.waited) = (None, None);
        for encoding in [ContentType::Json, ContentType::MessagePack] {
            let said = report(vec![call("post", OK), silent.clone()]);
            let read = WatchReport::read(&said.encode(encoding)).unwrap();
            assert_eq!((read.instance, read.matched), (said.instance, 17));
            let [ok, failed] = &read.calls[..] else {
                panic!("{read:?}")
            };
            assert_eq!(ok.instance, said.instance);
            assert_eq!((ok.method.as_str(), ok.attempt), ("post", 2));
            assert_eq!(ok.ended_at, call("post", OK).ended_at);
            assert_eq!(ok.caller.as_deref(), Some("bank"));
            assert_eq!(ok.waited, Some(Duration::from_micros(1_500)));
            assert_eq!(ok.took, Duration::from_millis(12));
            assert!(ok.is_ok() && !failed.is_ok());
            assert_eq!((&failed.caller, failed.waited), (&None, None));
        }
    }

    #[test]
    fn a_callers_name_is_made_fit_to_be_shown() {
        let mut call = call("post", OK);
        call.caller = Some(format!("\u{1b}[2J{}", "x".repeat(1_000)).into());
        let said = report(vec![call]).encode(ContentType::Json);
        let read = WatchReport::read(&said).unwrap();
        let caller = read.calls[0].caller.as_deref().unwrap();
        assert!(caller.starts_with("?[2Jxx") && caller.len() == INSTANCE_TEXT_MAX);
    }

    #[test]
    fn what_is_no_report_or_can_not_be_shown_is_none() {
        let good = report(vec![call("post", OK)]).encode(ContentType::Json);
        let text = String::from_utf8(good.to_vec()).unwrap();
        let with = |from: &str, to: &str| Bytes::from(text.replace(from, to));
        assert!(WatchReport::read(&with("\"post\"", "\"po\u{20ac}st\"")).is_some());
        assert!(WatchReport::read(&with("\"attempt\":2", "\"attempt\":2,\"new\":[]")).is_some());
        let many = report(vec![call("post", OK); WATCHED_IN_ONE_MAX + 1]);
        for bad in [
            Bytes::new(),
            with("\"post\"", "\"\\u001b[2J\""),
            with("\"attempt\":2", "\"attempt\":-2"),
            with("1764350000123", "18446744073709551616"),
            with("\"matched\":17", "\"matched\":{}"),
            good.slice(..good.len() - 1),
            many.encode(ContentType::MessagePack),
        ] {
            assert!(WatchReport::read(&bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_request_wants_what_it_names() {
        let read = |text: &'static str| WatchRequest::read(ContentType::Json, &text.into());
        let all = read(r#"{"per_second":4000000000,"new":1}"#).unwrap();
        assert_eq!(all.per_second, WATCHED_PER_SECOND_MAX);
        let failed = read(r#"{"per_second":1,"method":"post","failed":true}"#).unwrap();
        for (method, outcome, wanted) in [
            ("post", OK, false),
            ("post", "handler", true),
            ("post", "put_off", true),
            ("balance", "handler", false),
        ] {
            assert!(all.wants(&call(method, outcome)));
            assert_eq!(
                failed.wants(&call(method, outcome)),
                wanted,
                "{method} {outcome}"
            );
        }
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"per_second":-1}"#,
            r#"{"per_second":1,"method":7}"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
