//! The only place that spells a Redis key.

use replybus::{CallId, SetupError};
use uuid::Uuid;

/// Bytes of the prefix and of the namespace, each.
const PART_BYTES_MAX: usize = 64;
/// A UUID with hyphens.
const UUID_BYTES: usize = 36;

/// Spells the keys of one bus.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// `{prefix}{namespace.}`, before inboxes and claims.
    scope: String,
    /// `{namespace.}`, before reply keys: they are read by callers in other languages, who know
    /// the bus but not how this program was configured.
    namespace: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str, namespace: &str) -> Result<Self, SetupError> {
        check("key prefix", prefix)?;
        check("namespace", namespace)?;
        let namespace = if namespace.is_empty() {
            String::new()
        } else {
            format!("{namespace}.")
        };
        Ok(Self {
            scope: format!("{prefix}{namespace}"),
            namespace,
        })
    }

    /// The inbox of one process. The braces make the id the hash tag in a cluster.
    pub(crate) fn inbox(&self, process: Uuid) -> String {
        format!("{}inbox:{{{}}}", self.scope, process.as_hyphenated())
    }

    /// True if `name`, which comes from the network, is exactly what [`inbox`](Self::inbox) writes
    /// for some process of this bus.
    pub(crate) fn is_inbox(&self, name: &str) -> bool {
        name.strip_prefix(self.scope.as_str())
            .and_then(|rest| rest.strip_prefix("inbox:{"))
            .and_then(|rest| rest.strip_suffix('}'))
            .is_some_and(is_lowercase_uuid)
    }

    /// The reply to one call that has no inbox.
    pub(crate) fn response(&self, id: CallId) -> String {
        format!("{}response:{id}", self.namespace)
    }

    /// All inboxes and claims, as a pattern of the server's access lists.
    pub(crate) fn all_in_scope(&self) -> String {
        format!("{}*", escaped(&self.scope))
    }

    /// All replies under keys of their own, as such a pattern.
    pub(crate) fn all_responses(&self) -> String {
        format!("{}response:*", escaped(&self.namespace))
    }

    /// All inboxes, as such a pattern.
    pub(crate) fn all_inboxes(&self) -> String {
        format!("{}inbox:*", escaped(&self.scope))
    }

    /// All claims whose keys begin with this and a colon, as such a pattern.
    pub(crate) fn claims_of(&self, of: &str) -> String {
        format!("{}:*", escaped(&self.claim(of)))
    }

    /// All that is delayed, as such a pattern.
    pub(crate) fn all_delayed(&self) -> String {
        format!("{}delayed:*", escaped(&self.scope))
    }

    /// What is known of a queue: claims, instances, given-up calls and kept answers, as such patterns.
    pub(crate) fn of_queue(&self, queue: &str) -> [String; 5] {
        let [until, records] = self.instances(queue);
        let cached = format!("{}cache:{{{queue}}}", self.scope);
        [
            self.claims_of(queue),
            escaped(&until),
            escaped(&records),
            escaped(&self.given_up(queue)),
            format!("{}:*", escaped(&cached)),
        ]
    }

    /// The instances that serve a queue, by when they count as gone; and their records. The queue is
    /// the hash tag of both.
    pub(crate) fn instances(&self, queue: &str) -> [String; 2] {
        let of_queue = format!("{}instances:{{{queue}}}", self.scope);
        [format!("{of_queue}:until"), of_queue]
    }

    /// The queues that have such instances, by when they count as not served.
    pub(crate) fn served_queues(&self) -> String {
        format!("{}instances:queues", self.scope)
    }

    /// What waits on the broker for a queue, by when it is due; and the notes of it.
    pub(crate) fn delayed(&self, place: &str) -> [String; 2] {
        let of_place = format!("{}delayed:{{{place}}}", self.scope);
        [format!("{of_place}:due"), of_place]
    }

    /// The calls to a queue that were given up, by when their time is over.
    pub(crate) fn given_up(&self, queue: &str) -> String {
        format!("{}given-up:{{{queue}}}", self.scope)
    }

    /// An answer that is kept for others, and the turn to compute it.
    pub(crate) fn cached(&self, queue: &str, name: &str) -> [String; 2] {
        ["answer", "turn"].map(|kind| format!("{}cache:{{{queue}}}:{kind}:{name}", self.scope))
    }

    /// The version of a tag of such answers.
    pub(crate) fn cache_tag(&self, queue: &str, tag: &str) -> String {
        format!("{}cache:{{{queue}}}:tag:{tag}", self.scope)
    }

    /// What becomes of the calls of this namespace, if that is recorded.
    pub(crate) fn flight(&self) -> String {
        format!("{}flight", self.scope)
    }

    /// The claim on one command.
    pub(crate) fn claim(&self, key: &str) -> String {
        format!("{}claim:{key}", self.scope)
    }
}

