//! Settings of the gateway, from flags and the environment.

use chassis::settings::{Secret, SecretParser};
use std::net::SocketAddr;

/// A shorter secret is guessed.
const ADMIN_SECRET_BYTES_MIN: usize = 16;

/// Settings of the gateway.
#[derive(Debug, Clone, clap::Args)]
pub struct HttpSettings {
    /// Address to listen on
    #[arg(
        long,
        env = "HTTP_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub http_addr: SocketAddr,

    /// What X-Admin-Secret must be; without it the admin routes are off
    #[arg(long, env = "ADMIN_SECRET", hide_env_values = true, value_name = "SECRET", value_parser = SecretParser(admin_secret))]
    pub admin_secret: Option<Secret>,
}

/// The reasons do not repeat the secret.
fn admin_secret(text: &str) -> Result<Secret, String> {
    if text.len() < ADMIN_SECRET_BYTES_MIN {
        return Err(format!(
            "at least {ADMIN_SECRET_BYTES_MIN} characters are needed"
        ));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it travels in a header: printable ASCII without spaces is needed".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        http: HttpSettings,
    }

    #[test]
    fn a_refused_secret_is_not_repeated() {
        let arguments = ["gateway", "--admin-secret", "hun ter2hun ter2"];
        let refused = Program::try_parse_from(arguments).unwrap_err().to_string();
        assert!(refused.contains("--admin-secret"), "{refused}");
        assert!(!refused.contains("ter2"), "{refused}");
    }

    #[test]
    fn a_secret_that_is_short_or_can_not_be_sent_is_refused() {
        for refused in [
            "",
            "eight888",
            "fifteen-15-char",
            "with spaces in between",
            "zwölf Zeichen und noch vier",
            "tab\ttabtabtabtabtab",
        ] {
            let reason = admin_secret(refused).unwrap_err();
            assert!(refused.is_empty() || !reason.contains(refused), "{reason}");
        }
        assert!(admin_secret("sixteen-16-chars").is_ok());
    }
}
