//! The failures of Redis or the way to it, and what to do about each.

use deadpool_redis::{PoolError, redis};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use replybus::{SetupError, reply::StoreError};
use std::time::Duration;

/// The failure of one command, or of the connection for it. None repeats what was asked: the keys
/// of claims hold the idempotency keys of callers.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer from Redis within {0:?}")]
    Silent(Duration),
    #[error("no connection to Redis within the time allowed")]
    NoConnection,
    #[error("the connection to Redis failed")]
    Connection(#[source] RedisError),
    #[error("Redis answered: {}", .0.words)]
    Answered(Answered),
    #[error("Redis answered with something else than was asked for")]
    Unexpected,
    #[error("the reply store is closed")]
    Closed,
}

/// An error that the server answered, or the client in its place.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// Without the client's error itself, which repeats keys.
    words: String,
    cure: Cure,
    /// The server said no: trying again is of no use.
    is_refusal: bool,
}

/// The remedy that a failure calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cure {
    /// The connection is of no use any more: take another.
    Reconnect,
    /// The server can't right now: ask again in a moment.
    Wait,
    /// The server said no and will say so again.
    None,
}

impl Failure {
    pub(crate) fn cure(&self) -> Cure {
        match self {
            Self::Silent(_) | Self::NoConnection => Cure::Reconnect,
            Self::Unexpected | Self::Closed => Cure::None,
            Self::Connection(_) => Cure::Reconnect,
            Self::Answered(answered) => answered.cure,
        }
    }

    /// One line for logs and health, without anything the user sent.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Connection(error) => error.to_string(),
            Self::Answered(answered) => answered.words.clone(),
            other => other.to_string(),
        }
    }

    pub(crate) fn store(self, action: &'static str) -> StoreError {
        StoreError::new(action, self)
    }

    /// The error that `open` reports: a server that refuses is told from one that is not there.
    pub(crate) fn setup(self, address: &str) -> SetupError {
        match self.refusal() {
            Some(reason) => SetupError::refused("Redis", address, reason),
            None => SetupError::unreachable("Redis", address, self),
        }
    }

    /// The server's reason, if it was reached and said no; then trying again is of no use.
    pub(crate) fn refusal(&self) -> Option<String> {
        match self {
            Self::Connection(error) => {
                let words = error.to_string();
                about_certificates(&words).map(|advice| format!("{words}{advice}"))
            }
            Self::Answered(answered) if answered.is_refusal => Some(answered.words.clone()),
            _ => None,
        }
    }

    /// The same, with the rules by which the server would allow it if that is what it refused.
    pub(crate) fn needing(self, keys: &str, commands: &str) -> Self {
        match self {
            Self::Answered(mut answered) if answered.is_about_rights() => {
                let words = &mut answered.words;
                *words = format!("{words}; it is allowed by ACL SETUSER <user> {keys} {commands}");
                Self::Answered(answered)
            }
            Self::Answered(mut answered) if answered.words.contains("unknown command") => {
                answered.words += "; the store needs it under its own name, not renamed";
                Self::Answered(answered)
            }
            other => other,
        }
    }

    /// The same, with the keys that it is about if one of them is of another type. None of them may
    /// hold what callers sent.
    pub(crate) fn naming(self, keys: &[&str]) -> Self {
        match self {
            Self::Answered(mut answered) if answered.words.contains("WRONGTYPE") => {
                let keys = keys.join("` or `");
                answered.words += &format!(
                    "; `{keys}` was written by somebody else, and is to be renamed or deleted"
                );
                Self::Answered(answered)
            }
            other => other,
        }
    }
}

impl Answered {
    fn new(error: &RedisError) -> Self {
        let words = without_arguments(&error.to_string());
        let refusal = refusal(error, &words);
        Self {
            cure: cure(error),
            is_refusal: refusal.is_some(),
            words: refusal.unwrap_or(words),
        }
    }

    /// In a script it is an error of the script.
    fn is_about_rights(&self) -> bool {
        let marks = [
            "NoPerm",
            "NOPERM",
            "no permissions",
            "ACL failure",
            "The user executing the script",
        ];
        marks.iter().any(|mark| self.words.contains(mark))
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io => Self::Connection(error),
            // Its text shows the answer.
            ErrorKind::UnexpectedReturnType => Self::Unexpected,
            _ => Self::Answered(Answered::new(&error)),
        }
    }
}

/// What to add to the words of a connection that failed for a certificate, the server's or ours;
/// `None` if it failed for something else. It would fail so again.
fn about_certificates(words: &str) -> Option<&'static str> {
    // What a server says to a client whose certificate it misses or does not believe.
    let alerts = [
        "CertificateRequired",
        "BadCertificate",
        "UnsupportedCertificate",
        "CertificateRevoked",
        "CertificateExpired",
        "CertificateUnknown",
        "UnknownCA",
        "AccessDenied",
        "HandshakeFailure",
    ];
    if words.contains("invalid peer certificate: UnknownIssuer") {
        Some(": none of the authorities that are trusted vouches for it")
    } else if words.contains("invalid peer certificate") {
        Some("")
    } else if let Some((_, alert)) = words.split_once("received fatal alert: ")
        && alerts.iter().any(|known| alert.starts_with(known))
    {
        Some(": the server asks for a certificate of ours that it trusts (identity_pem)")
    } else {
        None
    }
}

