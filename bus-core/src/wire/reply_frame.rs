//! The frame of a reply: `{"status": "ok", "body": ..}` or
//! `{"status": "error", "code": .., "message": .., "may_have_executed": .., "body": ..}`, in the
//! request's encoding.

use super::signed_reply::SignedReply;
use crate::{
    codec::{self, CodecError, ContentType},
    contract::Fingerprint,
    error::{Fault, FaultCode},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fmt, time::Duration};

/// The code of an error that is the handler's own; its value is the body.
const HANDLER: &str = "handler";

/// A reply as it was read; what travels is written down in the documentation of the wire protocol.
///
/// Services and callers in Rust never meet one. For a proxy, a recorder, or a test of a caller in
/// another language:
///
/// ```
/// use replybus::{ContentType, error::{Fault, FaultCode}, wire::ReplyFrame};
///
/// let frame = ReplyFrame::encode_ok(ContentType::Json, &5)?;
/// assert_eq!(frame, r#"{"status":"ok","body":5}"#);
///
/// let fault = Fault::new(FaultCode::Expired, "late");
/// let frame = ReplyFrame::encode_fault(ContentType::Json, &fault);
/// match ReplyFrame::decode(&frame)? {
///     (ContentType::Json, ReplyFrame::Fault(read)) => assert_eq!(read, fault),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyFrame {
    /// The handler's value, encoded.
    Ok(Bytes),
    /// The handler's own error, encoded.
    Handler(Bytes),
    /// The handler did not answer.
    Fault(Fault),
}

/// Bytes that are no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a reply: {0}")]
pub struct FrameError(String);

impl FrameError {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl ReplyFrame {
    /// One word for it, as of the [`Answer`](crate::server::Answer) that it was.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::Handler(_) => "handler",
            Self::Fault(fault) => fault.code.as_str(),
        }
    }

    /// The frame of a handler's value.
    ///
    /// # Errors
    /// The value can't be encoded.
    pub fn encode_ok<T: Serialize + ?Sized>(
        content_type: ContentType,
        value: &T,
    ) -> Result<Bytes, CodecError> {
        Self::encode_timed_ok(content_type, value, None)
    }

    /// The same, of a service that takes bundles: with the microseconds its handler took.
    pub(crate) fn encode_timed_ok<T: Serialize + ?Sized>(
        content_type: ContentType,
        value: &T,
        micros: Option<u32>,
    ) -> Result<Bytes, CodecError> {
        let head = match content_type {
            ContentType::MessagePack => &b"\x82\xa6status\xa2ok"[..],
            ContentType::Json => br#"{"status":"ok""#,
        };
        encode_body(content_type, head, micros, value)
    }

    /// The frame of a handler's own error.
    ///
    /// # Errors
    /// The value can't be encoded.
    pub fn encode_handler_error<E: Serialize + ?Sized>(
        content_type: ContentType,
        error: &E,
    ) -> Result<Bytes, CodecError> {
        Self::encode_timed_handler_error(content_type, error, None)
    }

    /// The same, of a service that takes bundles: with the microseconds its handler took.
    pub(crate) fn encode_timed_handler_error<E: Serialize + ?Sized>(
        content_type: ContentType,
        error: &E,
        micros: Option<u32>,
    ) -> Result<Bytes, CodecError> {
        let head = match content_type {
            ContentType::MessagePack => &b"\x83\xa6status\xa5error\xa4code\xa7handler"[..],
            ContentType::Json => br#"{"status":"error","code":"handler""#,
        };
        encode_body(content_type, head, micros, error)
    }

    /// The frame of a fault.
    #[must_use]
    pub fn encode_fault(content_type: ContentType, fault: &Fault) -> Bytes {
        #[derive(Serialize)]
        struct Error<'a> {
            status: &'static str,
            code: &'static str,
            message: &'a str,
            may_have_executed: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_ms: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            contract: Option<String>,
        }
        let error = Error {
            status: "error",
            code: fault.code.as_str(),
            message: &fault.message,
            may_have_executed: fault.may_have_executed,
            retry_after_ms: fault.retry_after.map(millis),
            contract: fault.contract.map(|contract| contract.to_string()),
        };
        let mut frame = Vec::with_capacity(160);
        // Three strings and a flag into a growing buffer: neither encoder has a way to fail.
        let _ = codec::append(content_type, &error, &mut frame);
        frame.into()
    }

    /// Reads a frame and tells its encoding: a JSON object begins with `{`, a MessagePack map
    /// never does.
    ///
    /// # Errors
    /// The bytes are no frame.
    pub fn decode(frame: &Bytes) -> Result<(ContentType, Self), FrameError> {
        let (content_type, read, _) = Self::decode_timed(frame)?;
        Ok((content_type, read))
    }

    /// The same, and the microseconds the handler took, if the service takes bundles.
    pub(crate) fn decode_timed(
        frame: &Bytes,
    ) -> Result<(ContentType, Self, Option<u32>), FrameError> {
        if SignedReply::is(frame) {
            // Whether it is to be believed was asked by whoever wants to know.
            let signed = SignedReply::decode(frame);
            let signed = signed.ok_or_else(|| FrameError::new("a signature that is cut short"))?;
            return Self::decode_bare(&signed.frame);
        }
        Self::decode_bare(frame)
    }

    fn decode_bare(frame: &Bytes) -> Result<(ContentType, Self, Option<u32>), FrameError> {
        let (content_type, (read, micros)) = if frame.first() == Some(&b'{') {
            (ContentType::Json, decode_json(frame)?)
        } else {
            (ContentType::MessagePack, decode_msgpack(frame)?)
        };
        Ok((content_type, read, micros))
    }
}

