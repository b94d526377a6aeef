//! One dead letter: the message as it came, with the reason, in a size that can be kept.

use super::Cause;
use crate::{
    contract::unix_time,
    limits::{DEAD_LETTER_BODY_MAX, DEAD_LETTER_HEADERS_MAX},
    message::{Message, Properties, Text},
    wire::headers,
};
use bytes::Bytes;
use std::{collections::BTreeSet, time::Duration};

/// Bytes of the message's own headers, and of its body, in a letter that was refused as it was.
const SHORT: usize = 4 * 1024;

/// Characters of the reason's text.
const TEXT_MAX: usize = 512;

/// A message on its way to the dead letters.
#[derive(Debug)]
pub(super) struct Letter {
    message: Message,
    /// The body as it came.
    body: Bytes,
    headers_left_out: usize,
    is_short: bool,
}

impl Letter {
    /// The letter that `message` becomes in `queue`, without the headers named `secret`.
    pub(super) fn new(mut message: Message, queue: &str, secret: &[String]) -> Self {
        message.exchange = Text::default();
        message.routing_key = queue.into();
        let properties = &mut message.properties;
        properties.expiration = None;
        properties.persistent = true;
        // Moved back as it is, it is to be handled, not to be late or to be taken for a copy; and
        // it may have been a letter before.
        properties.retain_headers(|name| {
            !matches!(name, headers::DEADLINE | headers::REPEATED | headers::DUE)
                && !headers::is_of_the_letter(name)
                && !secret.iter().any(|secret| secret == name)
        });
        rename_what_the_broker_reads(properties);
        let body = message.body.clone();
        let mut letter = Self {
            message,
            body,
            headers_left_out: 0,
            is_short: false,
        };
        letter.fit(DEAD_LETTER_HEADERS_MAX, DEAD_LETTER_BODY_MAX);
        letter
    }

    /// The message to publish.
    pub(super) fn message(&self) -> &Message {
        &self.message
    }

    /// The name of the message, for the log.
    pub(super) fn id(&self) -> Option<&str> {
        let properties = &self.message.properties;
        let id = properties.correlation_id.as_deref();
        id.or(properties.message_id.as_deref())
    }

    /// Says why it is one, and where it comes from. Returns the code.
    pub(super) fn give_reason(&mut self, cause: &Cause<'_>, of: &str) -> &'static str {
        let (reason, text, executed) = match cause.answer.as_fault() {
            Some(fault) => (
                fault.code.as_str(),
                fault.message.as_str(),
                fault.may_have_executed,
            ),
            None => ("handler", self.handler_error(), true),
        };
        // The same text by any other name is a line to log, so it is one.
        let text = text.chars().filter(|c| !c.is_control());
        let text: String = text.take(TEXT_MAX).collect();
        self.set(headers::DEAD_REASON, reason);
        self.set(headers::DEAD_MESSAGE, &text);
        self.set(headers::DEAD_QUEUE, of);
        let millis = |time: Duration| time.as_millis().to_string();
        self.set(headers::DEAD_AT, &millis(unix_time()));
        self.set(
            headers::DEAD_EXECUTED,
            if executed { headers::TRUE } else { "false" },
        );
        if let Some(until) = cause.known_until {
            self.set(headers::DEAD_KNOWN_UNTIL, &millis(until));
        }
        if let Some(attempts) = cause.attempts {
            self.set(headers::DEAD_ATTEMPTS, &attempts.to_string());
        }
        if cause.malformed {
            self.set(headers::DEAD_MALFORMED, headers::TRUE);
        }
        reason
    }

    /// Why an error of the handler's own makes a letter.
    fn handler_error(&self) -> &'static str {
        match self.message.properties.header(headers::RETRIES) {
            Some(_) => "the handler put it off as often as is allowed, or for as long",
            None => "the handler returned an error, and nobody waits for it",
        }
    }

    /// Leaves out all that is large; `false` if that was done before.
    pub(super) fn shorten(&mut self) -> bool {
        !std::mem::replace(&mut self.is_short, true) && self.fit(SHORT, SHORT)
    }

    /// Leaves out headers and the end of the body until the rest is no larger, and says what is
    /// missing; `false` if nothing is.
    fn fit(&mut self, headers_max: usize, body_max: usize) -> bool {
        let left_out = leave_out_headers(&mut self.message.properties, headers_max);
        self.headers_left_out += left_out;
        let cut = self.message.body.len() > body_max;
        if cut {
            self.message.body = self.body.slice(..body_max);
        }
        let shortened = cut || left_out > 0;
        if shortened {
            let (came, kept) = (self.body.len(), self.message.body.len());
            let headers = self.headers_left_out;
            let text = format!("{headers} headers left out, {kept} of {came} bytes of body kept");
            self.set(headers::DEAD_SHORTENED, &text);
        }
        shortened
    }

    fn set(&mut self, name: &str, value: &str) {
        let headers = &mut self.message.properties.headers;
        headers.retain(|(known, _)| known != name);
        headers.push((name.into(), value.into()));
    }
}

/// Puts by another name what the broker would act on: it refuses a user that is not ours, and sends
/// copies to the queues that `CC` and `BCC` name.
fn rename_what_the_broker_reads(properties: &mut Properties) {
    for (from, to) in [
        (headers::CC, headers::DEAD_CC),
        (headers::BCC, headers::DEAD_BCC),
    ] {
        properties.other_headers.rename(from, to);
        for (name, _) in &mut properties.headers {
            if name == from {
                *name = Text::from_static(to);
            }
        }
    }
    if let Some(user) = properties.user_id.take() {
        properties.retain_headers(|name| name != headers::DEAD_USER);
        let header = (Text::from_static(headers::DEAD_USER), user);
        properties.headers.push(header);
    }
}

/// Leaves out headers until the others take no more than `most` bytes: first those that say
/// nothing to a service, and large ones before all that would fit in their place.
fn leave_out_headers(properties: &mut Properties, most: usize) -> usize {
    if properties.headers_bytes() <= most {
        return 0;
    }
    let sizes = properties.header_sizes();
    let mut sizes: Vec<(bool, usize, String)> = sizes
        .into_iter()
        .map(|(name, bytes)| (!headers::is_reserved(name), bytes, name.to_owned()))
        .collect();
    sizes.sort_unstable();
    let count = sizes.len();
    let mut left = most;
    let kept: BTreeSet<String> = sizes
        .into_iter()
        .filter(|(_, bytes, _)| {
            let fits = *bytes <= left;
            left -= if fits { *bytes } else { 0 };
            fits
        })
        .map(|(_, _, name)| name)
        .collect();
    properties.retain_headers(|name| kept.contains(name));
    count - kept.len()
}
