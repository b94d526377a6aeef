//! One message that waits, by the word of whoever delayed it.

use crate::{
    call_id::CallId,
    client::Ticket,
    codec::{self, ContentType},
    contract::Outcome,
    limits::DELAYED_RECORD_BYTES_MAX,
    presence::is_shown,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// A message that waits on the broker until it is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DelayedMessage {
    /// The call, the event or, of a schedule, the tick.
    pub id: CallId,
    /// Why it waits.
    pub kind: DelayedKind,
    /// The queue that it is for, without the namespace, or the routing key of an event.
    #[serde(skip)]
    pub place: String,
    /// The service, as its contract is called; empty of an event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// The method, or the routing key of an event.
    pub name: String,
    /// When it is due, by the clock of whoever delayed it.
    #[serde(rename = "due_ms", with = "crate::presence::millis")]
    pub due_at: SystemTime,
    /// The program that delayed it (`app_id`).
    #[serde(default)]
    pub program: String,
    /// It has an idempotency key: what cancels it must know that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keyed: bool,
    /// The rest of what a ticket for it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ticket: Option<TicketPart>,
}

/// What a ticket says beside that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TicketPart {
    pub(crate) expires_at: u64,
    pub(crate) recorded: bool,
    #[serde(default)]
    pub(crate) put_off: bool,
}

/// Why a message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DelayedKind {
    /// A call that was sent or submitted for later.
    Call,
    /// An event for later.
    Event,
    /// The next tick of a schedule.
    Tick,
    /// The next run of a command or event that its handler put off.
    Retry,
}

impl DelayedMessage {
    /// A ticket on which a call can be [cancelled](Ticket::cancel), or waited for if it was
    /// submitted; with the key that it was given, if it is [`keyed`](Self::keyed), which is noted
    /// nowhere. `None` of what is no call, or if there is a key and should be none, or the other way
    /// round.
    #[must_use]
    pub fn ticket<R: Outcome>(&self, idempotency_key: Option<&str>) -> Option<Ticket<R>> {
        let part = self.ticket?;
        (self.keyed == idempotency_key.is_some()).then(|| {
            Ticket::of_delayed(
                (&self.service, &self.name, &self.place),
                self.id,
                idempotency_key,
                part,
            )
        })
    }

    /// The note of it; `None` if its names are too long for one.
    pub(super) fn record(&self) -> Option<Bytes> {
        codec::encode(ContentType::Json, self, DELAYED_RECORD_BYTES_MAX).ok()
    }

    /// What a note says of a message for `place`; `None` if it is none, or no such as we write.
    pub(super) fn read(place: &str, record: &[u8]) -> Option<Self> {
        if record.len() > DELAYED_RECORD_BYTES_MAX {
            return None;
        }
        let mut read: Self = codec::decode(ContentType::Json, record).ok()?;
        place.clone_into(&mut read.place);
        let texts = [&read.service, &read.name, &read.program];
        let is_sound = texts.into_iter().all(|text| is_shown(text));
        is_sound.then_some(read)
    }

    /// The moment at which it is due, since the Unix epoch.
    pub(super) fn due(&self) -> Duration {
        let since = self.due_at.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::INSTANCE_TEXT_MAX;
    use std::time::UNIX_EPOCH;

    fn message() -> DelayedMessage {
        DelayedMessage {
            id: CallId::new(),
            kind: DelayedKind::Call,
            place: "mail.requests".into(),
            service: "Mail".into(),
            name: "welcome".into(),
            due_at: UNIX_EPOCH + Duration::from_millis(1_234),
            program: "shop".into(),
            keyed: false,
            ticket: Some(TicketPart {
                expires_at: 17,
                recorded: true,
                put_off: false,
            }),
        }
    }

    #[test]
    fn reads_back_what_it_says() {
        let message = message();
        let record = message.record().unwrap();
        let read = DelayedMessage::read("mail.requests", &record);
        assert_eq!(read, Some(message));
    }

    #[test]
    fn what_is_no_note_or_can_not_be_shown_is_none() {
        let good = String::from_utf8(message().record().unwrap().to_vec()).unwrap();
        let with = |from: &str, to: &str| good.replace(from, to).into_bytes();
        assert!(DelayedMessage::read("q", &with("1234", "1235")).is_some());
        for bad in [
            Vec::new(),
            b"[]".to_vec(),
            with("\"welcome\"", "\"\\u001b[2J\""),
            with(
                "\"welcome\"",
                &format!("\"{}\"", "x".repeat(INSTANCE_TEXT_MAX + 1)),
            ),
            with("1234", "-1"),
            [good.as_bytes(), &vec![b' '; DELAYED_RECORD_BYTES_MAX]].concat(),
        ] {
            assert_eq!(
                DelayedMessage::read("q", &bad),
                None,
                "{}",
                bad.escape_ascii()
            );
        }
        let mut long = message();
        long.name = "x".repeat(DELAYED_RECORD_BYTES_MAX);
        assert_eq!(long.record(), None);
    }

    #[test]
    fn a_ticket_takes_the_key_that_its_call_has() {
        let mut message = message();
        type Nothing = Result<(), crate::Never>;
        assert!(message.ticket::<Nothing>(None).is_some());
        assert!(message.ticket::<Nothing>(Some("key")).is_none());
        message.keyed = true;
        assert!(message.ticket::<Nothing>(None).is_none());
        assert!(message.ticket::<Nothing>(Some("key")).is_some());
        message.ticket = None;
        assert!(message.ticket::<Nothing>(Some("key")).is_none());
    }
}
