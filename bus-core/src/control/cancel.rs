//! The message that cancels calls.

use crate::{
    call_id::CallId,
    limits::{CALL_TIMEOUT_MAX, CANCELS_IN_ONE_MAX},
    message::{Message, Properties, Text},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::time::Duration;
use tokio::time::Instant;

/// Its type.
pub(super) const KIND: &str = "cancel";

/// Bytes of an entry: the call's id, and the milliseconds that are left of its time, big-endian.
const ENTRY_BYTES: usize = 16 + 4;

/// A call that nobody waits for any more, and when nobody would have in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cancelled {
    pub(super) id: CallId,
    pub(super) deadline: Instant,
}

/// The message that says so of these calls to `queue`.
pub(super) fn message(exchange: &Text, queue: &Text, calls: &[Cancelled]) -> Message {
    Message {
        exchange: exchange.clone(),
        routing_key: queue.clone(),
        properties: Properties {
            kind: Some(Text::from_static(KIND)),
            ..Properties::default()
        },
        body: body(calls),
    }
}

/// Its body.
pub(super) fn body(calls: &[Cancelled]) -> Bytes {
    let now = Instant::now();
    let mut body = BytesMut::with_capacity(calls.len() * ENTRY_BYTES);
    for call in calls {
        let left = call.deadline.saturating_duration_since(now);
        body.put_slice(call.id.as_bytes());
        body.put_u32(u32::try_from(left.as_millis()).unwrap_or(u32::MAX));
    }
    body.freeze()
}

/// The calls that a message of this type cancels; none if it can't be read.
pub(super) fn read(message: &Message) -> Vec<Cancelled> {
    let can_be_read = message.body.len().is_multiple_of(ENTRY_BYTES)
        && message.body.len() <= CANCELS_IN_ONE_MAX * ENTRY_BYTES;
    if !can_be_read {
        return Vec::new();
    }
    let now = Instant::now();
    let entry = |mut entry: Bytes| {
        let mut id = [0; 16];
        entry.copy_to_slice(&mut id);
        let left = Duration::from_millis(entry.get_u32().into());
        Cancelled {
            id: CallId::from_bytes(id),
            deadline: now + left.min(CALL_TIMEOUT_MAX),
        }
    };
    let starts = (0..message.body.len()).step_by(ENTRY_BYTES);
    starts
        .map(|at| entry(message.body.slice(at..at + ENTRY_BYTES)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancelled(left: Duration) -> Cancelled {
        Cancelled {
            id: CallId::new(),
            deadline: Instant::now() + left,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_back_what_it_says() {
        let calls = [0, 1, 60_000].map(|millis| cancelled(Duration::from_millis(millis)));
        let said = message(&"control".into(), &"work".into(), &calls);
        assert_eq!((&*said.exchange, &*said.routing_key), ("control", "work"));
        assert_eq!(said.body.len(), 3 * ENTRY_BYTES);
        assert_eq!(read(&said), calls);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_such_message_cancels_nothing() {
        let said = message(&"c".into(), &"q".into(), &[cancelled(Duration::ZERO)]);
        let mut cut = said.clone();
        cut.body.truncate(ENTRY_BYTES - 1);
        let mut huge = said;
        huge.body = vec![0; (CANCELS_IN_ONE_MAX + 1) * ENTRY_BYTES].into();
        for message in [cut, huge, Message::default()] {
            assert_eq!(read(&message), [], "{message:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_remembered_for_longer_than_a_call_can_last() {
        let for_ever = cancelled(Duration::from_secs(100 * 24 * 60 * 60));
        let said = message(&"c".into(), &"q".into(), &[for_ever]);
        let read = read(&said);
        assert_eq!(
            read.first().unwrap().deadline,
            Instant::now() + CALL_TIMEOUT_MAX
        );
    }
}
