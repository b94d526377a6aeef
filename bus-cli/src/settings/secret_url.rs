//! An address with a password in it.

use std::fmt;
use url::Url;

/// An address that is shown without its user and password.
#[derive(Clone)]
pub(crate) struct SecretUrl(String);

impl SecretUrl {
    pub(crate) fn new(url: String) -> Self {
        Self(url)
    }

    /// All of it, for whoever connects.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(url) = Url::parse(&self.0) else {
            return f.write_str("an address that can't be read");
        };
        write!(
            f,
            "{}://{}",
            url.scheme(),
            url.host_str().unwrap_or_default()
        )?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        // What follows the path may be a setting with a secret in it.
        f.write_str(url.path())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::SecretUrl;

    #[test]
    fn neither_user_nor_password_is_shown() {
        let url = SecretUrl::new("amqps://ada:hunter2@rabbit:5671/bank?password=hunter2".into());
        assert_eq!(url.to_string(), "amqps://rabbit:5671/bank");
        let none = SecretUrl::new("hunter2".into());
        assert!(!format!("{none} {none:?}").contains("hunter2"));
    }
}
