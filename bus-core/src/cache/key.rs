//! What an answer is kept under: all that it depends on.

use super::tags::{self, TagError, hexadecimal};
use crate::{client::CallRequest, contract::CachePolicy, reply::CacheKey};
use sha2::{Digest, Sha256};

/// What the digests of this layout begin with: of another one they are others.
const LAYOUT: &[u8] = b"replybus cache 1";

/// The key of the answer to a request. Requests of other contracts, encodings, arguments and metadata
/// to vary by have others.
pub(super) fn of(request: &CallRequest, policy: &CachePolicy) -> Result<CacheKey, TagError> {
    let tags = tags::of_call(policy.tags, request.content_type, &request.body)?;
    let method = request.method;
    let mut hash = Sha256::new();
    let mut take = |part: Option<&[u8]>| {
        // With their lengths, so that no two ways to divide the same bytes are one.
        let length = part.map_or(u64::MAX, |part| part.len().try_into().unwrap_or(u64::MAX));
        hash.update(length.to_be_bytes());
        hash.update(part.unwrap_or_default());
    };
    take(Some(LAYOUT));
    take(Some(method.signature.as_bytes()));
    take(Some(&policy.ttl.as_millis().to_be_bytes()));
    for tag in policy.tags {
        take(Some(tag.as_bytes()));
    }
    for name in policy.vary {
        take(Some(name.as_bytes()));
        take(request.metadata.get(name).map(str::as_bytes));
    }
    take(Some(request.content_type.as_str().as_bytes()));
    take(Some(&request.body));
    let digest = hexadecimal(hash.finalize().iter());
    let name = format!("{}:{digest}", method.name);
    Ok(CacheKey::new(request.queue_name().clone(), name, tags))
}
