//! The signature of a request: what it is over, and the header that it travels in.

use super::{
    content::Content,
    digits,
    key::SigningKey,
    ring::{KeyRing, Refusal},
};
use crate::{
    client::{CallRequest, Verb},
    codec::ContentType,
    context::Metadata,
    contract::unix_time,
    message::{Message, Properties, Text},
    wire::headers,
};
use std::time::Duration;

/// What the content of a request begins with.
const KIND: &str = "replybus request 1";
/// What the header begins with: the version of all of it.
const VERSION: &str = "1";

/// The times between which a request may be started, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) from: u64,
    pub(super) until: u64,
}

/// A request as it is signed, by whoever makes it and whoever reads it.
struct Signed<'a> {
    namespace: &'a str,
    /// Without the namespace, and that of the contract where there are partitions.
    queue: &'a str,
    method: &'a str,
    id: &'a str,
    /// Its reply is stored.
    answered: bool,
    reply_to: Option<&'a str>,
    app_id: Option<&'a str>,
    content_type: ContentType,
    idempotency_key: Option<&'a str>,
    partition: Option<&'a str>,
    stream: Option<&'a str>,
    baggage: Option<&'a str>,
    metadata: &'a Metadata,
    body: &'a [u8],
}

impl Signed<'_> {
    fn content(&self, key: &str, times: Times) -> Content {
        let mut content = Content::of(KIND, self.body.len());
        content.field(key.as_bytes());
        content.number(times.from);
        content.number(times.until);
        for text in [self.namespace, self.queue, self.method, self.id] {
            content.field(text.as_bytes());
        }
        content.field(&[u8::from(self.answered)]);
        content.optional(self.reply_to);
        content.optional(self.app_id);
        content.field(self.content_type.as_str().as_bytes());
        for text in [
            self.idempotency_key,
            self.partition,
            self.stream,
            self.baggage,
        ] {
            content.optional(text);
        }
        // A broker keeps no order of headers.
        let mut entries: Vec<_> = self.metadata.iter().collect();
        entries.sort_unstable();
        content.number(entries.len() as u64);
        for (name, value) in entries {
            content.field(name.as_bytes());
            content.field(value.as_bytes());
        }
        content.field(self.body);
        content
    }

    fn header(&self, key: &SigningKey, times: Times) -> Text {
        let signature = key.sign(self.content(key.name(), times).as_bytes());
        let Times { from, until } = times;
        let (name, digits) = (key.name(), digits::of(signature));
        Text::shown(format_args!("{VERSION} {name} {from} {until} {digits}"))
    }
}

/// The header that signs a call, as it is published.
pub(super) fn header_of(
    key: &SigningKey,
    namespace: &str,
    request: &CallRequest,
    app_id: &Text,
    inbox: &Text,
) -> (Text, Text) {
    let baggage = request
        .carried
        .headers()
        .find(|(name, _)| name == headers::BAGGAGE);
    let partition = request.place().map(|place| place.header());
    let stream = (request.window > 0).then(|| Text::shown(request.window));
    let (awaited, answered) = (request.verb == Verb::Call, request.verb != Verb::Send);
    let times = match &request.due {
        Some(due) => Times {
            from: millis(due.named),
            until: millis(due.named + request.ttl),
        },
        None if awaited => Times {
            from: 0,
            until: request.deadline_at,
        },
        None => Times {
            from: 0,
            until: millis(unix_time() + request.ttl),
        },
    };
    let id = request.id().to_text();
    let signed = Signed {
        namespace,
        queue: request.queue_name(),
        method: request.method.name,
        id: &id,
        answered,
        reply_to: awaited.then_some(&**inbox),
        app_id: Some(app_id),
        content_type: request.content_type,
        idempotency_key: request.idempotency_key.as_deref(),
        partition: partition.as_deref(),
        stream: stream.as_deref(),
        baggage: baggage.as_ref().map(|(_, value)| &**value),
        metadata: &request.metadata,
        body: &request.body,
    };
    let name = Text::from_static(headers::SIGNATURE);
    (name, signed.header(key, times))
}

