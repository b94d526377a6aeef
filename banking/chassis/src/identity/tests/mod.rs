//! Who may ask, and who may not.

mod passes;
mod sessions;

use super::*;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use jsonwebtoken::Header;
use replybus::Metadata;
use sha2::Sha256;

fn identity(name: &str, keys: &Keys) -> Identity {
    Identity::new(name, keys, SessionStore::memory())
}

/// A token by a shared secret (HS256), which nothing of ours signs with.
fn by_secret(header: &Header, claims: &serde_json::Value, secret: &[u8]) -> String {
    let part = |json: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(json);
    let header = part(serde_json::to_vec(header).unwrap());
    let signed = format!("{header}.{}", part(serde_json::to_vec(claims).unwrap()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", part(mac.finalize().into_bytes().to_vec()))
}

/// Asks as a call with this metadata would.
async fn with<T>(entry: (&str, &str), ask: impl AsyncFn() -> T) -> T {
    let mut metadata = Metadata::new();
    metadata.insert(entry.0, entry.1).unwrap();
    Context::builder()
        .metadata(metadata)
        .build()
        .scope(ask())
        .await
}

const HOUR: Duration = Duration::from_secs(3600);
