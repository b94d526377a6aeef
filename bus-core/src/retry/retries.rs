//! The runs of one command: counted, with their errors, and told whether there is a next one.

use crate::{
    codec::{self, ContentType},
    context::Context,
    contract::RetryPolicy,
    limits::{RETRIES_MAX, RETRY_ERROR_BYTES_MAX, RETRY_HELD_MAX},
    message::{Message, Properties, Text},
    wire::{ReplyFrame, headers},
    work::{Answer, AnswerFuture, AnswerKind},
};
use bytes::Bytes;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The delays of a broker are whole seconds.
const SECOND: Duration = Duration::from_secs(1);

/// The runs of one command, those of its message before this delivery included.
#[derive(Debug)]
pub(crate) struct Retries {
    policy: RetryPolicy,
    /// When the next run would be of no use.
    until: Option<Instant>,
    /// The runs of earlier deliveries.
    before: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the runs that failed, in their order.
    errors: Vec<(u32, Text)>,
    runs: u32,
    next: Next,
}

/// What is to come after the last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Next {
    /// Nothing: its answer is the answer.
    #[default]
    Nothing,
    /// Another run, for which it is put aside.
    Due(Instant),
    /// It would be run again, and was as often as is allowed.
    Exhausted,
}

impl Retries {
    /// The runs that a message says it had.
    pub(crate) fn of(message: &Message, policy: RetryPolicy, until: Option<Instant>) -> Self {
        let properties = &message.properties;
        let before = runs_before(properties);
        let errors = (1..=before.min(RETRIES_MAX + 1)).filter_map(|run| {
            let error = properties.header(&headers::retry_error(run))?;
            Some((run, shortened(error)))
        });
        Self {
            policy,
            until,
            before,
            state: Mutex::new(State {
                errors: errors.collect(),
                runs: before,
                next: Next::Nothing,
            }),
        }
    }

    /// The number of the first run of this delivery.
    pub(crate) fn first(&self) -> u32 {
        self.before.saturating_add(1)
    }

    /// `true` if it was run in an earlier delivery.
    pub(crate) fn has_run(&self) -> bool {
        self.before > 0
    }

    /// What is to come after the last run.
    pub(crate) fn next(&self) -> Next {
        self.state().next
    }

    /// The runs there were.
    pub(crate) fn runs(&self) -> u32 {
        self.state().runs
    }

    /// When the next run would be of no use.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Runs the handler, again while it puts the command off and the pause is short. Meanwhile the
    /// command has its claim, and its place among those that run.
    pub(crate) async fn run(self: Arc<Self>, handler: impl Fn() -> AnswerFuture + Send) -> Answer {
        let context = Context::current();
        let first = context.attempt();
        for run in 0.. {
            let attempt = first.saturating_add(run);
            // Each run has marks of its own.
            let context_of_run = context.clone().with_attempt_of_its_own(attempt);
            let answer = context_of_run
                .clone()
                .scope(async { handler().await })
                .await;
            let pause = match &answer.0 {
                AnswerKind::Handler(frame) if context_of_run.is_put_off() => {
                    self.failed(text_of(frame), true)
                }
                _ => None,
            };
            if let Some(pause) = pause {
                tracing::debug!(attempt, ?pause, "a command is run again");
                tokio::select! {
                    biased;
                    // Nobody wants it any more, or another worker has it.
                    () = context.cancelled() => {}
                    () = sleep(pause) => continue,
                }
            }
            // By the run that is answered: what those before it said of the key is over.
            if context_of_run.key_is_released() {
                context.release_key();
            }
            return answer;
        }
        // There is no end to the numbers above that a policy reaches.
        Answer::done()
    }

    /// Notes a run that failed of an error that passes, and says what is to come.
    pub(crate) fn put_off(&self, error: &str) -> Next {
        self.failed(shortened(error), false);
        self.next()
    }

    /// Notes a run that failed of an error that passes. Returns the pause before the next one, if
    /// that is short, and short ones are waited for here.
    fn failed(&self, error: Text, holds: bool) -> Option<Duration> {
        let mut state = self.state();
        state.runs = state.runs.saturating_add(1);
        let runs = state.runs;
        if runs <= RETRIES_MAX + 1 {
            state.errors.push((runs, error));
        }
        if runs > self.policy.max {
            state.next = Next::Exhausted;
            return None;
        }
        let pause = self.policy.pause(runs);
        let is_held = holds && pause <= RETRY_HELD_MAX;
        let waits = match is_held {
            true => pause,
            false => whole_seconds(pause),
        };
        let now = Instant::now();
        // Late is as good as never: the caller is told now.
        if self.until.is_some_and(|until| now + waits >= until) {
            return None;
        }
        if !is_held {
            state.next = Next::Due(now + pause);
        }
        is_held.then_some(pause)
    }

