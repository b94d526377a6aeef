//! The pages that may open a socket. A browser says of each which page asked for it, and no page
//! can say otherwise; a program that is no browser says nothing.

use axum::http::{HeaderMap, HeaderName, header};
use std::str::FromStr;
use url::Url;

/// The host that a client asked for, where a proxy asks for another.
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Where a page comes from (RFC 6454): a scheme, a host, and a port unless it is the scheme's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// Not the origin of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is http:// or https://, a host, and a port if need be, such as https://bank.example.org"
)]
pub struct InvalidOrigin;

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let url = Url::parse(text).map_err(|_| InvalidOrigin)?;
        let is_page = matches!(url.scheme(), "http" | "https");
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let nobodys = url.username().is_empty() && url.password().is_none();
        if !is_page || !is_bare || !nobodys {
            return Err(InvalidOrigin);
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

/// `true` if the page that asks comes from where it asks, or from one of `others`, or if it is no
/// page that asks.
pub(super) fn may_connect(headers: &HeaderMap, others: &[Origin]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (origin, more) = (origins.next(), origins.next());
    let Some(origin) = origin else {
        return true;
    };
    let origin = origin.to_str().ok().and_then(|text| text.parse().ok());
    let Some(Origin(origin)) = origin.filter(|_| more.is_none()) else {
        return false;
    };
    let asked = [header::HOST, X_FORWARDED_HOST];
    let asked = asked
        .iter()
        .filter_map(|name| headers.get(name)?.to_str().ok());
    let scheme = origin.split_once("://").map_or("", |(scheme, _)| scheme);
    let mut own = asked.filter_map(|host| format!("{scheme}://{host}").parse().ok());
    own.any(|Origin(own)| own == origin) || others.iter().any(|Origin(other)| *other == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(headers: &[(&str, &str)]) -> bool {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_str(name).unwrap(), value.parse().unwrap()))
            .collect();
        may_connect(&headers, &["https://shop.example".parse().unwrap()])
    }

    #[test]
    fn a_page_connects_to_where_it_comes_from_or_where_it_may() {
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("https://bank.example", "bank.example"),
            ("https://bank.example", "Bank.Example:443"),
            ("http://[::1]:80", "[::1]"),
            ("https://shop.example", "bank.example"),
        ] {
            assert!(allowed(&[("origin", origin), ("host", host)]), "{origin}");
        }
        for (origin, host) in [
            ("http://evil.example", "bank.example"),
            ("http://bank.example.evil.example", "bank.example"),
            ("http://bank.example:81", "bank.example"),
            ("http://shop.example", "bank.example"),
            ("null", "bank.example"),
            ("", "bank.example"),
            ("file://", "bank.example"),
            ("http://evil.example", ""),
        ] {
            assert!(!allowed(&[("origin", origin), ("host", host)]), "{origin}");
        }
        let behind = [
            ("origin", "https://bank.example"),
            ("host", "notification-service:8081"),
        ];
        assert!(!allowed(&behind));
        let forwarded = [behind[0], behind[1], ("x-forwarded-host", "bank.example")];
        assert!(allowed(&forwarded));
        assert!(
            allowed(&[("host", "bank.example")]),
            "it is no page that asks"
        );
    }

    #[test]
    fn an_origin_is_no_more_than_that() {
        for wrong in [
            "",
            "*",
            "bank.example",
            "ws://bank.example",
            "https://bank.example/page",
            "https://ada@bank.example",
            "https://bank.example?x",
        ] {
            assert_eq!(wrong.parse::<Origin>(), Err(InvalidOrigin), "{wrong}");
        }
    }
}
