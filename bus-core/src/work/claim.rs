//! The claims that commands and events are run under, each once for one key, and those by which
//! deliveries are counted.

use crate::{
    call_id::CallId,
    codec::ContentType,
    limits::{
        CLAIM_LEASE, EVENT_RETENTION, KEYED_RETENTION, REDELIVERY_RETENTION, UNKEYED_RETENTION,
    },
    message::{Message, Properties},
    reply::Claim,
};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The claim of a command: under its idempotency key, or else under its call id, by which a second
/// delivery of the same request is recognised. `queue` is without the namespace.
pub(crate) fn command_claim(
    queue: &str,
    method: &str,
    idempotency_key: Option<&str>,
    id: CallId,
    fingerprint: [u8; 16],
) -> Claim {
    let (key, retention) = match idempotency_key {
        Some(key) => (format!("{queue}:{method}:key:{key}"), KEYED_RETENTION),
        None => (format!("{queue}:{method}:id:{id}"), UNKEYED_RETENTION),
    };
    claim(key, fingerprint, retention)
}

/// The claim of a group on an event.
pub(crate) fn event_claim(group: &str, event: &str) -> Claim {
    // An event is told from others by its id alone.
    claim(format!("event:{group}:{event}"), [0; 16], EVENT_RETENTION)
}

/// The claim by which the deliveries of a message are counted. One that has a name of its own is
/// only counted: queries may overlap. Messages that can be told apart by nothing are held off each
/// other, or several that run would be taken for one that never ends.
pub(crate) fn redelivery_claim(queue: &str, name: Option<CallId>, message: &Message) -> Claim {
    let (name, lease) = match name {
        Some(id) => (id.to_string(), Duration::ZERO),
        None => (digest_of(message), CLAIM_LEASE),
    };
    let key = format!("{queue}:delivery:{name}");
    claim(key, [0; 16], REDELIVERY_RETENTION).lease(lease)
}

/// Names a message by what it is: all that the sender gave it, and that comes again with it.
fn digest_of(message: &Message) -> String {
    let mut hash = Sha256::new();
    let Properties {
        message_id,
        correlation_id,
        reply_to,
        kind,
        content_type,
        content_encoding,
        app_id,
        timestamp,
        headers,
        ..
    } = &message.properties;
    let mut take = |part: Option<&[u8]>| {
        // With their lengths, so that no two ways to divide the same bytes are one.
        let length = part.map_or(u64::MAX, |part| part.len().try_into().unwrap_or(u64::MAX));
        hash.update(length.to_be_bytes());
        hash.update(part.unwrap_or_default());
    };
    take(Some(message.exchange.as_bytes()));
    take(Some(message.routing_key.as_bytes()));
    for text in [
        message_id,
        correlation_id,
        reply_to,
        kind,
        content_type,
        content_encoding,
        app_id,
    ] {
        take(text.as_deref().map(str::as_bytes));
    }
    take(
        timestamp
            .map(u64::to_be_bytes)
            .as_ref()
            .map(|time| &time[..]),
    );
    // The broker's own headers change from one delivery to the next.
    let headers = headers.iter().filter(|(name, _)| !name.starts_with("x-"));
    for (name, value) in headers {
        take(Some(name.as_bytes()));
        take(Some(value.as_bytes()));
    }
    take(Some(&message.body));
    let digest = hash.finalize();
    let half = digest.iter().take(16);
    half.map(|byte| format!("{byte:02x}")).collect()
}

fn claim(key: String, fingerprint: [u8; 16], retention: Duration) -> Claim {
    Claim {
        key,
        fingerprint,
        owner: CallId::new().to_string(),
        lease: CLAIM_LEASE,
        retention,
    }
}

/// Tells requests under one key apart: by their bytes, not their values.
pub(crate) fn fingerprint(content_type: ContentType, body: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(content_type.as_str());
    hash.update([0]);
    hash.update(body);
    let digest: [u8; 32] = hash.finalize().into();
    let mut first_half = [0; 16];
    first_half.copy_from_slice(digest.split_at(16).0);
    first_half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(message: &Message) -> String {
        redelivery_claim("q", None, message).key
    }

    fn message(kind: &str, body: &'static str) -> Message {
        Message {
            routing_key: "q".into(),
            properties: Properties {
                kind: Some(kind.into()),
                ..Properties::default()
            },
            body: body.into(),
            ..Message::default()
        }
    }

    #[test]
    fn a_message_without_a_name_is_known_by_all_that_it_is() {
        let first = message("ab", "c");
        assert_eq!(key(&first), key(&first.clone()));
        let mut named = first.clone();
        named.properties.message_id = Some("order 17".into());
        let mut marked = first.clone();
        marked.properties.headers = vec![("tenant".into(), "7".into())];
        for other in [message("a", "bc"), message("abc", ""), named, marked] {
            assert_ne!(key(&first), key(&other), "{other:?}");
        }
    }

    #[test]
    fn what_the_broker_adds_makes_no_other_message_of_it() {
        let first = message("a", "b");
        let mut again = first.clone();
        again.properties.headers = vec![("x-delivery-count".into(), "3".into())];
        assert_eq!(key(&first), key(&again));
    }
}
