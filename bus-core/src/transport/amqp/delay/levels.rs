//! The way of a delayed message through queues that each hold for a power of two of seconds: names,
//! routing keys and the patterns that select them. No broker here.

use crate::message::{Message, Text};
use std::time::Duration;

/// Queues on the way: of 1, 2, 4 seconds and so on to half a year.
pub(super) const LEVELS: u32 = 25;

/// Bytes of an AMQP short string.
const NAME_BYTES: usize = 255;

/// The seconds that a message waits: a part of one counts as a whole, so that it is never early.
pub(super) fn seconds(left: Duration) -> u64 {
    let part = u64::from(left.subsec_nanos() > 0);
    let seconds = left.as_secs().saturating_add(part);
    seconds.min((1 << LEVELS) - 1)
}

/// The routing key: a word for each level, `1` where the message waits, the longest first; then
/// where it goes.
pub(crate) fn routing_key(left: Duration, destination: &str) -> String {
    let seconds = seconds(left);
    let bit = |level: u32| {
        if seconds >> level & 1 == 1 {
            "1."
        } else {
            "0."
        }
    };
    let mut key: String = (0..LEVELS).rev().map(bit).collect();
    key.push_str(destination);
    key
}

/// Where a message goes when it is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// The exchange; empty for the default exchange.
    pub(super) exchange: Text,
    /// The queue, or the routing key.
    pub(super) routing_key: Text,
    /// Both in a word for names: no queue is called as an exchange's is, which has a colon.
    pub(super) name: Text,
}

impl Destination {
    /// Where `message` goes by its address; the reason why it can't be delayed if it can't.
    pub(super) fn of(message: &Message, way: &str) -> Result<Self, String> {
        let (exchange, routing_key) = (message.exchange.clone(), message.routing_key.clone());
        let name = match exchange.is_empty() {
            true => routing_key.clone(),
            false => format!("{exchange}:{routing_key}").into(),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err("a name has letters, digits, '.', '-' and '_'".to_owned());
        }
        let destination = Self {
            exchange,
            routing_key,
            name,
        };
        let longest = [
            routing_key_bytes(&destination),
            Way(way).due_queue(&destination).len(),
            Way(way).emitting(&destination).len(),
        ];
        match longest.into_iter().max() {
            Some(bytes) if bytes > NAME_BYTES => Err(format!(
                "its name is {} bytes too long to be delayed",
                bytes - NAME_BYTES
            )),
            _ => Ok(destination),
        }
    }
}

fn routing_key_bytes(destination: &Destination) -> usize {
    routing_key(Duration::ZERO, &destination.name).len()
}

/// The names of the queues and exchanges of one namespace, and what binds them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a>(pub(super) &'a str);

impl Way<'_> {
    /// The exchange at which delayed messages come in.
    pub(super) fn entry(self) -> String {
        self.0.to_owned()
    }

    /// The exchange behind it, which knows what has waited before.
    pub(super) fn fresh(self) -> String {
        format!("{}.fresh", self.0)
    }

    /// The exchange behind that, which leads to the first level at which a message waits.
    pub(super) fn first(self) -> String {
        format!("{}.first", self.0)
    }

    /// The queue of a level, and the exchange that leads into it or past it.
    pub(super) fn level(self, level: u32) -> String {
        format!("{}.{}s", self.0, 1_u64 << level)
    }

    /// The exchange behind a level.
    pub(super) fn below(self, level: u32) -> String {
        level
            .checked_sub(1)
            .map_or_else(|| self.due(), |below| self.level(below))
    }

    /// The exchange behind the last level.
    pub(super) fn due(self) -> String {
        format!("{}.due", self.0)
    }

    /// The queue from which the messages to one destination go there.
    pub(super) fn due_queue(self, destination: &Destination) -> String {
        format!("{}.due.{}", self.0, destination.name)
    }

    /// The exchange and the queue of messages that no binding leads on.
    pub(super) fn lost(self) -> String {
        format!("{}.lost", self.0)
    }

    /// The exchange from which events go to one that they were emitted to.
    pub(super) fn emitting(self, destination: &Destination) -> String {
        format!("{}.to.{}", self.0, destination.exchange)
    }

    /// The queue that forgets what it is given.
    pub(super) fn unheard(self) -> String {
        format!("{}.unheard", self.0)
    }
}

/// Selects what waits at this level first.
pub(super) fn first_at(level: u32) -> String {
    format!("{}1.#", "0.".repeat(above(level)))
}

/// Selects what waits nowhere.
pub(super) fn at_none() -> String {
    format!("{}#", "0.".repeat(above(0) + 1))
}

