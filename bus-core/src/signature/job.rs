//! The signature of a service on what it adds to the message of a job: that it was started, and so may
//! come back after the time that its caller signed.

use super::{content::Content, digits, key::SigningKey, ring::KeyRing};
use crate::{
    message::{Properties, Text},
    wire::headers,
};

/// What is signed begins with it.
const KIND: &str = "replybus job 1";
/// What the header begins with.
const VERSION: &str = "1";

/// What is signed: the header that signs the request, which stands for all that the request is, and
/// all that services add of jobs. `None` of a message that is not signed, or of which one of these can't
/// be read.
fn content(key: &str, properties: &Properties) -> Option<Content> {
    let request = properties.header(headers::SIGNATURE)?;
    let is_added = |name: &str| headers::is_of_jobs(name) && name != headers::JOB_SIGNATURE;
    // A boolean is among the others as well, and has a text.
    let mut others = properties.other_headers.names();
    if others.any(|name| is_added(name) && properties.is_unreadable(name)) {
        return None;
    }
    let added = properties.headers.iter();
    let mut added: Vec<_> = added.filter(|(name, _)| is_added(name)).collect();
    // A broker keeps no order of headers.
    added.sort_unstable();
    let mut content = Content::of(KIND, 0);
    content.field(key.as_bytes());
    content.field(request.as_bytes());
    content.number(added.len() as u64);
    for (name, value) in added {
        content.field(name.as_bytes());
        content.field(value.as_bytes());
    }
    Some(content)
}

/// Signs what was added to a message, whose own signature was looked at.
pub(super) fn sign(key: &SigningKey, properties: &mut Properties) {
    properties.retain_headers(|name| name != headers::JOB_SIGNATURE);
    let Some(content) = content(key.name(), properties) else {
        return;
    };
    let digits = digits::of(key.sign(content.as_bytes()));
    let header = Text::shown(format_args!("{VERSION} {} {digits}", key.name()));
    properties.set_header(headers::JOB_SIGNATURE, header);
}

/// `true` if a key of the ring signed what was added to a message for this queue.
pub(super) fn is_signed(ring: &KeyRing, queue: &str, properties: &Properties) -> bool {
    let checked = || {
        let header = properties.header(headers::JOB_SIGNATURE)?;
        let [version, key, digits] = parts(header)?;
        (version == VERSION).then_some(())?;
        let content = content(key, properties)?;
        let place = (queue, properties.kind.as_deref().unwrap_or_default());
        let checked = ring.check(key, content.as_bytes(), &digits::read(digits)?, place);
        checked.ok()
    };
    checked().is_some()
}