/// A frame of a body: its other entries, how long the handler took, and the body last.
fn encode_body<T: Serialize + ?Sized>(
    content_type: ContentType,
    head: &[u8],
    micros: Option<u32>,
    body: &T,
) -> Result<Bytes, CodecError> {
    codec::written(|frame| {
        frame.extend_from_slice(head);
        match content_type {
            ContentType::MessagePack => {
                if let Some(micros) = micros {
                    // One entry more than the head has.
                    let map = frame.len() - head.len();
                    if let Some(entries) = frame.get_mut(map) {
                        *entries += 1;
                    }
                    frame.extend_from_slice(b"\xa2us");
                    codec::append(content_type, &micros, frame)?;
                }
                frame.extend_from_slice(b"\xa4body");
                codec::append(content_type, body, frame)
            }
            ContentType::Json => {
                if let Some(micros) = micros {
                    frame.extend_from_slice(br#","us":"#);
                    codec::append(content_type, &micros, frame)?;
                }
                frame.extend_from_slice(br#","body":"#);
                codec::append(content_type, body, frame)?;
                frame.push(b'}');
                Ok(())
            }
        }
    })
}

// A body can hold what is nobody else's business.
impl fmt::Debug for ReplyFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(body) => write!(f, "Ok({} bytes)", body.len()),
            Self::Handler(body) => write!(f, "Handler({} bytes)", body.len()),
            Self::Fault(fault) => f.debug_tuple("Fault").field(fault).finish(),
        }
    }
}

fn decode_json(frame: &Bytes) -> Result<(ReplyFrame, Option<u32>), FrameError> {
    #[derive(Deserialize)]
    struct Json<'a> {
        status: String,
        code: Option<String>,
        message: Option<String>,
        may_have_executed: Option<bool>,
        // A body of `null` is a body: an Option of its own would read it as none.
        #[serde(borrow, default, deserialize_with = "present")]
        body: Option<&'a RawValue>,
        // Of another type it is an entry that is not known.
        #[serde(borrow)]
        us: Option<&'a RawValue>,
        #[serde(borrow)]
        retry_after_ms: Option<&'a RawValue>,
        #[serde(borrow)]
        contract: Option<&'a RawValue>,
    }
    fn present<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<&'de RawValue>, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Some)
    }
    let json: Json<'_> =
        serde_json::from_slice(frame).map_err(|error| FrameError::new(error.to_string()))?;
    let body = json.body.map(|raw| frame.slice_ref(raw.get().as_bytes()));
    let micros = json.us.and_then(|raw| raw.get().parse().ok());
    let parts = Parts {
        status: &json.status,
        code: json.code.as_deref(),
        message: json.message.as_deref(),
        may_have_executed: json.may_have_executed,
        retry_after: json
            .retry_after_ms
            .and_then(|raw| Some(Duration::from_millis(raw.get().parse().ok()?))),
        contract: json
            .contract
            .and_then(|raw| serde_json::from_str::<&str>(raw.get()).ok()?.parse().ok()),
        body,
    };
    Ok((parts.frame()?, micros))
}

