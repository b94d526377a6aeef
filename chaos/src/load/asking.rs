//! Asking for something that is to be done once, and what the answers say about its fate.

use anyhow::Result;
use bank_client::{Answer, Request};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

/// Before a request is sent again.
const PAUSE: Duration = Duration::from_millis(400);

/// What is known of something that was asked for under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was said to be done.
    Done,
    /// It was said not to be done, and that it never will be.
    Refused,
    /// Nothing.
    Unknown,
}

/// What one answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// It is done.
    Done,
    /// It is not done, and never will be, however often it was asked for under this key.
    Never,
    /// What this request asked for is not done. An earlier one without an answer may be.
    NotThisTime,
    /// Who asks has no session any more.
    LoggedOut,
    /// Nothing.
    Nothing,
    /// What must not be said.
    Odd,
}

/// All that was said in answer to the requests for one thing, put together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Verdict {
    /// Whether it is done, if that was said.
    is_done: Option<bool>,
    /// Requests that got no answer, or one that says nothing: they may arrive yet.
    lost: u32,
    /// Requests that were turned away.
    turned_away: u32,
}

impl Verdict {
    /// Takes one more answer in; `false` if it contradicts an earlier one.
    pub(crate) fn hear(&mut self, word: Word) -> bool {
        let before = self.is_done;
        match word {
            Word::Done => self.is_done = Some(true),
            Word::Never => self.is_done = Some(false),
            Word::NotThisTime => self.turned_away += 1,
            Word::Nothing => self.lost += 1,
            // Whoever is logged out was turned away at the door.
            Word::LoggedOut | Word::Odd => {}
        }
        match word {
            Word::Done => before != Some(false),
            Word::Never | Word::NotThisTime => before != Some(true),
            Word::Nothing | Word::LoggedOut | Word::Odd => true,
        }
    }

    /// What is known.
    pub(crate) fn fate(self) -> Fate {
        match self.is_done {
            Some(true) => Fate::Done,
            Some(false) => Fate::Refused,
            None if self.lost == 0 && self.turned_away > 0 => Fate::Refused,
            None => Fate::Unknown,
        }
    }
}

/// The answers that came, counted by what they said.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) requests: u64,
    by_kind: BTreeMap<String, u64>,
}

impl Answers {
    /// Counts one.
    pub(crate) fn count(&mut self, answer: &Result<Answer>) {
        self.requests += 1;
        let kind = match answer {
            Ok(answer) => format!("{} {}", answer.status, answer.detail()),
            Err(_) => "no answer".to_owned(),
        };
        *self.by_kind.entry(kind.trim().to_owned()).or_default() += 1;
    }

    /// A line for each kind.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let kinds = self.by_kind.iter();
        kinds.map(|(kind, count)| format!("{count:>8}  {kind}"))
    }
}

/// Sends a request up to so many times, until `hear` has had enough, which is told each answer.
///
/// # Cancel safety
/// Dropped before it is ready, it may be carried out or not.
pub(crate) async fn ask(
    tries: u32,
    request: impl AsyncFn() -> Request,
    hear: impl AsyncFn(Result<Answer>) -> bool,
) {
    for number in 0..tries {
        if number > 0 {
            sleep(PAUSE).await;
        }
        let answer = request().await.send().await;
        if hear(answer).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fate after these answers; nothing if they contradict each other.
    fn fate(words: &[Word]) -> Option<Fate> {
        let mut verdict = Verdict::default();
        let mut words = words.iter();
        words
            .all(|word| verdict.hear(*word))
            .then(|| verdict.fate())
    }

    #[test]
    fn answers_add_up_to_a_fate() {
        use Word::{Done, LoggedOut, Never, NotThisTime, Nothing};
        for (words, expected) in [
            (&[][..], Some(Fate::Unknown)),
            (&[Nothing, Nothing], Some(Fate::Unknown)),
            (&[Nothing, Done, Done], Some(Fate::Done)),
            (&[Done, Nothing], Some(Fate::Done)),
            (&[LoggedOut, Never], Some(Fate::Refused)),
            (&[Nothing, Never], Some(Fate::Refused)),
            (&[NotThisTime], Some(Fate::Refused)),
            (&[NotThisTime, Done], Some(Fate::Done)),
            // One may have arrived, or arrive later.
            (&[Nothing, NotThisTime], Some(Fate::Unknown)),
            (&[NotThisTime, Nothing], Some(Fate::Unknown)),
            (&[Done, Never], None),
            (&[Never, Done], None),
            (&[Done, NotThisTime], None),
        ] {
            assert_eq!(fate(words), expected, "{words:?}");
        }
    }
}
