//! The claims that commands and events are run under, each once for one key, and those by which
//! deliveries are counted.

use crate::{
    call_id::CallId,
    codec::ContentType,
    contract::{MethodContract, unix_time},
    limits::{
        CLAIM_LEASE, DEADLINE_RETENTION, EVENT_RETENTION, KEYED_RETENTION, REDELIVERY_RETENTION,
        UNKEYED_RETENTION, WAIT_MAX,
    },
    message::{Message, Properties, Text},
    reply::Claim,
    wire::headers,
    work::Envelope,
};
use sha2::{Digest, Sha256};
use std::time::{Duration, UNIX_EPOCH};

/// The claim of a command: under its idempotency key, or else under its call id, by which a second
/// delivery of the same request is recognised. `queue` is without the namespace, `deadline` the time
/// since the Unix epoch that the message names.
///
/// Without a key it is remembered beyond the deadline, if it has one: all copies name the same, and
/// afterwards none of them is given the claim.
pub(crate) fn command_claim(
    queue: &str,
    method: &str,
    idempotency_key: Option<&str>,
    id: CallId,
    deadline: Option<Duration>,
    fingerprint: [u8; 16],
) -> Claim {
    let key = command_key(queue, method, idempotency_key, id);
    if idempotency_key.is_some() {
        return claim(key, fingerprint, KEYED_RETENTION);
    }
    let until = deadline.map(|deadline| deadline.saturating_add(DEADLINE_RETENTION));
    // A caller must not be able to have it remembered for longer than by a key.
    match until.filter(|until| *until <= unix_time() + KEYED_RETENTION) {
        Some(until) => claim(key, fingerprint, DEADLINE_RETENTION).until(UNIX_EPOCH + until),
        None => claim(key, fingerprint, UNKEYED_RETENTION),
    }
}

/// The claim of a command whose request is signed, until a moment since the Unix epoch: its record is
/// kept for as long as a copy of the request may be started, however long that is, for whoever has seen
/// it may send it again. That of a job outlives its workers by as much as if nothing were signed.
pub(crate) fn claim_of_signed(mut claim: Claim, until: Option<Duration>, is_job: bool) -> Claim {
    if is_job {
        claim.retention = claim.retention.max(UNKEYED_RETENTION);
    }
    let until = until.map(|until| until.min(unix_time() + WAIT_MAX) + DEADLINE_RETENTION);
    match until {
        Some(until) => claim.until(UNIX_EPOCH + until),
        None => claim,
    }
}

/// What the claim of a command is found under.
pub(crate) fn command_key(
    queue: &str,
    method: &str,
    idempotency_key: Option<&str>,
    id: CallId,
) -> String {
    match idempotency_key {
        Some(key) => format!("{queue}:{method}:key:{key}"),
        None => format!("{queue}:{method}:id:{id}"),
    }
}

/// The time since the Unix epoch until which a message with this claim may be delivered again and is
/// still recognised: sooner than its record goes by as much as a claim is given after a deadline, so
/// that a copy with this deadline is not run because the record is gone.
pub(crate) fn known_until(claim: &Claim) -> Duration {
    let kept = unix_time() + claim.retention;
    let until = claim
        .until
        .map(|until| until.duration_since(UNIX_EPOCH).unwrap_or_default());
    let gone = until.map_or(kept, |until| until.max(kept));
    gone.saturating_sub(DEADLINE_RETENTION)
}

