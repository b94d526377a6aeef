//! The HTTP side of a service: what it takes, what is wrong with it, and the [`listener`].

mod listener;

pub(crate) use listener::serve;

use crate::tokens::{Tokens, User};
use axum::{
    Json,
    body::Bytes,
    extract::{FromRef, FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use replybus::CallFailure;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use std::{borrow::Cow, error::Error};

/// Bytes of the largest body.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Entries of the largest page.
const PAGE_MAX: i64 = 100;

/// An answer that is not a success: a status, and a sentence for people.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) StatusCode, pub(crate) Cow<'static, str>);

impl Problem {
    pub(crate) fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, detail.into())
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("{what} not found").into())
    }

    /// Something that this stands on is away.
    pub(crate) fn unavailable(error: &(dyn Error + 'static)) -> Self {
        tracing::warn!(error, "a request can't be answered");
        let detail = "The service is not available, try again later";
        Self(StatusCode::SERVICE_UNAVAILABLE, detail.into())
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::unavailable(&error)
    }
}

impl From<CallFailure> for Problem {
    fn from(failure: CallFailure) -> Self {
        Self::unavailable(&failure)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0, Json(json!({ "detail": self.1 }))).into_response();
        let hint = match self.0 {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = hint {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A body of JSON, whatever its type is said to be. serde_json itself reads it: a [price] is taken
/// from the digits.
///
/// [price]: crate::price::Price
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| Problem(error.status(), error.body_text().into()))?;
        let read = serde_json::from_slice(&bytes);
        read.map(Self).map_err(|error| {
            let status = if error.is_data() {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                StatusCode::BAD_REQUEST
            };
            Problem(status, error.to_string().into())
        })
    }
}

/// The id at the end of a path.
pub(crate) struct Id(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = Path::<i64>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id))
            .map_err(|_| Problem::unprocessable("an id is a whole number"))
    }
}

/// Which entries of a list to show.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    pub(crate) skip: i64,
    pub(crate) limit: i64,
}

impl Default for Page {
    fn default() -> Self {
        let (skip, limit) = (0, PAGE_MAX);
        Self { skip, limit }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = Query::<Self>::from_request_parts(parts, state).await;
        let page = read.ok().map(|Query(page)| page);
        page.filter(|page| page.skip >= 0 && (1..=PAGE_MAX).contains(&page.limit))
            .ok_or_else(|| {
                Problem::unprocessable(format!("skip is 0 or more, limit is 1 to {PAGE_MAX}"))
            })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for User
where
    Tokens: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refused = |detail: &'static str| Problem(StatusCode::UNAUTHORIZED, detail.into());
        let given = parts.headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        let (scheme, token) = given
            .and_then(|value| value.split_once(' '))
            .ok_or_else(|| refused("Authorization: Bearer is missing"))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refused("Authorization: Bearer is missing"));
        }
        Tokens::from_ref(state)
            .verify(token.trim())
            .map_err(|error| {
                tracing::debug!(%error, "a token is refused");
                refused("The token is not good, or not any more")
            })
    }
}

/// Does what is not to be left half done, also if the client is gone meanwhile: the future of a
/// handler is dropped then.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::spawn(work).await;
    done.map_err(|error| Problem::unavailable(&error))?
}

/// A text on one line, of so many characters.
pub(crate) fn line(name: &str, text: &str, chars_max: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > chars_max || text.contains(char::is_control) {
        return Err(Problem::unprocessable(format!(
            "{name} has 1 to {chars_max} characters, on one line"
        )));
    }
    Ok(text.to_owned())
}

/// A text on any number of lines, of so many characters at most.
pub(crate) fn lines(name: &str, text: String, chars_max: usize) -> Result<String, Problem> {
    let is_odd = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if text.chars().count() > chars_max || text.contains(is_odd) {
        return Err(Problem::unprocessable(format!(
            "{name} has {chars_max} characters at most"
        )));
    }
    Ok(text)
}
