//! The rights of a user of the server, by what its programs do.

use crate::{
    keys::{Keys, escaped},
    trial::{ON_CLAIMS, ON_INBOXES, ON_REPLIES, TRIAL},
};
use replybus::SetupError;
use std::collections::BTreeSet;

/// What connections and transactions take.
const ON_CONNECTIONS: &str = "+@connection +multi +exec";

/// What records of instances, lists of what is delayed, calls that are given up, and answers that are
/// kept take.
const ON_LISTS: &str =
    "+hget +zadd +zrem +zcard +zrangebyscore +zremrangebyscore +hdel +hstrlen +pttl";

/// The least rights of a Redis user, by what its programs do, as rules of its access list.
///
/// Claims and the records of commands are separated by the queue, and so are records of instances and
/// answers that are kept. What is found by an id alone is not: inboxes, and replies to submitted
/// calls. Whoever has rights in the namespace may read and write those of all its programs, if it
/// knows their ids, which are random. A caller may write to the records of the commands that it
/// calls, since it cancels them there.
///
/// ```
/// use replybus_redis::RedisReplies;
///
/// let rights = RedisReplies::new("redis://localhost/0").rights("bank")?;
/// let rules = rights.serve("account.requests").rules();
/// assert!(rules.contains("~replybus:bank.claim:account.requests:*"));
/// # Ok::<(), replybus::SetupError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct RedisRights {
    keys: Keys,
    patterns: BTreeSet<String>,
}

impl RedisRights {
    pub(crate) fn new(prefix: &str, namespace: &str) -> Result<Self, SetupError> {
        let keys = Keys::new(prefix, namespace)?;
        let patterns = [
            keys.all_inboxes(),
            keys.all_responses(),
            keys.claims_of(TRIAL),
        ];
        Ok(Self {
            patterns: BTreeSet::from(patterns),
            keys,
        })
    }

    /// To serve a queue: to claim its commands and record what came of them, and to be seen.
    pub fn serve(mut self, queue: &str) -> Self {
        self.patterns.insert(escaped(&self.keys.served_queues()));
        self.know(queue)
    }

    /// To call the services of a queue: to see who serves it, to cancel commands, and to find and
    /// keep answers for others.
    pub fn call(self, queue: &str) -> Self {
        self.know(queue)
    }

    /// To hear events as a member of a group, each once.
    pub fn subscribe(mut self, group: &str) -> Self {
        let event = format!("event:{group}");
        self.patterns
            .extend([event.as_str(), group].map(|of| self.keys.claims_of(of)));
        self
    }

    /// To note what is delayed.
    pub fn delay(mut self) -> Self {
        self.patterns.insert(self.keys.all_delayed());
        self
    }

    /// To record what becomes of calls ([`replybus::flight`]). Their key is that of readers as well, who
    /// need `+xrange` besides.
    pub fn record_flights(mut self) -> Self {
        self.patterns.insert(escaped(&self.keys.flight()));
        self
    }

    /// The patterns of keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(String::as_str)
    }

    /// The rules for commands, such as `+xadd`.
    #[must_use]
    pub fn commands(&self) -> Vec<&'static str> {
        let all = [ON_CONNECTIONS, ON_INBOXES, ON_CLAIMS, ON_REPLIES, ON_LISTS];
        let mut seen = BTreeSet::new();
        let rules = all.into_iter().flat_map(str::split_whitespace);
        rules.filter(|rule| seen.insert(*rule)).collect()
    }

    /// All of it, as `ACL SETUSER` takes it after the user's name and password.
    #[must_use]
    pub fn rules(&self) -> String {
        let keys = self.keys().map(|pattern| format!("~{pattern}"));
        let commands = self.commands().into_iter().map(str::to_owned);
        keys.chain(commands).collect::<Vec<_>>().join(" ")
    }

    fn know(mut self, queue: &str) -> Self {
        self.patterns.extend(self.keys.of_queue(queue));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_separated_and_their_names_are_taken_as_they_are() {
        let rights = RedisRights::new("bus:", "test").unwrap();
        let rights = rights.serve("a*").subscribe("g").delay().record_flights();
        let keys: Vec<&str> = rights.keys().collect();
        assert_eq!(
            keys,
            [
                r"bus:test.cache:{a\*}:*",
                r"bus:test.claim:a\*:*",
                "bus:test.claim:event:g:*",
                "bus:test.claim:g:*",
                "bus:test.claim:trial:*",
                "bus:test.delayed:*",
                "bus:test.flight",
                r"bus:test.given-up:{a\*}",
                "bus:test.inbox:*",
                "bus:test.instances:queues",
                r"bus:test.instances:{a\*}",
                r"bus:test.instances:{a\*}:until",
                "test.response:*",
            ]
        );
        let rules = rights.rules();
        assert_eq!(rules.matches("+pexpire").count(), 1, "{rules}");
        assert!(!rules.contains("+@all") && !rules.contains("~*"));
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        let rights = RedisRights::new("*", "").unwrap();
        assert!(rights.keys().all(|key| !key.starts_with('*')));
        assert!(RedisRights::new("{", "").is_err());
    }
}
