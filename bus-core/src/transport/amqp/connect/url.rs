//! A broker's address, read from a URL with every trap refused.
//!
//! lapin reads `amqp://host/` as a virtual host without a name, fills in `guest` for missing
//! credentials and turns `[::1]` into `localhost`; a program then talks to the wrong place. Here
//! each of these is an error that says what to write instead.

use crate::error::SetupError;
use lapin::uri::{AMQPScheme, AMQPUri};
use std::fmt;
use url::{Host, Url};

/// The address of a broker, and the user to log in as. Prints without the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(AMQPUri);

impl Address {
    /// Reads `amqp://user:password@host:port/vhost`.
    pub(crate) fn parse(text: &str) -> Result<Self, SetupError> {
        let url = Url::parse(text).map_err(|error| {
            // The text may hold a password, so it is not shown.
            SetupError::setting(
                "broker URL",
                format!("{error}; write amqp://user:password@host:5672/%2f"),
            )
        })?;
        if let Some(reason) = refusal(&url) {
            return Err(SetupError::setting(shown(&url), reason));
        }
        let uri = text.parse::<AMQPUri>().map_err(|_| {
            SetupError::setting(
                shown(&url),
                "the user, password or virtual host is not UTF-8 once its %-escapes are decoded",
            )
        })?;
        if uri.vhost.len() > 255 {
            return Err(SetupError::setting(
                shown(&url),
                "the virtual host is longer than 255 bytes",
            ));
        }
        Ok(Self(uri))
    }

    #[cfg(feature = "tls")]
    pub(super) fn is_encrypted(&self) -> bool {
        self.0.scheme == AMQPScheme::AMQPS
    }

    /// The URI for lapin, with the heartbeat in seconds, and the bytes of the largest frame.
    pub(crate) fn uri(&self, heartbeat: u16, frame_max: u32) -> AMQPUri {
        let mut uri = self.0.clone();
        uri.query.frame_max = Some(frame_max);
        uri.query.heartbeat = Some(heartbeat);
        uri
    }
}

/// The fault of the URL and how to put it right; `None` if there is none.
fn refusal(url: &Url) -> Option<String> {
    match url.scheme() {
        "amqp" => {}
        "amqps" if cfg!(feature = "tls") => {}
        "amqps" => return Some("amqps needs the feature `tls` of the crate replybus".to_owned()),
        scheme => {
            return Some(format!(
                "the scheme is `{scheme}`; write amqp:// or amqps://"
            ));
        }
    }
    let reason = match url.host() {
        None | Some(Host::Domain("")) => {
            "there is no host; write amqp://user:password@host:5672/%2f"
        }
        Some(Host::Ipv6(_)) => "IPv6 literals are not supported; write a host name",
        Some(Host::Domain(host)) if host.contains('%') => {
            "the host holds an escape; write it plainly"
        }
        _ if url.username().is_empty() => {
            "there is no user; write amqp://user:password@host:5672/%2f"
        }
        _ if url.password().is_none_or(str::is_empty) => {
            "there is no password; write amqp://user:password@host:5672/%2f"
        }
        _ if url.port() == Some(0) => "port 0 can't be connected to; 5672 is usual, 5671 for amqps",
        _ if url.fragment().is_some() => "a `#` in the user or password must be written %23",
        _ if url.query().is_some() => {
            "query parameters are not read; heartbeat, timeouts and certificates are settings of Amqp"
        }
        _ if matches!(url.path(), "" | "/") => {
            "there is no virtual host; write /%2f at the end for the default one"
        }
        _ if url.path().get(1..).is_some_and(|path| path.contains('/')) => {
            "a `/` in the name of a virtual host must be written %2f"
        }
        _ => return None,
    };
    Some(reason.to_owned())
}

/// The URL as it may be shown: host and port only.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("broker URL {}://{host}:{port}", url.scheme()),
        None => format!("broker URL {}://{host}", url.scheme()),
    }
}

/// Host and port.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.authority.host, self.0.authority.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.0.scheme {
            AMQPScheme::AMQP => "amqp",
            AMQPScheme::AMQPS => "amqps",
        };
        write!(f, "{scheme}://{self}/{}", self.0.vhost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_is_given() {
        let address = Address::parse("amqp://an%40a:s%2fecret@broker:5673/%2f").unwrap();
        let uri = address.uri(5, 4096);
        assert_eq!(uri.authority.userinfo.username, "an@a");
        assert_eq!(uri.authority.userinfo.password, "s/ecret");
        assert_eq!(uri.vhost, "/");
        assert_eq!(uri.query.heartbeat, Some(5));
        assert_eq!(uri.query.frame_max, Some(4096));
        assert_eq!(address.to_string(), "broker:5673");
        assert_eq!(
            Address::parse("amqp://a:b@10.0.0.1/bank")
                .unwrap()
                .to_string(),
            "10.0.0.1:5672"
        );
    }

    #[test]
    fn refuses_every_trap_and_says_why() {
        for (text, reason) in [
            ("", "write amqp://"),
            ("broker:5672", "scheme"),
            ("http://a:b@h/%2f", "scheme"),
            ("amqp://a:b@/%2f", "host"),
            ("amqp://a:b@[::1]:5672/%2f", "host name"),
            ("amqp://a:b@%68ost/%2f", "plainly"),
            ("amqp://h:5672/%2f", "no user"),
            ("amqp://:b@h/%2f", "no user"),
            ("amqp://a@h/%2f", "no password"),
            ("amqp://a:@h/%2f", "no password"),
            ("amqp://a:b@h:0/%2f", "port 0"),
            ("amqp://a:b@h:5672", "/%2f"),
            ("amqp://a:b@h:5672/", "/%2f"),
            ("amqp://a:b@h//", "%2f"),
            ("amqp://a:b@h/one/two", "%2f"),
            ("amqp://a:b@h/%2f?heartbeat=0", "query"),
            ("amqp://a:b@h/%2f?verify=verify_none", "query"),
            ("amqp://a:b@h/%2f#x", "%23"),
            ("amqp://a:b@h/%ff", "UTF-8"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn refuses_tls_that_is_not_built_in() {
        let error = Address::parse("amqps://a:b@h/%2f").unwrap_err();
        assert!(error.to_string().contains("feature `tls`"), "{error}");
    }

    #[test]
    fn never_shows_the_password() {
        for text in [
            "amqp://user:hunter2@h:5672/%2f",
            "amqp://user:hunter2@h:5672",
            "amqp://user:hunter2@h:99999/%2f",
        ] {
            let shown = format!("{:?}", Address::parse(text));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
