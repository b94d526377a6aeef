//! The client's address: that of the connection, or the one that a proxy of ours names.

use super::Network;
use crate::gateway::Gateway;
use axum::{
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, HeaderName, request::Parts},
};
use chassis::http::{Peer, site};
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Where a request comes from: an address, or of IPv6 the network that one subscriber has. Each
/// proxy adds to the end of a list by whom it was asked; what is before the first that is not ours
/// anybody may have written.
pub(crate) fn client_of(
    extensions: &Extensions,
    headers: &HeaderMap,
    proxies: &[Network],
) -> IpAddr {
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let mut client = extensions.get::<Peer>().map_or(nobody, |peer| peer.0);
    let lists = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let named = lists.flat_map(|list| list.to_str().unwrap_or_default().rsplit(','));
    for named in named {
        if !proxies.iter().any(|proxy| proxy.contains(client)) {
            break;
        }
        match named.trim().parse() {
            Ok(named) => client = named,
            Err(_) => break,
        }
    }
    site(client)
}

/// The address of who sent a request.
pub(crate) struct Client(pub(crate) IpAddr);

impl FromRequestParts<Arc<Gateway>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Infallible> {
        let client = client_of(&parts.extensions, &parts.headers, &gateway.proxies);
        Ok(Self(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_of_ours_is_believed_and_nobody_else() {
        let client = |peer: &str, lists: &[&str]| {
            let mut extensions = Extensions::new();
            extensions.insert(Peer(peer.parse().unwrap()));
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(X_FORWARDED_FOR, list.parse().unwrap());
            }
            let proxies = ["10.0.0.0/8".parse().unwrap(), "fd00::1".parse().unwrap()];
            client_of(&extensions, &headers, &proxies).to_string()
        };
        assert_eq!(client("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        let forged = ["203.0.113.9", "198.51.100.1, 10.9.9.9"];
        assert_eq!(client("::ffff:10.1.2.3", &forged), "198.51.100.1");
        assert_eq!(client("10.1.2.3", &["unknown"]), "10.1.2.3");
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
        assert_eq!(client("fd00::1", &["2001:db8::7"]), "2001:db8::");
    }
}