/// [`known_until`] of a request to `queue`, which is without the namespace; `None` of a method whose
/// copies nothing has to recognise: a query, or a command that has a record of its own.
pub(crate) fn command_known_until(
    queue: &str,
    method: Option<&MethodContract>,
    message: &Message,
    envelope: &Envelope,
) -> Option<Duration> {
    if method.is_some_and(|method| !method.is_claimed()) {
        return None;
    }
    let key = message.properties.header(headers::IDEMPOTENCY_KEY);
    if key.is_none() && !envelope.is_named {
        // Each delivery has another id.
        return Some(Duration::ZERO);
    }
    let (id, deadline) = (envelope.id, envelope.deadline_named);
    let claim = command_claim(queue, "", key, id, deadline, [0; 16]);
    let is_job = method.is_some_and(|method| method.job.is_some());
    let claim = match envelope.is_signed {
        true => claim_of_signed(claim, deadline, is_job),
        false => claim,
    };
    Some(known_until(&claim))
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

fn claim(key: impl Into<Text>, fingerprint: [u8; 16], retention: Duration) -> Claim {
    Claim {
        key: key.into(),
        fingerprint,
        owner: CallId::new().to_text(),
        lease: CLAIM_LEASE,
        retention,
        waiting: false,
        until: None,
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
    use crate::limits::CALL_TIMEOUT_MAX;

    fn key(message: &Message) -> String {
        redelivery_claim("q", None, message).key.to_string()
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
    fn a_command_without_a_key_is_remembered_beyond_its_deadline() {
        let id = CallId::new();
        let claim = |key, deadline| command_claim("q", "m", key, id, deadline, [0; 16]);
        let now = unix_time();
        let awaited = claim(None, Some(now + CALL_TIMEOUT_MAX));
        let until = UNIX_EPOCH + now + CALL_TIMEOUT_MAX + DEADLINE_RETENTION;
        assert_eq!(awaited.until, Some(until));
        assert_eq!(awaited.retention, DEADLINE_RETENTION);
        // The same in every copy, however late.
        assert_eq!(
            claim(None, Some(Duration::from_secs(1))).until,
            Some(UNIX_EPOCH + Duration::from_secs(1) + DEADLINE_RETENTION)
        );
        for (key, deadline, retention) in [
            (None, None, UNKEYED_RETENTION),
            (None, Some(Duration::MAX), UNKEYED_RETENTION),
            (None, Some(now + KEYED_RETENTION), UNKEYED_RETENTION),
            (Some("key"), Some(now), KEYED_RETENTION),
        ] {
            let claim = claim(key, deadline);
            assert_eq!((claim.retention, claim.until), (retention, None));
        }
    }

    #[test]
    fn what_is_signed_is_remembered_for_as_long_as_it_may_be_sent_again() {
        let (id, now) = (CallId::new(), unix_time());
        let signed = |key, until: Duration, is_job| {
            let claim = command_claim("q", "m", key, id, Some(until), [0; 16]);
            claim_of_signed(claim, Some(until), is_job)
        };
        let beyond = |until: Duration| Some(UNIX_EPOCH + until + DEADLINE_RETENTION);
        for until in [now, now + KEYED_RETENTION, now + 7 * KEYED_RETENTION] {
            for key in [None, Some("key")] {
                let claim = signed(key, until, false);
                assert_eq!(claim.until, beyond(until), "{until:?}");
                assert!(known_until(&claim) >= until, "{until:?}");
            }
        }
        // The worker of a job may be gone for a while, as if it were not signed.
        assert_eq!(signed(None, now, true).retention, UNKEYED_RETENTION);
        assert_eq!(signed(Some("key"), now, true).retention, KEYED_RETENTION);
        // Its caller may say anything.
        let longest = signed(None, Duration::MAX, false).until.unwrap();
        assert!(longest < UNIX_EPOCH + now + 2 * WAIT_MAX);
    }

    #[test]
    fn a_message_without_a_name_is_known_by_all_that_it_is() {
        let first = message("ab", "c");
        assert_eq!(key(&first), key(&first.clone()));
        let mut named = first.clone();
        named.properties.message_id = Some("order 17".into());
        let mut marked = first.clone();
        marked.properties.headers = [("tenant".into(), "7".into())].into();
        for other in [message("a", "bc"), message("abc", ""), named, marked] {
            assert_ne!(key(&first), key(&other), "{other:?}");
        }
    }

    #[test]
    fn what_the_broker_adds_makes_no_other_message_of_it() {
        let first = message("a", "b");
        let mut again = first.clone();
        again.properties.headers = [("x-delivery-count".into(), "3".into())].into();
        assert_eq!(key(&first), key(&again));
    }
}