fn parts(header: &str) -> Option<[&str; 3]> {
    let mut parts = header.split(' ');
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUEUE: &str = "account.requests";
    /// The vector of a request, and its key behind it.
    const REQUEST: &str = include_str!("vector.txt").split_at(155).0;
    const MISSED: &str = "x-replybus-job-missed";

    fn key(name: &str) -> SigningKey {
        SigningKey::from_bytes(name, &[7; 32]).unwrap()
    }

    fn ring(key: &SigningKey) -> KeyRing {
        let ring = KeyRing::new();
        ring.trust(key.name(), &key.public_key()).unwrap()
    }

    fn unsigned() -> Properties {
        let header = |name: &'static str, value: &str| (Text::from_static(name), value.into());
        Properties {
            kind: Some("deposit".into()),
            headers: [
                header("tenant", "acme"),
                header(headers::SIGNATURE, REQUEST),
                header(headers::JOB_STARTED, headers::TRUE),
            ]
            .into(),
            ..Properties::default()
        }
    }

    fn signed() -> Properties {
        let mut properties = unsigned();
        sign(&key("account-1"), &mut properties);
        properties
    }

    fn is_believed(properties: &Properties) -> bool {
        is_signed(&ring(&key("account-1")), QUEUE, properties)
    }

    #[test]
    fn the_vector_of_the_wire_protocol() {
        let properties = signed();
        let header = properties.header(headers::JOB_SIGNATURE).unwrap();
        assert_eq!(header, include_str!("job_vector.txt").trim());
    }

    #[test]
    fn what_a_service_added_is_believed_in_any_order_and_signed_anew_in_its_place() {
        let mut properties = signed();
        properties.headers.reverse();
        properties.set_header(headers::REPEATED, headers::TRUE);
        assert!(is_believed(&properties));
        properties.set_header(MISSED, headers::TRUE);
        assert!(!is_believed(&properties));
        sign(&key("account-1"), &mut properties);
        assert!(is_believed(&properties));
        // Of a message that is not signed there is nothing to say.
        properties.retain_headers(|name| name != headers::SIGNATURE);
        sign(&key("account-1"), &mut properties);
        assert_eq!(properties.header(headers::JOB_SIGNATURE), None);
    }

    #[test]
    fn what_others_add_take_away_or_sign_is_not() {
        type Alter = fn(&mut Properties);
        let alter: [Alter; 7] = [
            |properties| properties.set_header(MISSED, headers::TRUE),
            |properties| {
                let again = (Text::from_static(headers::JOB_STARTED), "false".into());
                properties.headers.push(again);
            },
            |properties| properties.set_header(headers::JOB_STARTED, "false"),
            |properties| properties.retain_headers(|name| name != headers::JOB_STARTED),
            |properties| {
                properties.set_header(headers::SIGNATURE, "1 teller-1 0 1900000000000 ebaf");
            },
            |properties| properties.retain_headers(|name| name != headers::SIGNATURE),
            |properties| properties.retain_headers(|name| name != headers::JOB_SIGNATURE),
        ];
        for (position, alter) in alter.into_iter().enumerate() {
            let mut properties = signed();
            alter(&mut properties);
            assert!(!is_believed(&properties), "{position}");
        }
        let by = |name: &str, secret: u8| {
            let stranger = SigningKey::from_bytes(name, &[secret; 32]).unwrap();
            let mut properties = unsigned();
            sign(&stranger, &mut properties);
            properties
        };
        assert!(!is_believed(&by("account-1", 8)));
        assert!(!is_believed(&by("account-2", 7)));
        // A key of another queue's instances.
        let public = key("account-1").public_key();
        let elsewhere = KeyRing::new().trust_for("account-1", &public, ["vault.requests"]);
        assert!(!is_signed(&elsewhere.unwrap(), QUEUE, &signed()));
    }

    #[cfg(feature = "amqp")]
    #[test]
    fn what_can_not_be_read_is_not_passed_over_and_a_boolean_is_read() {
        let mut properties = signed();
        let boolean = crate::message::HeaderValue::Boolean(true);
        let started = headers::JOB_STARTED.to_owned();
        properties.other_headers.insert(started, boolean);
        assert!(is_believed(&properties));
        let unreadable = crate::message::HeaderValue::Float(0.5);
        properties
            .other_headers
            .insert(MISSED.to_owned(), unreadable);
        assert!(!is_believed(&properties));
    }

    proptest! {
        #[test]
        fn any_changed_byte_of_the_header_is_refused(at in 0_usize..200, byte in 0x20_u8..0x7f) {
            let mut properties = signed();
            let header = properties.header(headers::JOB_SIGNATURE).unwrap();
            let mut bytes = header.as_bytes().to_vec();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != byte);
            bytes[at] = byte;
            let text = String::from_utf8(bytes).unwrap();
            properties.set_header(headers::JOB_SIGNATURE, text);
            prop_assert!(!is_believed(&properties));
        }

        #[test]
        fn garbage_is_refused_and_nothing_worse(header in ".{0,300}") {
            let mut properties = unsigned();
            properties.set_header(headers::JOB_SIGNATURE, header);
            prop_assert!(!is_believed(&properties));
        }
    }
}
