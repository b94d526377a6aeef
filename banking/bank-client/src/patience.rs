//! Asking again.

use crate::{Answer, Request};
use anyhow::{Result, bail};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// First and longest pause before a request is sent again.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Sends a request, again if need be, until it has a final answer: neither a lost connection is one
/// nor what [asks for patience](Answer::asks_for_patience). Each time it is made anew; what moves
/// money has to be given the same idempotency key.
///
/// # Errors
/// There is no final answer `within` that time, or the request can't be made.
///
/// # Cancel safety
/// As [`Request::send`].
pub async fn until_final(
    within: Duration,
    request: impl Fn() -> Result<Request>,
) -> Result<Answer> {
    repeat(within, request, |answer| {
        answer
            .as_ref()
            .is_ok_and(|answer| !answer.asks_for_patience())
    })
    .await
}

/// The same, where money was asked to be moved: no error of a server is a verdict, whoever says so.
/// Behind a proxy the money may have moved all the same.
///
/// # Errors
/// As [`until_final`].
///
/// # Cancel safety
/// As [`Request::send`].
pub async fn until_verdict(
    within: Duration,
    request: impl Fn() -> Result<Request>,
) -> Result<Answer> {
    repeat(within, request, |answer| {
        answer
            .as_ref()
            .is_ok_and(|answer| !answer.asks_for_patience() && answer.status < 500)
    })
    .await
}

/// As [`until_final`], but for a lost connection: that is an error at once, for there may be no
/// bank at all.
pub(crate) async fn until_ready(
    within: Duration,
    request: impl Fn() -> Result<Request>,
) -> Result<Answer> {
    repeat(within, request, |answer| {
        !answer.as_ref().is_ok_and(Answer::asks_for_patience)
    })
    .await
}

async fn repeat(
    within: Duration,
    request: impl Fn() -> Result<Request>,
    is_final: impl Fn(&Result<Answer>) -> bool,
) -> Result<Answer> {
    let end = Instant::now() + within;
    let mut pause = PAUSE_MIN;
    loop {
        let answer = request()?.send().await;
        if is_final(&answer) {
            return answer;
        }
        if Instant::now() >= end {
            let last = match answer {
                Ok(answer) => format!("{}: {}", answer.status, answer.detail()),
                Err(error) => format!("{error:#}"),
            };
            bail!("no final answer within {within:?}; at last: {last}");
        }
        sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}
