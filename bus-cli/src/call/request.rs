//! A contract for a call whose names were given, and what is printed of its outcome.

use super::CallArgs;
use crate::{
    failure::{Failure, chain},
    output::{Output, shown},
};
use replybus::{
    Bus, CallError, CallFailure, ContentType,
    client::ServiceClient,
    contract::{LearnedContract, MethodKind},
    limits::{CALL_TIMEOUT_MAX, JOB_TIMEOUT_MAX},
};
use serde_json::{Value, json};
use std::time::Duration;

/// The method that is to be called.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) method: String,
    pub(crate) kind: MethodKind,
    /// It may take longer than a call.
    pub(crate) is_job: bool,
}

impl Wanted {
    pub(super) fn of(args: &CallArgs) -> Self {
        let is_long = |timeout: Duration| timeout > CALL_TIMEOUT_MAX;
        let is_awaited = !args.send && !args.submit;
        Self {
            method: args.method.clone(),
            kind: match args.query || args.stream {
                true => MethodKind::Query,
                false => MethodKind::Command,
            },
            is_job: args.watch || is_awaited && args.timeout.is_some_and(is_long),
        }
    }
}

/// A client of the queue, and the position of the method in its contract.
pub(crate) fn client(
    bus: &Bus,
    queue: &str,
    wanted: &Wanted,
) -> Result<(ServiceClient, usize), Failure> {
    let contract = LearnedContract::new(queue, queue);
    let contract = match wanted.is_job {
        true => contract.job(&wanted.method, JOB_TIMEOUT_MAX),
        false => contract.method(&wanted.method, wanted.kind),
    };
    let contract = contract
        .keep()
        .map_err(|error| Failure::Usage(chain(&error)))?;
    let client = ServiceClient::new(bus, contract).with_content_type(ContentType::Json);
    Ok((client, 0))
}

/// Prints an answer.
pub(crate) fn answered(
    answer: Result<Value, CallError<Value>>,
    output: &Output,
) -> Result<(), Failure> {
    match answer {
        Ok(value) => output.json(&value),
        Err(CallError::Handler(error)) => {
            output.json(&json!({ "error": error }))?;
            Err(Failure::Service)
        }
        Err(CallError::Bus(failure)) => failed(Err(failure), output),
    }
}

/// A failure, in words, and for programs as JSON.
pub(crate) fn failed<T>(outcome: Result<T, CallFailure>, output: &Output) -> Result<T, Failure> {
    outcome.or_else(|failure| {
        let ran = failure.may_have_executed();
        let text = chain(&failure);
        if output.json {
            output.json(&json!({ "failure": {
                "kind": failure.kind().as_str(),
                "may_have_executed": ran,
                "call_id": failure.call_id(),
                "message": text,
                "retry_after_ms": failure.retry_after().map(|after| after.as_millis()),
            }}))?;
        }
        let ran = if ran {
            "it may have been executed"
        } else {
            "it was not executed"
        };
        Err(Failure::Said(format!("{}; {ran}", shown(&text))))
    })
}
