//! The claims that commands and events are run under: each once for one key.

use crate::{
    call_id::CallId,
    codec::ContentType,
    limits::{CLAIM_LEASE, EVENT_RETENTION, KEYED_RETENTION, UNKEYED_RETENTION},
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
