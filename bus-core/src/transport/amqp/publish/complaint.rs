//! The broker's refusal of one publish, for which it closes the channel, and with it everything
//! that is on its way there: which of it the refusal was about, read from the broker's words.

use crate::{
    message::{Message, Text},
    transport::{Verdict, amqp::connect::ChannelClose},
};
use std::sync::Arc;

/// `basic.publish`.
const PUBLISH: (u16, u16) = (60, 40);

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;

/// The name that RabbitMQ has for the default exchange in its messages.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// A publish that the broker refused by closing its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    code: u16,
    text: Arc<str>,
    about: About,
}

/// The publishes that a complaint is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    /// All to this exchange.
    Exchange(String),
    /// All under this routing key to this exchange.
    Topic { exchange: String, key: String },
    /// All with more bytes than this in their body.
    Size(usize),
    /// One that the words do not tell from others.
    Unknown,
}

/// The properties of a publish that a complaint can be about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) exchange: Text,
    pub(super) routing_key: Text,
    /// Bytes of the body.
    pub(super) bytes: usize,
}

impl Target {
    pub(super) fn of(message: &Message) -> Self {
        Self {
            exchange: message.exchange.clone(),
            routing_key: message.routing_key.clone(),
            bytes: message.body.len(),
        }
    }
}

impl Complaint {
    /// The complaint that closed a channel. One about an exchange that is missing is none: it is
    /// declared before the next publish to it.
    pub(super) fn of(close: ChannelClose) -> Option<Self> {
        let is_one = close.method == PUBLISH && close.code != NOT_FOUND;
        is_one.then(|| Self {
            code: close.code,
            about: About::read(&close.text),
            text: close.text.into(),
        })
    }

    /// `true` if it is about publishes such as this one; `None` if that is not known.
    pub(super) fn concerns(&self, target: &Target) -> Option<bool> {
        Some(match &self.about {
            About::Exchange(exchange) => target.exchange == *exchange,
            About::Topic { exchange, key } => {
                target.exchange == *exchange && target.routing_key == *key
            }
            About::Size(max) => target.bytes > *max,
            About::Unknown => return None,
        })
    }

    /// `true` if the broker would have said the same of every earlier publish that it is about: the
    /// largest size stays as it is for as long as a channel lives, and rights may not.
    pub(super) fn has_always_held(&self) -> bool {
        matches!(self.about, About::Size(_))
    }

    /// The verdict on a publish that it is about.
    pub(super) fn verdict(&self) -> Verdict {
        let text = Arc::clone(&self.text);
        match self.code {
            ACCESS_REFUSED => Verdict::Denied(text),
            _ => Verdict::Unacceptable(text),
        }
    }
}

impl About {
    fn read(text: &str) -> Self {
        let exchange = |name: &str| match name {
            DEFAULT_EXCHANGE => String::new(),
            name => name.to_owned(),
        };
        // "message size 9 is larger than configured max size 8"
        if text.contains("message size")
            && let Some((_, max)) = text.rsplit_once("max size ")
            && let Ok(max) = max.trim_end_matches(|c: char| !c.is_ascii_digit()).parse()
        {
            return Self::Size(max);
        }
        // "access to exchange 'x' in vhost '/' refused for user 'u'"
        if let Some((_, rest)) = text.split_once("access to exchange '")
            && let Some((name, _)) = rest.split_once("' in vhost '")
        {
            return Self::Exchange(exchange(name));
        }
        // "access to topic 'k' in exchange 'x' in vhost '/' refused for user 'u'"
        if let Some((_, rest)) = text.split_once("access to topic '")
            && let Some((key, rest)) = rest.split_once("' in exchange '")
            && let Some((name, _)) = rest.split_once("' in vhost '")
        {
            return Self::Topic {
                exchange: exchange(name),
                key: key.to_owned(),
            };
        }
        Self::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(code: u16, text: &str) -> Complaint {
        let close = ChannelClose {
            code,
            text: text.to_owned(),
            method: PUBLISH,
        };
        Complaint::of(close).unwrap()
    }

    fn target(exchange: &str, routing_key: &str, bytes: usize) -> Target {
        Target {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            bytes,
        }
    }

    #[test]
    fn the_brokers_words_say_what_they_are_about() {
        let exchange =
            "ACCESS_REFUSED - access to exchange 'pay.roll' in vhost '/' refused for user 'u'";
        let default =
            "ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused for user 'u'";
        let topic = "ACCESS_REFUSED - access to topic 'a.b' in exchange 'x' in vhost '/' refused for user 'u'";
        let size = "PRECONDITION_FAILED - message size 70 is larger than configured max size 64";
        let old_size = "PRECONDITION_FAILED - message size 70 larger than max size 64";
        for (code, text, about, others) in [
            (
                403,
                exchange,
                target("pay.roll", "k", 9),
                target("pay", "k", 9),
            ),
            (
                403,
                default,
                target("", "q", 9),
                target("amq.default", "q", 9),
            ),
            (403, topic, target("x", "a.b", 9), target("x", "a", 9)),
            (406, size, target("", "q", 65), target("", "q", 64)),
            (406, old_size, target("", "q", 65), target("", "q", 64)),
        ] {
            let complaint = complaint(code, text);
            assert_eq!(complaint.concerns(&about), Some(true), "{text}");
            assert_eq!(complaint.concerns(&others), Some(false), "{text}");
            let verdict = match code {
                403 => Verdict::Denied(text.into()),
                _ => Verdict::Unacceptable(text.into()),
            };
            assert_eq!(complaint.verdict(), verdict);
        }
        let unknown = complaint(406, "PRECONDITION_FAILED - something else");
        assert_eq!(unknown.concerns(&target("", "q", 65)), None);
    }

    #[test]
    fn other_ends_of_a_channel_are_no_complaints() {
        for (code, method) in [(404, PUBLISH), (403, (40, 10)), (406, (60, 80))] {
            let text = String::new();
            assert_eq!(Complaint::of(ChannelClose { code, text, method }), None);
        }
    }
}
