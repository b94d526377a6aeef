//! The `Idempotency-Key` of a request, which its answer repeats.

use crate::{gateway::Gateway, problem::Problem};
use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, request::Parts},
    response::{IntoResponse, Response},
};
use contracts::IdempotencyKey;
use serde::Serialize;
use std::sync::Arc;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The key that the client chose, or one that was drawn for it.
pub(crate) struct Key(pub(crate) IdempotencyKey);

impl FromRequestParts<Arc<Gateway>> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let refused = || {
            let max = IdempotencyKey::BYTES_MAX;
            let allowed = format!("one key of 1 to {max} printable ASCII characters is allowed");
            Problem::field("Idempotency-Key", &allowed)
        };
        let mut given = parts.headers.get_all(&IDEMPOTENCY_KEY).iter();
        let key = match (given.next(), given.next()) {
            (None, _) => IdempotencyKey::draw(),
            (Some(key), None) => {
                let key = key.to_str().map_err(|_| refused())?;
                IdempotencyKey::try_from(key.to_owned()).map_err(|_| refused())?
            }
            (Some(_), Some(_)) => return Err(refused()),
        };
        Ok(Self(key))
    }
}

/// An answer with the key it was asked under, whether it is a success or not: a client that sent
/// none needs it to ask again.
pub(crate) struct Keyed<T>(pub(crate) IdempotencyKey, pub(crate) Result<T, Problem>);

impl<T: Serialize> IntoResponse for Keyed<T> {
    fn into_response(self) -> Response {
        let Self(key, answer) = self;
        let mut response = answer.map(Json).into_response();
        // Printable ASCII is always a header's value.
        if let Ok(key) = HeaderValue::from_str(key.as_str()) {
            response.headers_mut().insert(IDEMPOTENCY_KEY, key);
        }
        response
    }
}