    /// Writes down in a message how often it was run, and of what each run failed.
    pub(crate) fn note_in(&self, properties: &mut Properties) {
        let state = self.state();
        properties.retain_headers(|name| !headers::is_of_retries(name));
        let headers = &mut properties.headers;
        headers.push((Text::from_static(headers::RETRIES), Text::shown(state.runs)));
        for (run, error) in &state.errors {
            headers.push((headers::retry_error(*run).into(), error.clone()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `true` of a message that was put aside before.
pub(crate) fn is_of_retries(message: &Message) -> bool {
    message.properties.header(headers::RETRIES).is_some()
}

/// The runs that a message says it had; one that says it illegibly had more than are allowed.
fn runs_before(properties: &Properties) -> u32 {
    match properties.header(headers::RETRIES) {
        Some(runs) => runs.parse().unwrap_or(u32::MAX),
        None => 0,
    }
}

/// A pause as a broker keeps it.
fn whole_seconds(pause: Duration) -> Duration {
    match pause.subsec_nanos() {
        0 => pause,
        _ => Duration::from_secs(pause.as_secs()) + SECOND,
    }
}

/// The error in a reply, for people: a text as it is, all else in JSON.
fn text_of(frame: &Bytes) -> Text {
    let text = match ReplyFrame::decode(frame) {
        Ok((content_type, ReplyFrame::Handler(body))) => as_text(content_type, &body),
        _ => None,
    };
    shortened(text.as_deref().unwrap_or("an error that has no text form"))
}

fn as_text(content_type: ContentType, body: &[u8]) -> Option<String> {
    match codec::decode(content_type, body).ok()? {
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// As much of a text as is kept, on one line.
fn shortened(text: &str) -> Text {
    let mut kept = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if kept.len() + character.len_utf8() > RETRY_ERROR_BYTES_MAX {
            break;
        }
        kept.push(character);
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &[(&str, &str)]) -> Message {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| ((*name).into(), (*value).into()));
        Message {
            properties: Properties {
                headers: headers.collect(),
                ..Properties::default()
            },
            ..Message::default()
        }
    }

    fn failed(retries: &Retries, error: &impl serde::Serialize) -> Option<Duration> {
        let content_type = ContentType::MessagePack;
        let frame = ReplyFrame::encode_timed_handler_error(content_type, error, None);
        retries.failed(text_of(&frame.unwrap()), true)
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_pause_is_held_and_a_longer_one_is_not() {
        let policy = RetryPolicy::new().max(4).base(RETRY_HELD_MAX / 2);
        let retries = Retries::of(&message(&[]), policy, None);
        assert_eq!(failed(&retries, &"away"), Some(RETRY_HELD_MAX / 2));
        assert_eq!(failed(&retries, &"away"), Some(RETRY_HELD_MAX));
        assert_eq!(retries.next(), Next::Nothing);
        assert_eq!(failed(&retries, &"away"), None);
        assert_eq!(
            retries.next(),
            Next::Due(Instant::now() + 2 * RETRY_HELD_MAX)
        );

        // And on, in the next delivery.
        let mut aside = message(&[("tenant", "acme"), ("x-replybus-retry-error-9", "forged")]);
        retries.note_in(&mut aside.properties);
        let retries = Retries::of(&aside, policy, None);
        assert!(retries.has_run());
        assert_eq!(retries.first(), 4);
        failed(&retries, &4);
        assert_eq!(
            retries.next(),
            Next::Due(Instant::now() + 4 * RETRY_HELD_MAX)
        );
        failed(&retries, &[5]);
        assert_eq!(retries.next(), Next::Exhausted);
        retries.note_in(&mut aside.properties);
        let headers = &aside.properties.headers;
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let expected = [
            ("tenant", "acme"),
            ("x-replybus-retries", "5"),
            ("x-replybus-retry-error-1", "away"),
            ("x-replybus-retry-error-2", "away"),
            ("x-replybus-retry-error-3", "away"),
            ("x-replybus-retry-error-4", "4"),
            ("x-replybus-retry-error-5", "[5]"),
        ];
        assert_eq!(headers, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn no_run_is_planned_for_when_nobody_waits_for_it() {
        let second = Duration::from_secs(1);
        for (base, left, held) in [
            (second, 999, false),
            (second, 1000, false),
            (second, 1001, true),
            // On the broker it would be two seconds.
            (second + second / 10, 1900, false),
        ] {
            let until = Instant::now() + Duration::from_millis(left);
            let policy = RetryPolicy::new().base(base);
            let retries = Retries::of(&message(&[]), policy, Some(until));
            assert_eq!(failed(&retries, &"away").is_some(), held, "{left}");
            assert_eq!(retries.next(), Next::Nothing);
        }
    }

    #[tokio::test]
    async fn what_is_forged_gives_no_run_more() {
        for runs in ["", "many", "-1", "99999999999999999999", "4294967295", "17"] {
            let forged = message(&[("x-replybus-retries", runs)]);
            let retries = Retries::of(&forged, RetryPolicy::new(), None);
            assert_eq!(failed(&retries, &"away"), None);
            assert_eq!(retries.next(), Next::Exhausted, "{runs}");
        }
    }

    #[test]
    fn an_error_is_a_line_of_bounded_length() {
        let long = "ä\n".repeat(RETRY_ERROR_BYTES_MAX);
        assert_eq!(shortened(&long).len(), RETRY_ERROR_BYTES_MAX);
        assert_eq!(shortened("two\r\nlines").as_str(), "twolines");
    }
}
