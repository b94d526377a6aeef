//! What Redis answers, as it comes over its connection: reads of an inbox, claims and records of
//! commands, groups of replies. Whoever may write to the server can have written what they are read
//! from. What is none of them is an error, and what is no reply is passed over, with nothing beside it.

use crate::group;
use answers::{Finished, cancelled, claimed, finished, record};
use batch::Batch;
use bytes::Bytes;
use deadpool_redis::redis::{Value, parse_redis_value};
use replybus::CallId;

// Private to the crate, and as they are there.
#[allow(dead_code, unreachable_pub)]
#[path = "../../bus-redis/src/claims/answers.rs"]
mod answers;
#[allow(dead_code, unreachable_pub)]
#[path = "../../bus-redis/src/inbox/batch.rs"]
mod batch;

pub(crate) fn run(data: &[u8]) {
    read_group(data);
    let Ok(answer) = parse_redis_value(data) else {
        return;
    };
    if let Ok(Finished::Before(frame)) = finished(answer.clone()) {
        assert!(frame.len() <= data.len());
    }
    if let Value::Array(parts) = &answer {
        // An answer is one of them at most.
        let claimed = claimed(parts.clone()).is_ok();
        let _ = cancelled(parts.clone());
        let record = record(parts.clone());
        assert!(claimed || !matches!(record, Ok(Some(_))) || parts.len() > 2);
    }
    if let Ok(batch) = Batch::read(answer) {
        let bytes: usize = batch
            .replies
            .iter()
            .map(|(_, frame)| 16 + frame.len())
            .sum();
        assert!(bytes <= data.len());
        assert_eq!(batch.last.is_some(), batch.entries > 0);
        if let Some(last) = batch.last {
            assert_eq!(last.to_string().parse().ok(), Some(last));
        }
    }
    beside_others(data);
}

/// Any bytes as a group: as much of it as is one says the same when it is written.
fn read_group(data: &[u8]) {
    let group = Bytes::copy_from_slice(data);
    let read: Vec<_> = group::decode(&group).collect();
    let again = group::encode(read.iter().map(|(id, frame)| (*id, frame)));
    let again = Bytes::from(again.unwrap());
    assert!(group::decode(&again).eq(read));
    assert!(again.len() <= data.len() + 5);
}

/// Any bytes in the fields of an entry between two that are replies.
fn beside_others(data: &[u8]) {
    let text = |bytes: &[u8]| Value::BulkString(bytes.to_vec());
    let entry = |id: &[u8], fields: Vec<Value>| Value::Array(vec![text(id), Value::Array(fields)]);
    let (one, two) = (CallId::from_bytes([1; 16]), CallId::from_bytes([2; 16]));
    let reply = |id: CallId| {
        let id = id.to_string();
        vec![text(b"id"), text(id.as_bytes()), text(b"frame"), text(b"x")]
    };
    let (name, value) = data.split_at(data.len() / 2);
    let foreign = vec![
        text(name),
        text(value),
        text(b"group"),
        text(data),
        text(name),
    ];
    let entries = vec![
        entry(b"1-0", reply(one)),
        entry(b"1-1", foreign),
        entry(b"2-0", reply(two)),
    ];
    let stream = Value::Array(vec![text(b"inbox"), Value::Array(entries)]);
    let batch = Batch::read(Value::Array(vec![stream])).expect("it is a read of a stream");
    assert_eq!(batch.entries, 3);
    assert_eq!(batch.replies.first().map(|(id, _)| *id), Some(one));
    assert_eq!(batch.replies.last().map(|(id, _)| *id), Some(two));
}