/// The words of a server up to where they repeat what it was asked: a quoted text that is not the
/// name of a command, or the arguments of an unknown one.
fn without_arguments(words: &str) -> String {
    let words = words
        .split_once(", with args beginning with")
        .map_or(words, |(words, _)| words);
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find(['\'', '`', '"']) {
        let (before, quoted) = rest.split_at(at);
        let mut characters = quoted.chars();
        let quote = characters.next().unwrap_or_default();
        let inner = characters.as_str();
        kept.push_str(before);
        if before.ends_with(char::is_alphanumeric) {
            // An apostrophe.
            kept.push(quote);
            rest = inner;
            continue;
        }
        match inner.split_once(quote) {
            Some((name, after)) if is_command(name) => {
                kept.extend([quote]);
                kept.push_str(name);
                kept.extend([quote]);
                rest = after;
            }
            _ => {
                kept.push_str("..");
                return kept;
            }
        }
    }
    kept.push_str(rest);
    kept
}

/// True for what can be the name of a command or a setting, and is none of our keys.
fn is_command(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'|' | b'-' | b'_');
    !name.is_empty() && name.len() <= 32 && name.bytes().all(allowed)
}

/// The reason of a server that said no, with what to do about it where that is known.
fn refusal(error: &RedisError, words: &str) -> Option<String> {
    match (error.kind(), error.code()) {
        (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::CrossSlot), _) => Some(
            format!("{words}; it is part of a Redis Cluster: use redis+cluster://"),
        ),
        (ErrorKind::Server(ServerErrorKind::ResponseError), _) if words.contains("syntax") => {
            Some(format!("{words}; Redis 6.2 or later is needed"))
        }
        _ if within_script(error).is_some() => None,
        (ErrorKind::AuthenticationFailed, _)
        | (
            ErrorKind::Server(
                ServerErrorKind::NoPerm
                | ServerErrorKind::ResponseError
                | ServerErrorKind::ExecAbort,
            ),
            _,
        )
        | (_, Some("NOAUTH" | "WRONGPASS" | "DENIED")) => Some(words.to_owned()),
        // A cluster client wraps the failures of all its nodes in one text.
        _ if ["Password authentication failed", "NOAUTH", "WRONGPASS"]
            .iter()
            .any(|mark| words.contains(mark)) =>
        {
            Some(words.to_owned())
        }
        _ => None,
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Closed => Self::Closed,
            PoolError::Timeout(_)
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Self::NoConnection,
        }
    }
}

fn cure(error: &RedisError) -> Cure {
    use ServerErrorKind as Server;
    if let Some(cure) = within_script(error) {
        return cure;
    }
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            // A failover: the way to the new master leads over a new connection.
            Server::ReadOnly | Server::Moved | Server::Ask => Cure::Reconnect,
            Server::BusyLoading | Server::TryAgain | Server::ClusterDown | Server::MasterDown => {
                Cure::Wait
            }
            _ => Cure::None,
        },
        ErrorKind::UnexpectedReturnType | ErrorKind::InvalidClientConfig => Cure::None,
        ErrorKind::AuthenticationFailed => Cure::None,
        ErrorKind::Extension => match error.code() {
            Some("OOM" | "BUSY" | "NOREPLICAS" | "MISCONF" | "UNBLOCKED") => Cure::Wait,
            _ => Cure::None,
        },
        // What is left concerns the connection, or finding the server behind it.
        _ => Cure::Reconnect,
    }
}