/// A key as a pattern of the server's access lists, which matches it alone.
pub(crate) fn escaped(key: &str) -> String {
    let mut pattern = String::with_capacity(key.len());
    for character in key.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn is_lowercase_uuid(text: &str) -> bool {
    text.len() == UUID_BYTES
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Braces would move the hash tag, blanks and control characters only hurt who debugs.
fn check(setting: &str, part: &str) -> Result<(), SetupError> {
    if part.len() > PART_BYTES_MAX {
        return Err(SetupError::setting(
            setting,
            format!(
                "has {} bytes; at most {PART_BYTES_MAX} are allowed",
                part.len()
            ),
        ));
    }
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}');
    if !part.bytes().all(fits) {
        return Err(SetupError::setting(
            setting,
            "may hold printable ASCII without blanks and braces",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192f0c1-2b3c-7d4e-8f50-617283940a1b";

    #[test]
    fn spells_every_key() {
        let id: CallId = ID.parse().unwrap();
        let process: Uuid = ID.parse().unwrap();
        for (prefix, namespace, inbox, response, claim) in [
            (
                "replybus:",
                "",
                "replybus:inbox:{ID}",
                "response:ID",
                "replybus:claim:a/b",
            ),
            ("", "", "inbox:{ID}", "response:ID", "claim:a/b"),
            (
                "x:",
                "eu",
                "x:eu.inbox:{ID}",
                "eu.response:ID",
                "x:eu.claim:a/b",
            ),
        ] {
            let keys = Keys::new(prefix, namespace).unwrap();
            assert_eq!(keys.inbox(process), inbox.replace("ID", ID));
            assert_eq!(keys.response(id), response.replace("ID", ID));
            assert_eq!(keys.claim("a/b"), claim);
            assert!(keys.is_inbox(&keys.inbox(process)));
        }
        let keys = Keys::new("x:", "eu").unwrap();
        assert_eq!(
            keys.instances("a.b"),
            ["x:eu.instances:{a.b}:until", "x:eu.instances:{a.b}"]
        );
        assert_eq!(
            keys.cached("a.b", "get:0f"),
            [
                "x:eu.cache:{a.b}:answer:get:0f",
                "x:eu.cache:{a.b}:turn:get:0f"
            ]
        );
        assert_eq!(keys.flight(), "x:eu.flight");
        assert_eq!(keys.cache_tag("a.b", "1c"), "x:eu.cache:{a.b}:tag:1c");
    }

    #[test]
    fn knows_its_inboxes_from_everything_else() {
        let keys = Keys::new("replybus:", "eu").unwrap();
        let hostile = [
            String::new(),
            "session:admin".into(),
            "replybus:eu.inbox:".into(),
            "replybus:eu.inbox:{}".into(),
            "replybus:eu.inbox:*".into(),
            format!("replybus:eu.inbox:{ID}"),
            format!("replybus:eu.inbox:{{{ID}"),
            format!("replybus:eu.inbox:{{{ID}}}}}"),
            format!("replybus:eu.inbox:{{{ID}}}\r\nFLUSHALL"),
            format!("replybus:eu.inbox:{{{ID}}}\n"),
            format!(" replybus:eu.inbox:{{{ID}}}"),
            format!("replybus:inbox:{{{ID}}}"),
            format!("replybus:us.inbox:{{{ID}}}"),
            format!("other:eu.inbox:{{{ID}}}"),
            format!("replybus:eu.claim:{{{ID}}}"),
            format!("REPLYBUS:eu.inbox:{{{ID}}}"),
            format!("replybus:eu.inbox:{{{}}}", ID.to_uppercase()),
            format!("replybus:eu.inbox:{{{}}}", ID.replace('-', "0")),
            format!("replybus:eu.inbox:{{{}}}", ID.replace('0', "g")),
            format!("replybus:eu.inbox:{{{}}}", "*".repeat(36)),
            format!("replybus:eu.inbox:{{{}}}", "é".repeat(18)),
            format!("replybus:eu.inbox:{{{}}}", "0".repeat(1 << 20)),
            "x".repeat(1 << 20),
        ];
        for name in hostile {
            let shown: String = name.chars().take(80).collect();
            assert!(!keys.is_inbox(&name), "{shown:?}");
        }
        assert!(keys.is_inbox(&format!("replybus:eu.inbox:{{{ID}}}")));
    }

    #[test]
    fn refuses_parts_that_would_move_the_hash_tag() {
        for part in ["{", "a}b", "a b", "a\r\n", "é", &"x".repeat(65)] {
            assert!(Keys::new(part, "").is_err(), "{part:?}");
            assert!(Keys::new("", part).is_err(), "{part:?}");
        }
    }
}
