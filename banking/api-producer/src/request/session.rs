//! The session that a request carries. The services verify it; here it is only found.

use crate::{gateway::Gateway, problem::Problem};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use contracts::Refused;
use std::sync::Arc;

const X_SESSION: &str = "x-session";

/// The token in `X-Session`, or else in `Authorization: Bearer`.
pub(crate) fn session_of(headers: &HeaderMap) -> Option<&str> {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let bearer = || {
        let (scheme, token) = header(header::AUTHORIZATION.as_str())?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    };
    let token = header(X_SESSION).filter(|token| !token.trim().is_empty());
    token
        .or_else(bearer)
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

/// The request carries a session, valid or not: without one there is no need to ask a service.
pub(crate) struct Signed;

impl FromRequestParts<Arc<Gateway>> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        match session_of(&parts.headers) {
            Some(_) => Ok(Self),
            None => Err(Refused::Unauthenticated.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_where_clients_put_it() {
        for (headers, expected) in [
            (vec![("x-session", "a.b.c")], Some("a.b.c")),
            (vec![("authorization", "Bearer a.b.c")], Some("a.b.c")),
            (vec![("authorization", "bearer  a.b.c ")], Some("a.b.c")),
            (
                vec![("x-session", "mine"), ("authorization", "Bearer other")],
                Some("mine"),
            ),
            (
                vec![("x-session", " "), ("authorization", "Bearer other")],
                Some("other"),
            ),
            (vec![("authorization", "Basic YTpi")], None),
            (vec![("authorization", "Bearer")], None),
            (vec![("authorization", "Bearer ")], None),
            (vec![("cookie", "session=a.b.c")], None),
            (vec![], None),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.insert(*name, value.parse().unwrap());
            }
            assert_eq!(session_of(&map), expected, "{headers:?}");
        }
    }
}