/// The remedy for a command of a script that could not be carried out for now. Redis 6 gives its error
/// within that of the script, `.. @user_script: 1: -READONLY You can't write ..`; from Redis 7 on it
/// stands alone.
fn within_script(error: &RedisError) -> Option<Cure> {
    if error.kind() != ErrorKind::Server(ServerErrorKind::ResponseError) {
        return None;
    }
    let words = error.detail()?;
    let (_, answered) = words.split_once("@user_script")?.1.split_once(": -")?;
    match answered.split(' ').next()? {
        "READONLY" => Some(Cure::Reconnect),
        "OOM" | "NOREPLICAS" | "MISCONF" => Some(Cure::Wait),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn answered(line: &str) -> Failure {
        match redis::parse_redis_value(format!("-{line}\r\n").as_bytes()) {
            Ok(value) => value.extract_error().unwrap_err().into(),
            Err(error) => error.into(),
        }
    }

    #[test]
    fn every_answer_has_a_cure() {
        for (line, cure, refused) in [
            (
                "READONLY You can't write against a read only replica.",
                Cure::Reconnect,
                false,
            ),
            ("MOVED 3999 127.0.0.1:6381", Cure::Reconnect, true),
            (
                "LOADING Redis is loading the dataset in memory",
                Cure::Wait,
                false,
            ),
            ("MASTERDOWN Link with MASTER is down", Cure::Wait, false),
            ("CLUSTERDOWN The cluster is down", Cure::Wait, false),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Cure::Wait,
                false,
            ),
            ("BUSY Redis is busy running a script.", Cure::Wait, false),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                Cure::Wait,
                false,
            ),
            (
                "ERR Error running script (call to f_0f): @user_script:29: @user_script: 29: \
                 -READONLY You can't write against a read only replica.",
                Cure::Reconnect,
                false,
            ),
            (
                "ERR Error running script (call to f_0f): @user_script:29: @user_script: 29: \
                 -MISCONF Errors writing to the AOF file: No space left on device",
                Cure::Wait,
                false,
            ),
            (
                "ERR Error running script (call to f_0f): @user_script:29: @user_script: 29: \
                 -OOM command not allowed when used memory > 'maxmemory'.",
                Cure::Wait,
                false,
            ),
            ("NOAUTH Authentication required.", Cure::None, true),
            ("WRONGPASS invalid username-password pair", Cure::None, true),
            ("NOPERM this user has no permissions", Cure::None, true),
            ("ERR syntax error", Cure::None, true),
            ("WRONGTYPE Operation against a key", Cure::None, false),
        ] {
            let failure = answered(line);
            assert_eq!(failure.cure(), cure, "{line}");
            assert_eq!(failure.refusal().is_some(), refused, "{line}");
        }
    }

    #[test]
    fn lost_connections_are_replaced() {
        for kind in [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::UnexpectedEof,
            io::ErrorKind::TimedOut,
        ] {
            let failure = Failure::from(RedisError::from(io::Error::from(kind)));
            assert_eq!(failure.cure(), Cure::Reconnect, "{kind}");
            assert_eq!(failure.refusal(), None, "{kind}");
        }
    }

    #[test]
    fn a_certificate_that_is_refused_is_no_lost_connection() {
        for (words, said) in [
            (
                "invalid peer certificate: UnknownIssuer",
                Some("none of the authorities"),
            ),
            (
                "invalid peer certificate: certificate expired",
                Some("expired"),
            ),
            (
                "received fatal alert: CertificateRequired",
                Some("identity_pem"),
            ),
            ("received fatal alert: InternalError", None),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, words);
            let refusal = Failure::from(RedisError::from(error)).refusal();
            assert_eq!(refusal.is_some(), said.is_some(), "{words}");
            assert!(said.is_none_or(|said| refusal.is_some_and(|told| told.contains(said))));
        }
    }

    #[test]
    fn no_text_repeats_what_was_asked() {
        let key = "replybus:claim:account.requests:withdraw:key:it's a 'secret'";
        for (line, kept) in [
            (
                format!("NOPERM User bus has no permissions to access the '{key}' key"),
                "access the ..",
            ),
            (
                format!(
                    "ERR unknown command 'EVALSHA', with args beginning with: 'f0' '1' '{key}'"
                ),
                "'EVALSHA'",
            ),
            (
                format!("ERR unknown command `EVALSHA`, with args beginning with: `f0`, `{key}`, "),
                "`EVALSHA`",
            ),
            (
                "NOPERM User bus has no permissions to run the 'script|load' command".to_owned(),
                "'script|load' command",
            ),
            (
                "READONLY You can't write against a read only replica.".to_owned(),
                "You can't write against a read only replica.",
            ),
        ] {
            let failure = answered(&line);
            let stored = failure.store("claim a command");
            let source = std::error::Error::source(&stored).unwrap();
            for shown in [source.to_string(), format!("{stored:?}")] {
                assert!(
                    !shown.contains("secret") && !shown.contains("claim:"),
                    "{shown}"
                );
                assert!(shown.contains(kept), "{shown}");
            }
            assert!(source.source().is_none(), "{line}");
        }
    }

    #[test]
    fn a_right_that_lacks_is_named_with_the_rule_that_gives_it() {
        for line in [
            "NOPERM this user has no permissions to run the 'evalsha' command",
            "ERR ACL failure in script: User bus has no permissions to run the 'time' command",
            "ERR The user executing the script can't run this command or subcommand script: f0",
        ] {
            let failure = answered(line).needing("~replybus:*", "+evalsha +time");
            let refusal = failure.refusal().unwrap();
            assert!(
                refusal.ends_with("ACL SETUSER <user> ~replybus:* +evalsha +time"),
                "{refusal}"
            );
        }
        let other = answered("ERR syntax error").needing("~replybus:*", "+time");
        assert!(!other.refusal().unwrap().contains("ACL"));
    }
}
