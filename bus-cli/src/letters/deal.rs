//! What becomes of letters.

use super::{filter::Picked, look, pick, show};
use crate::{
    failure::Failure,
    output::{Output, shown},
};
use indicatif::{ProgressBar, ProgressStyle};
use replybus::dead_letters::{DeadLetterError, DeadLetterQueue, NotRedriven, Progress};
use serde_json::json;

/// What a step came to, in the words of its queue and of its user.
type Dealt = Result<Result<(), Failure>, DeadLetterError>;

/// Says what would be done, and does nothing.
pub(super) async fn rehearse(
    letters: &DeadLetterQueue,
    picked: &Picked,
    limit: u64,
    what: &str,
    output: &Output,
) -> Dealt {
    let found = pick(letters, picked, limit).await?;
    let count = found.letters.len();
    let done = show::list(&found, output).and_then(|()| match output.json {
        true => Ok(()),
        false => output.line(&format!("{count} would be {what}")),
    });
    Ok(done)
}

pub(super) async fn redrive(
    letters: &DeadLetterQueue,
    picked: Picked,
    limit: u64,
    twice: bool,
    output: &Output,
) -> Dealt {
    let bar = Bar::new();
    let told = bar.clone();
    let mut redrive = letters
        .redrive(move |letter| picked.is(letter))
        .at_most(limit);
    redrive = redrive.on_progress(move |progress| told.tell(&progress));
    if twice {
        redrive = redrive.may_run_twice();
    }
    let outcome = redrive.await;
    bar.end();
    let outcome = outcome?;
    let why = outcome
        .why_stayed
        .as_ref()
        .map(|why| shown(&why.to_string()));
    if output.json {
        let done = json!({
            "redriven": outcome.redriven,
            "stayed": outcome.stayed,
            "why_stayed": why,
        });
        return Ok(output.json(&done).and_then(|()| complete(outcome.stayed)));
    }
    let mut text = format!(
        "{} were put back, {} stay",
        outcome.redriven, outcome.stayed
    );
    if let Some(why) = why {
        text = format!("{text}; the first of them: {why}");
        if matches!(outcome.why_stayed, Some(NotRedriven::Forgotten)) {
            text += "; --twice puts it back all the same";
        }
    }
    Ok(output.line(&text).and_then(|()| complete(outcome.stayed)))
}

fn complete(stayed: u64) -> Result<(), Failure> {
    if stayed == 0 {
        Ok(())
    } else {
        Err(Failure::Found)
    }
}

pub(super) async fn purge(
    letters: &DeadLetterQueue,
    picked: Picked,
    mut limit: u64,
    yes: bool,
    output: &Output,
) -> Dealt {
    if !yes {
        // Those that come while the question waits for its answer are behind them, and not meant. They
        // are counted and not held: they may be as many and as large as a queue holds.
        (limit, _) = look(letters, &picked, limit, drop).await?;
        if let Err(refused) = ask(limit).await {
            return Ok(Err(refused));
        }
    }
    let bar = Bar::new();
    let told = bar.clone();
    let purge = letters
        .purge(move |letter| picked.is(letter))
        .at_most(limit);
    let purged = purge
        .on_progress(move |progress| told.tell(&progress))
        .await;
    bar.end();
    let purged = purged?;
    Ok(match output.json {
        true => output.json(&json!({ "purged": purged })),
        false => output.line(&format!("{purged} were thrown away")),
    })
}

/// Whether so many are meant, of who sits at the terminal.
async fn ask(count: u64) -> Result<(), Failure> {
    crate::output::confirm(&format!("throw {count} letters away? they are lost then")).await
}

/// How far it is, on a terminal only.
#[derive(Clone)]
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        // Hidden where stderr is no terminal.
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} letters, {eta} left")
        {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn tell(&self, progress: &Progress<'_>) {
        self.0.set_length(progress.total);
        self.0.set_position(progress.seen);
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}