/// Selects what waits at this level, or does not, of what has passed those above it.
pub(super) fn at(level: u32, waits: bool) -> String {
    format!("{}{}.#", "*.".repeat(above(level)), u8::from(waits))
}

/// Selects what is due and goes there.
pub(super) fn to(destination: &Destination) -> String {
    format!("{}{}", "*.".repeat(above(0) + 1), destination.name)
}

/// Levels above this one.
fn above(level: u32) -> usize {
    usize::try_from(LEVELS.saturating_sub(level + 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DELAY_MAX;
    use proptest::prelude::*;

    fn to_queue(queue: &str) -> Destination {
        let message = Message {
            routing_key: queue.into(),
            ..Message::default()
        };
        Destination::of(&message, "replybus.delay").unwrap()
    }

    /// A pattern and a key, by the words of both; `#` comes last.
    fn selects(pattern: &str, key: &str) -> bool {
        let (mut pattern, mut key) = (pattern.split('.'), key.split('.'));
        loop {
            match (pattern.next(), key.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some(word), Some(actual)) if word == "*" || word == actual => {}
                _ => return false,
            }
        }
    }

    /// The seconds that a message waits under this key, as the bindings lead it, and where it ends.
    fn follow(key: &str, destination: &Destination) -> (u64, bool) {
        let first: Vec<_> = (0..LEVELS)
            .filter(|l| selects(&first_at(*l), key))
            .collect();
        let Some(mut level) = first.first().copied() else {
            assert!(selects(&at_none(), key));
            return (0, selects(&to(destination), key));
        };
        assert_eq!(first.len(), 1);
        let mut waited = 1 << level;
        while level > 0 {
            level -= 1;
            assert_ne!(
                selects(&at(level, true), key),
                selects(&at(level, false), key)
            );
            if selects(&at(level, true), key) {
                waited += 1 << level;
            }
        }
        (waited, selects(&to(destination), key))
    }

    #[test]
    fn a_part_of_a_second_counts_as_one_and_a_year_fits() {
        for (left, waits) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(1), 1),
            (Duration::from_millis(1_001), 2),
            (DELAY_MAX, DELAY_MAX.as_secs()),
            (Duration::MAX, 33_554_431),
        ] {
            assert_eq!(seconds(left), waits, "{left:?}");
        }
        assert!(DELAY_MAX.as_secs() < 1 << LEVELS);
    }

    #[test]
    fn names_and_keys_are_those_of_the_protocol() {
        let requests = to_queue("account.requests");
        let key = routing_key(Duration::from_millis(4_500), &requests.name);
        let zeros = "0.".repeat(22);
        assert_eq!(key, format!("{zeros}1.0.1.account.requests"));
        let way = Way("bank.replybus.delay");
        assert_eq!(way.level(24), "bank.replybus.delay.16777216s");
        assert_eq!(way.below(24), "bank.replybus.delay.8388608s");
        assert_eq!(way.below(0), "bank.replybus.delay.due");
        assert_eq!(
            way.due_queue(&requests),
            "bank.replybus.delay.due.account.requests"
        );
        assert_eq!(first_at(24), "1.#");
        assert_eq!(at(23, false), "*.0.#");
    }

    #[test]
    fn a_destination_is_selected_as_a_whole() {
        let key = routing_key(Duration::ZERO, "account.requests");
        assert!(selects(&to(&to_queue("account.requests")), &key));
        assert!(!selects(&to(&to_queue("requests")), &key));
    }

    #[test]
    fn what_would_select_others_or_is_too_long_is_refused() {
        let of = |exchange: &str, key: &str| {
            let message = Message {
                exchange: exchange.into(),
                routing_key: key.into(),
                ..Message::default()
            };
            Destination::of(&message, "replybus.delay").map(|destination| destination.name)
        };
        assert_eq!(of("x", "a.b").as_deref(), Ok("x:a.b"));
        for key in ["", "#", "a.*", "a b", "ä"] {
            assert!(of("", key).is_err(), "{key:?}");
        }
        assert!(of("", &"x".repeat(205)).is_ok());
        let refused = of("", &"x".repeat(206)).unwrap_err();
        assert_eq!(refused, "its name is 1 bytes too long to be delayed");
    }

    proptest! {
        #[test]
        fn every_delay_is_waited_for_and_ends_where_it_should(delay in 0_u64..1 << LEVELS) {
            let requests = to_queue("account.requests");
            let key = routing_key(Duration::from_secs(delay), &requests.name);
            prop_assert_eq!(follow(&key, &requests), (delay, true));
        }
    }
}