fn decode_msgpack(frame: &Bytes) -> Result<(ReplyFrame, Option<u32>), FrameError> {
    let mut rest: &[u8] = frame;
    let mut parts = Parts::default();
    let mut micros = None;
    let entries = rmp::decode::read_map_len(&mut rest)
        .map_err(|error| FrameError::new(format!("expected a map, {error}")))?;
    for entry in 0..entries {
        let key = read_str(&mut rest)?;
        if key == "us" {
            // Of another type it is an entry that is not known.
            let mut after = rest;
            if let Ok(took) = rmp::decode::read_int(&mut after) {
                micros = Some(took);
                rest = after;
                continue;
            }
        }
        if key == "retry_after_ms" {
            let mut after = rest;
            if let Ok(millis) = rmp::decode::read_int(&mut after) {
                parts.retry_after = Some(Duration::from_millis(millis));
                rest = after;
                continue;
            }
        }
        if key == "contract"
            && let Ok((text, after)) = rmp::decode::read_str_from_slice(rest)
        {
            // What is no fingerprint is an entry that is not known.
            parts.contract = text.parse().ok();
            rest = after;
            continue;
        }
        match key {
            "status" => parts.status = read_str(&mut rest)?,
            "code" => parts.code = Some(read_str(&mut rest)?),
            "message" => parts.message = Some(read_str(&mut rest)?),
            "may_have_executed" => parts.may_have_executed = Some(read_bool(&mut rest)?),
            key => {
                // The body is written last, so its length need not be looked for.
                let len = if key == "body" && entry + 1 == entries {
                    rest.len()
                } else {
                    codec::value_len(rest).map_err(|error| FrameError::new(error.to_string()))?
                };
                let (value, after) = rest
                    .split_at_checked(len)
                    .ok_or_else(|| FrameError::new("cut short"))?;
                if key == "body" {
                    parts.body = Some(frame.slice_ref(value));
                }
                rest = after;
            }
        }
    }
    if rest.is_empty() {
        Ok((parts.frame()?, micros))
    } else {
        Err(FrameError::new(format!("{} bytes follow it", rest.len())))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn read_str<'a>(rest: &mut &'a [u8]) -> Result<&'a str, FrameError> {
    let (text, after) = rmp::decode::read_str_from_slice(*rest)
        .map_err(|error| FrameError::new(format!("expected text, {error}")))?;
    *rest = after;
    Ok(text)
}

fn read_bool(rest: &mut &[u8]) -> Result<bool, FrameError> {
    rmp::decode::read_bool(rest)
        .map_err(|error| FrameError::new(format!("expected true or false, {error}")))
}

#[derive(Default)]
struct Parts<'a> {
    status: &'a str,
    code: Option<&'a str>,
    message: Option<&'a str>,
    may_have_executed: Option<bool>,
    retry_after: Option<Duration>,
    contract: Option<Fingerprint>,
    body: Option<Bytes>,
}

