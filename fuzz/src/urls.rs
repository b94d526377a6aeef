//! Addresses of brokers and of stores: what is refused is so without a word of its password, and so is
//! what is taken when it is shown.

use amqp::Address;
use redis::{Target, Topology};
use url::Url;

// Private to their crates, and as they are there.
#[allow(dead_code, unreachable_pub)]
#[path = "../../bus-core/src/transport/amqp/connect/url.rs"]
mod amqp;
#[allow(dead_code, unreachable_pub)]
#[path = "../../bus-redis/src/url.rs"]
mod redis;

/// Stands for `$` where that is.
const SECRET: &str = "hunter2hunter2";

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let text = text.replacen('$', SECRET, 1);
    // Elsewhere it is no secret.
    let url = Url::parse(&text);
    let has_secret = text.matches(SECRET).count() == 1
        && url.is_ok_and(|url| {
            url.password()
                .is_some_and(|password| password.contains(SECRET))
        });
    let hides = |shown: String| {
        assert!(!has_secret || !shown.contains(SECRET), "{shown}");
    };
    match Address::parse(&text) {
        Ok(address) => {
            let uri = address.uri(5, 4096);
            assert!(!uri.authority.host.is_empty() && uri.authority.port > 0);
            assert!(!uri.authority.userinfo.username.is_empty());
            assert!(uri.vhost.len() <= 255);
            assert_eq!(uri.query.heartbeat, Some(5));
            hides(format!("{address} {address:?}"));
        }
        Err(refused) => hides(format!("{refused} {refused:?}")),
    }
    match Target::parse(&text) {
        Ok(target) => {
            assert!((1..=64).contains(&target.nodes.len()));
            assert!(target.nodes.len() == 1 || target.topology != Topology::Single);
            assert!(
                target
                    .nodes
                    .iter()
                    .all(|(host, port)| !host.is_empty() && *port > 0)
            );
            assert!((0..10_000).contains(&target.database));
            hides(target.address());
            hides(format!("{:?}", target.credentials));
        }
        // Not a word of the text.
        Err(refused) => assert!(!refused.to_string().contains(SECRET)),
    }
}