/// A message as it is signed. `None` of one whose encoding or id can't be read.
fn with_signed<R>(
    message: &Message,
    namespace: &str,
    queue: &str,
    act: impl FnOnce(&Signed<'_>) -> R,
) -> Option<R> {
    let properties = &message.properties;
    let metadata = Metadata::from_headers(&properties.headers);
    let signed = Signed {
        namespace,
        queue,
        method: properties.kind.as_deref().unwrap_or_default(),
        id: id_of(properties)?,
        answered: properties.correlation_id.is_some(),
        reply_to: properties.reply_to.as_deref(),
        app_id: properties.app_id.as_deref(),
        content_type: ContentType::from_wire(properties.content_type.as_deref()).ok()?,
        idempotency_key: properties.header(headers::IDEMPOTENCY_KEY),
        partition: properties.header(headers::PARTITION),
        stream: properties.header(headers::STREAM),
        baggage: properties.header(headers::BAGGAGE),
        metadata: &metadata,
        body: &message.body,
    };
    Some(act(&signed))
}

/// The call that a message is, as its properties name it.
fn id_of(properties: &Properties) -> Option<&str> {
    let id = properties.correlation_id.as_deref();
    id.or(properties.message_id.as_deref())
}

/// Signs a message anew, which may be started from now on.
pub(super) fn sign_again(
    key: &SigningKey,
    namespace: &str,
    queue: &str,
    message: &mut Message,
    until: Duration,
) {
    let times = Times {
        from: 0,
        until: millis(until),
    };
    let header = with_signed(message, namespace, queue, |signed| {
        signed.header(key, times)
    });
    // What names no call, or can't be read, is refused whoever signed it.
    if let Some(header) = header {
        message.properties.set_header(headers::SIGNATURE, header);
    }
}

/// Looks whether a message may be believed, and returns the times that its signature names.
pub(super) fn check(
    ring: &KeyRing,
    namespace: &str,
    queue: &str,
    message: &Message,
) -> Result<Times, Refusal> {
    let properties = &message.properties;
    if properties.is_unreadable(headers::SIGNATURE) {
        return Err(Refusal::Unreadable);
    }
    let header = properties.header(headers::SIGNATURE);
    let header = header.ok_or(Refusal::Unsigned)?;
    let (key, times, signature) = read(header).ok_or(Refusal::Unreadable)?;
    let method = properties.kind.as_deref().unwrap_or_default();
    let checked = with_signed(message, namespace, queue, |signed| {
        let content = signed.content(key, times);
        ring.check(key, content.as_bytes(), &signature, (queue, method))
    });
    checked.ok_or(Refusal::Unreadable)??;
    Ok(times)
}

/// `true` of a message that says that it is signed.
pub(super) fn is_signed(message: &Message) -> bool {
    message.properties.header(headers::SIGNATURE).is_some()
}

/// The name of the key that a message says it is signed by.
pub(super) fn key_of(message: &Message) -> Option<&str> {
    let header = message.properties.header(headers::SIGNATURE)?;
    read(header).map(|(key, ..)| key)
}

/// The parts of a header: the key's name, the times, the signature.
fn read(header: &str) -> Option<(&str, Times, [u8; 64])> {
    let mut parts = header.split(' ');
    let mut next = || parts.next();
    (next()? == VERSION).then_some(())?;
    let (key, from, until, digits) = (next()?, next()?, next()?, next()?);
    next().is_none().then_some(())?;
    let signature = digits::read(digits)?;
    let times = Times {
        from: number(from)?,
        until: number(until)?,
    };
    Some((key, times, signature))
}

/// In one spelling only: what is signed is the number, not the text.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn millis(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    const SECRET: [u8; 32] = [7; 32];

    fn key() -> SigningKey {
        SigningKey::from_bytes("teller-1", &SECRET).unwrap()
    }

    fn ring() -> KeyRing {
        let public = key().public_key();
        KeyRing::new().trust("teller-1", &public).unwrap()
    }

    /// A request with all that is signed.
    fn message() -> Message {
        let header = |name: &'static str, value: &str| (Text::from_static(name), value.into());
        Message {
            routing_key: "bank.account.requests".into(),
            properties: Properties {
                correlation_id: Some("01a22446-3505-7000-82aa-2b249b5280fc".into()),
                reply_to: Some("replybus:bank.inbox:one".into()),
                kind: Some("deposit".into()),
                app_id: Some("gateway".into()),
                headers: [
                    header(headers::IDEMPOTENCY_KEY, "k-1"),
                    header(headers::BAGGAGE, "a=b"),
                    header("tenant", "acme"),
                    header("user", "ada"),
                ]
                .into(),
                ..Properties::default()
            },
            body: Bytes::from_static(b"\x81\xa6amount\x05"),
            ..Message::default()
        }
    }

    fn signed() -> Message {
        let mut message = message();
        let until = Duration::from_millis(1_800_000_000_000);
        sign_again(&key(), "bank", "account.requests", &mut message, until);
        message
    }

    fn checked(message: &Message) -> Result<Times, Refusal> {
        check(&ring(), "bank", "account.requests", message)
    }

    #[test]
    fn what_was_signed_is_believed_and_what_the_broker_adds_is_no_part_of_it() {
        let mut message = signed();
        let times = Times {
            from: 0,
            until: 1_800_000_000_000,
        };
        assert_eq!(checked(&message), Ok(times));
        let properties = &mut message.properties;
        properties.headers.reverse();
        properties.set_header(headers::REPEATED, headers::TRUE);
        properties.set_header(
            headers::TRACEPARENT,
            "00-11111111111111111111111111111111-2222222222222222-01",
        );
        properties.priority = Some(9);
        properties.expiration = Some(Duration::from_secs(1));
        assert_eq!(checked(&message), Ok(times));
    }

    #[test]
    fn the_vector_of_the_wire_protocol() {
        let message = signed();
        let header = message.properties.header(headers::SIGNATURE).unwrap();
        let (text, public) = include_str!("vector.txt").trim().split_once('\n').unwrap();
        assert_eq!(header, text);
        let hex: String = key()
            .public_key()
            .map(|byte| format!("{byte:02x}"))
            .concat();
        assert_eq!(hex, public);
    }

    #[test]
    fn each_part_that_is_altered_is_refused() {
        type Alter = fn(&mut Message);
        let alter: [Alter; 13] = [
            |message| message.properties.kind = Some("withdraw".into()),
            |message| {
                message.properties.correlation_id =
                    Some("01a22446-3505-7000-82aa-2b249b5280fd".into())
            },
            |message| {
                // A call becomes a one-way message of the same name.
                message.properties.message_id = message.properties.correlation_id.take();
            },
            |message| message.properties.reply_to = Some("replybus:bank.inbox:two".into()),
            |message| message.properties.reply_to = None,
            |message| message.properties.app_id = Some("teller".into()),
            |message| message.properties.content_type = Some("application/json".into()),
            |message| {
                message
                    .properties
                    .set_header(headers::IDEMPOTENCY_KEY, "k-2")
            },
            |message| {
                message
                    .properties
                    .retain_headers(|name| name != headers::IDEMPOTENCY_KEY)
            },
            |message| message.properties.set_header("tenant", "other"),
            |message| message.properties.set_header("role", "admin"),
            |message| message.properties.set_header(headers::BAGGAGE, "a=c"),
            |message| message.body = Bytes::from_static(b"\x81\xa6amount\x06"),
        ];
        for (position, alter) in alter.into_iter().enumerate() {
            let mut message = signed();
            alter(&mut message);
            assert_eq!(checked(&message), Err(Refusal::Altered), "{position}");
        }
        let message = signed();
        for (namespace, queue) in [("bank", "other.requests"), ("test", "account.requests")] {
            let elsewhere = check(&ring(), namespace, queue, &message);
            assert_eq!(elsewhere, Err(Refusal::Altered));
        }
    }

    #[test]
    fn a_key_asks_for_what_it_may() {
        let public = key().public_key();
        let may = |may: &[&str]| {
            let ring = KeyRing::new().trust_for("teller-1", &public, may.iter().copied());
            check(&ring.unwrap(), "bank", "account.requests", &signed()).err()
        };
        assert_eq!(may(&["account.requests"]), None);
        assert_eq!(may(&["other.requests", "account.requests/deposit"]), None);
        for other in [&["account.requests/balance"][..], &["deposit"], &[]] {
            assert_eq!(may(other), Some(Refusal::NotAllowed));
        }
        let strangers = KeyRing::new().trust("teller-2", &public).unwrap();
        let unknown = check(&strangers, "bank", "account.requests", &signed());
        assert_eq!(unknown, Err(Refusal::UnknownKey));
        assert_eq!(checked(&message()), Err(Refusal::Unsigned));
    }

    proptest! {
        #[test]
        fn any_changed_byte_of_a_signature_is_refused(at in 0_usize..200, byte in 0x20_u8..0x7f) {
            let mut message = signed();
            let header = message.properties.header(headers::SIGNATURE).unwrap();
            let mut bytes = header.as_bytes().to_vec();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let text = String::from_utf8(bytes).unwrap();
            message.properties.set_header(headers::SIGNATURE, text);
            prop_assert!(checked(&message).is_err());
        }

        #[test]
        fn any_changed_byte_of_a_body_is_refused(
            body in proptest::collection::vec(any::<u8>(), 1..64), at in 0_usize..64, flip in 1_u8..,
        ) {
            let mut message = message();
            message.body = body.clone().into();
            let until = Duration::from_secs(1);
            sign_again(&key(), "bank", "account.requests", &mut message, until);
            prop_assert!(checked(&message).is_ok());
            let mut body = body;
            let at = at % body.len();
            body[at] ^= flip;
            message.body = body.into();
            prop_assert_eq!(checked(&message), Err(Refusal::Altered));
        }

        #[test]
        fn garbage_is_refused_and_nothing_worse(header in ".{0,300}") {
            let mut message = message();
            message.properties.set_header(headers::SIGNATURE, header);
            prop_assert!(checked(&message).is_err());
        }
    }
}
