//! What the scripts answer. They are ours, and the records they read can be anybody's who may write to
//! the server: what is none of these answers is an error.

use crate::error::Failure;
use bytes::Bytes;
use deadpool_redis::redis::Value;
use replybus::reply::{Cancelled, Claimed, CommandRecord};
use std::time::Duration;

/// The fate of a command's outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// Ours is the outcome.
    Recorded,
    /// The same, and the inbox that the reply was for is not there.
    RecordedAndKept,
    /// There was one before, and it stands.
    Before(Bytes),
    /// Another run has taken over and is not done.
    TakenOver,
}

/// The answer to one of several claims.
pub(super) fn claimed(answer: Vec<Value>) -> Result<Claimed, Failure> {
    let mut answer = answer.into_iter();
    match (answer.next(), answer.next()) {
        (Some(Value::BulkString(word)), second) => match (word.as_slice(), second) {
            (b"run", Some(Value::Int(attempt))) => Ok(Claimed::Run {
                attempt: u32::try_from(attempt).map_err(|_| Failure::Unexpected)?,
            }),
            (b"done", Some(Value::BulkString(frame))) => Ok(Claimed::Done(frame.into())),
            (b"running", None) => Ok(Claimed::Running),
            (b"conflict", None) => Ok(Claimed::Conflict),
            (b"expired", None) => Ok(Claimed::Expired),
            _ => Err(Failure::Unexpected),
        },
        _ => Err(Failure::Unexpected),
    }
}

/// The record of a command, if there is one.
pub(super) fn record(answer: Vec<Value>) -> Result<Option<CommandRecord>, Failure> {
    let mut answer = answer.into_iter();
    let word = match answer.next() {
        None => return Ok(None),
        Some(Value::BulkString(word)) => word,
        Some(_) => return Err(Failure::Unexpected),
    };
    let parts = (answer.next(), answer.next(), answer.next());
    Ok(Some(match (word.as_slice(), parts) {
        (b"done", (Some(Value::BulkString(frame)), None, None)) => {
            CommandRecord::Done(frame.into())
        }
        (b"running", (Some(Value::Int(attempt)), Some(Value::Int(left)), noted)) => {
            CommandRecord::Running {
                attempt: u32::try_from(attempt).map_err(|_| Failure::Unexpected)?,
                lease_left: Duration::from_millis(u64::try_from(left).unwrap_or_default()),
                progress: match noted {
                    Some(Value::BulkString(noted)) => Some(noted.into()),
                    _ => None,
                },
            }
        }
        _ => return Err(Failure::Unexpected),
    }))
}

/// The answer to a cancel.
pub(super) fn cancelled(answer: Vec<Value>) -> Result<Cancelled, Failure> {
    let mut answer = answer.into_iter();
    match (answer.next(), answer.next()) {
        (Some(Value::BulkString(word)), second) => match (word.as_slice(), second) {
            (b"unstarted", None) => Ok(Cancelled::NeverStarted),
            (b"running", None) => Ok(Cancelled::Running),
            (b"done", Some(Value::BulkString(frame))) => Ok(Cancelled::Done(frame.into())),
            _ => Err(Failure::Unexpected),
        },
        _ => Err(Failure::Unexpected),
    }
}

/// What became of one of several outcomes.
pub(super) fn finished(answer: Value) -> Result<Finished, Failure> {
    match answer {
        Value::Int(0) => Ok(Finished::TakenOver),
        Value::Int(1) => Ok(Finished::Recorded),
        Value::Int(2) => Ok(Finished::RecordedAndKept),
        Value::BulkString(frame) => Ok(Finished::Before(frame.into())),
        _ => Err(Failure::Unexpected),
    }
}
