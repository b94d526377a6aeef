//! The JSON body of a request, within its bounds of size and time.

use super::{Fields, FromFields};
use crate::{gateway::Gateway, limits::Limits, problem::Problem};
use axum::{
    body::Body as Unread,
    extract::{FromRequest, Request},
    http::StatusCode,
};
use futures_util::StreamExt as _;
use std::sync::Arc;
use tokio::time::timeout;

/// So many times what is allowed is read of a body that is too large, and thrown away: a client
/// that is still writing when its connection is closed does not see the answer.
const DISCARDED: usize = 16;

/// A body, read.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: FromFields> FromRequest<Arc<Gateway>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let limits = &gateway.limits;
        let reading = read(request.into_body(), limits.body_bytes);
        let late = || Problem::new(StatusCode::REQUEST_TIMEOUT, "The body came too slowly");
        let bytes = timeout(limits.body_read, reading)
            .await
            .map_err(|_| late())??;
        T::from_fields(&Fields::parse(&bytes)?).map(Self)
    }
}

/// Reads a body of up to `allowed` bytes.
async fn read(body: Unread, allowed: usize) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_data_stream();
    let (mut read, mut length) = (Vec::new(), 0_usize);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::field("body", "it did not arrive whole"))?;
        length = length.saturating_add(chunk.len());
        if length <= allowed {
            read.extend_from_slice(&chunk);
        } else if length > allowed.saturating_mul(DISCARDED) {
            break;
        }
    }
    if length > allowed {
        return Err(too_large(allowed));
    }
    Ok(read)
}

/// Throws a body away that is known to be too large.
pub(crate) async fn discard(body: Unread, limits: &Limits) {
    // It does not matter how it ends: the answer is the same.
    let _ = timeout(limits.body_read, read(body, limits.body_bytes)).await;
}

/// A body has more bytes than are allowed.
pub(crate) fn too_large(allowed: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("A body may have at most {allowed} bytes"),
    )
}