impl Parts<'_> {
    fn frame(self) -> Result<ReplyFrame, FrameError> {
        let body = |body: Option<Bytes>| body.ok_or_else(|| FrameError::new("it has no body"));
        match (self.status, self.code) {
            ("ok", _) => Ok(ReplyFrame::Ok(body(self.body)?)),
            ("error", Some(HANDLER)) => Ok(ReplyFrame::Handler(body(self.body)?)),
            ("error", Some(text)) => {
                let code = FaultCode::from_wire(text);
                let ran = self.may_have_executed;
                Ok(ReplyFrame::Fault(Fault {
                    code,
                    message: self.message.unwrap_or(text).to_owned(),
                    // Not every service says it: then the code decides.
                    may_have_executed: ran.unwrap_or(code.may_have_executed()),
                    retry_after: self.retry_after,
                    contract: self.contract,
                }))
            }
            ("error", None) => Err(FrameError::new("an error without a code")),
            (status, _) => Err(FrameError::new(format!("status {status:?} is not known"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: [ContentType; 2] = [ContentType::MessagePack, ContentType::Json];

    #[test]
    fn reads_back_what_it_writes() {
        for content_type in BOTH {
            let value = codec::encode(content_type, &(1, "two"), 99).unwrap();
            let frame = ReplyFrame::encode_ok(content_type, &(1, "two")).unwrap();
            assert_eq!(
                ReplyFrame::decode(&frame),
                Ok((content_type, ReplyFrame::Ok(value.clone())))
            );
            let frame = ReplyFrame::encode_handler_error(content_type, &(1, "two")).unwrap();
            assert_eq!(
                ReplyFrame::decode(&frame),
                Ok((content_type, ReplyFrame::Handler(value)))
            );
            for code in FaultCode::ALL {
                let fault = Fault::new(*code, "why");
                for fault in [fault.clone(), fault.may_have_been_executed()] {
                    let frame = ReplyFrame::encode_fault(content_type, &fault);
                    assert_eq!(
                        ReplyFrame::decode(&frame),
                        Ok((content_type, ReplyFrame::Fault(fault)))
                    );
                }
            }
        }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(
            ReplyFrame::encode_ok(ContentType::MessagePack, &5).unwrap(),
            &b"\x82\xa6status\xa2ok\xa4body\x05"[..]
        );
        assert_eq!(
            ReplyFrame::encode_ok(ContentType::Json, &5).unwrap(),
            &br#"{"status":"ok","body":5}"#[..]
        );
        let fault = Fault::new(FaultCode::Expired, "late");
        assert_eq!(
            ReplyFrame::encode_fault(ContentType::MessagePack, &fault),
            &b"\x84\xa6status\xa5error\xa4code\xa7expired\xa7message\xa4late\xb1may_have_executed\xc2"[..]
        );
        assert_eq!(
            ReplyFrame::encode_handler_error(ContentType::Json, "no").unwrap(),
            &br#"{"status":"error","code":"handler","body":"no"}"#[..]
        );
    }

    #[test]
    fn the_time_of_the_handler_is_an_entry_more() {
        let took = Some(12);
        let frame = ReplyFrame::encode_timed_ok(ContentType::MessagePack, &5, took).unwrap();
        assert_eq!(frame, &b"\x83\xa6status\xa2ok\xa2us\x0c\xa4body\x05"[..]);
        let frame = ReplyFrame::encode_timed_ok(ContentType::Json, &5, took).unwrap();
        assert_eq!(frame, &br#"{"status":"ok","us":12,"body":5}"#[..]);
        for content_type in BOTH {
            for took in [None, Some(0), Some(u32::MAX)] {
                let ok = ReplyFrame::encode_timed_ok(content_type, "v", took).unwrap();
                let error =
                    ReplyFrame::encode_timed_handler_error(content_type, "e", took).unwrap();
                for frame in [ok, error] {
                    let (_, read, micros) = ReplyFrame::decode_timed(&frame).unwrap();
                    assert_eq!(micros, took);
                    assert_eq!(ReplyFrame::decode(&frame), Ok((content_type, read)));
                }
            }
        }
    }

    #[test]
    fn a_time_that_is_none_is_an_entry_that_is_not_known() {
        for frame in [
            &br#"{"status":"ok","us":"soon","body":5}"#[..],
            br#"{"status":"ok","us":-1,"body":5}"#,
            br#"{"status":"ok","us":null,"body":5}"#,
            b"\x83\xa6status\xa2ok\xa2us\x91\x01\xa4body\x05",
            b"\x83\xa6status\xa2ok\xa2us\xff\xa4body\x05",
        ] {
            let (_, read, micros) = ReplyFrame::decode_timed(&Bytes::from_static(frame)).unwrap();
            assert!(matches!(read, ReplyFrame::Ok(_)));
            assert_eq!(micros, None);
        }
    }

    #[test]
    fn of_a_fault_that_does_not_say_it_the_code_tells_whether_it_ran() {
        for code in FaultCode::ALL {
            let (fault, name) = (Fault::new(*code, "why"), code.as_str());
            let frame = format!(r#"{{"status":"error","code":"{name}","message":"why"}}"#);
            assert_eq!(
                ReplyFrame::decode(&frame.into()),
                Ok((ContentType::Json, ReplyFrame::Fault(fault)))
            );
        }
        let frame = b"\x82\xa6status\xa5error\xa4code\xa7expired";
        let fault = Fault::new(FaultCode::Expired, "expired");
        assert_eq!(
            ReplyFrame::decode(&Bytes::from_static(frame)),
            Ok((ContentType::MessagePack, ReplyFrame::Fault(fault)))
        );
    }

    #[test]
    fn a_refusal_for_load_may_say_when_to_try_again() {
        for content_type in BOTH {
            let soon = Fault::new(FaultCode::Overloaded, "busy");
            let later = soon.clone().retry_after(Duration::from_millis(1_500));
            let size = |fault| ReplyFrame::encode_fault(content_type, fault).len();
            // What says nothing of it is what it was.
            assert!(size(&soon) + "retry_after_ms".len() < size(&later));
            for fault in [soon, later] {
                let frame = ReplyFrame::encode_fault(content_type, &fault);
                let read = ReplyFrame::decode(&frame);
                assert_eq!(read, Ok((content_type, ReplyFrame::Fault(fault))));
            }
        }
        let frame = br#"{"status":"error","code":"overloaded","retry_after_ms":"soon"}"#;
        let (_, read) = ReplyFrame::decode(&Bytes::from_static(frame)).unwrap();
        assert!(matches!(read, ReplyFrame::Fault(fault) if fault.retry_after.is_none()));
    }

    #[test]
    fn arguments_that_can_not_be_read_may_say_of_which_contract_they_are_not() {
        for content_type in BOTH {
            for contract in ["0011223344556677", "schema:0011223344556677"] {
                let fault = Fault::new(FaultCode::BadRequest, "arguments: missing field `a`");
                let fault = fault.contract(contract.parse().unwrap());
                let frame = ReplyFrame::encode_fault(content_type, &fault);
                let read = ReplyFrame::decode(&frame);
                assert_eq!(read, Ok((content_type, ReplyFrame::Fault(fault))));
            }
        }
        for none in [
            "7",
            "\"later:0011223344556677\"",
            "[\"0011223344556677\"]",
            "1122334455667788",
        ] {
            let frame = format!(r#"{{"status":"error","code":"bad_request","contract":{none}}}"#);
            let (_, read) = ReplyFrame::decode(&frame.into()).unwrap();
            assert!(
                matches!(read, ReplyFrame::Fault(fault) if fault.contract.is_none()),
                "{none}"
            );
        }
        let frame = b"\x83\xa6status\xa5error\xa4code\xabbad_request\xa8contract\x07";
        let (_, read) = ReplyFrame::decode(&Bytes::from_static(frame)).unwrap();
        assert!(matches!(read, ReplyFrame::Fault(fault) if fault.contract.is_none()));
    }

    #[test]
    fn nothing_is_a_value() {
        for content_type in BOTH {
            let frame = ReplyFrame::encode_ok(content_type, &()).unwrap();
            let value = codec::encode(content_type, &(), 9).unwrap();
            assert_eq!(
                ReplyFrame::decode(&frame),
                Ok((content_type, ReplyFrame::Ok(value)))
            );
        }
    }

    #[test]
    fn order_and_unknown_entries_do_not_matter() {
        let frame =
            Bytes::from_static(b"\x83\xa4body\x93\x01\x02\x03\xa1x\x81\xa1y\xc0\xa6status\xa2ok");
        let body = Bytes::from_static(b"\x93\x01\x02\x03");
        assert_eq!(
            ReplyFrame::decode(&frame),
            Ok((ContentType::MessagePack, ReplyFrame::Ok(body)))
        );
        let frame = Bytes::from_static(br#"{"x":1,"body":[1, 2],"status":"ok"}"#);
        assert_eq!(
            ReplyFrame::decode(&frame),
            Ok((
                ContentType::Json,
                ReplyFrame::Ok(Bytes::from_static(b"[1, 2]"))
            ))
        );
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_nothing_worse(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = ReplyFrame::decode(&Bytes::from(bytes));
        }

        #[test]
        fn a_cut_frame_is_an_error(cut in 0_usize..40) {
            let frame = ReplyFrame::encode_fault(
                ContentType::MessagePack,
                &Fault::new(FaultCode::Expired, "late"),
            );
            prop_assert!(ReplyFrame::decode(&frame.slice(..cut.min(frame.len() - 1))).is_err());
        }
    }
}
