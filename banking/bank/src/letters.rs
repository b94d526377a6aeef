//! What a service of the bank gave up: looked at, put back, thrown away.

#![allow(clippy::print_stdout, reason = "the command speaks to who runs it")]

use anyhow::Context as _;
use chassis::{Platform, settings::PlatformSettings};
use clap::{Args, ValueEnum};
use contracts::program::queue;
use replybus::dead_letters::{DeadLetter, DeadLetterQueue, NotRedriven};

/// Letters that are shown.
const SHOWN: u64 = 100;

/// Which letters, and what is to become of them.
#[derive(Debug, Clone, Args)]
pub struct LettersSettings {
    /// The queue they come from, such as notifications or account.requests, without namespace
    queue: String,

    /// What is to become of them
    #[arg(value_enum, default_value_t = Fate::List)]
    fate: Fate,

    /// Only those with this reason, such as panicked
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,

    /// Put back also what may have been done so long ago that nothing remembers it, except the
    /// database of the service
    #[arg(long)]
    twice: bool,

    #[command(flatten)]
    platform: PlatformSettings,
}

/// What becomes of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fate {
    /// They stay, and the oldest hundred are shown.
    List,
    /// They are handled once more.
    PutBack,
    /// They are lost.
    ThrowAway,
}

/// Deals with letters and prints what became of them.
///
/// # Errors
/// RabbitMQ is not set or can't be reached, or there is no such queue, or it takes none back.
///
/// # Cancel safety
/// Dropped before it is ready, it has dealt with some of them.
pub async fn run(settings: LettersSettings) -> anyhow::Result<()> {
    let mut platform = settings.platform;
    let is_set = platform.amqp_url.is_some();
    anyhow::ensure!(is_set, "RABBITMQ_URL must say where the letters are");
    // It asks no service, and nobody asks it.
    platform.redis_url = None;
    let is_signed = queue(&settings.queue).is_some_and(|of| of.is_signed);
    anyhow::ensure!(
        settings.fate != Fate::PutBack || !is_signed || platform.keys_dir.is_some(),
        "requests of {} are believed if one of the bank's programs signed them, and what is put back \
         is signed anew: --keys-dir (KEYS_DIR) must be that of {0}'s own service, or of one that may \
         ask it",
        settings.queue
    );
    let platform = Platform::connect("bank", platform).await?;
    let letters = platform.bus.dead_letters(&settings.queue);
    let reason = settings.reason;
    let is_wanted = move |letter: &DeadLetter| {
        let is_reason = |reason: &String| letter.reason() == reason;
        reason.as_ref().is_none_or(is_reason)
    };
    let done = match settings.fate {
        Fate::List => list(&letters, is_wanted).await,
        Fate::PutBack => put_back(&letters, is_wanted, settings.twice).await,
        Fate::ThrowAway => throw_away(&letters, is_wanted).await,
    };
    done.with_context(|| format!("letters of {}", settings.queue))
}

async fn list(
    letters: &DeadLetterQueue,
    is_wanted: impl Fn(&DeadLetter) -> bool,
) -> anyhow::Result<()> {
    let page = letters.list(0..SHOWN).await?;
    println!("{} letters, the oldest {}:", page.total, page.letters.len());
    for letter in page.letters.iter().filter(|letter| is_wanted(letter)) {
        println!("{}", line(letter));
    }
    Ok(())
}

/// A letter in a line: names, and nothing that belongs to a customer.
fn line(letter: &DeadLetter) -> String {
    let (id, caller) = (letter.id().unwrap_or("-"), letter.caller().unwrap_or("-"));
    let age = letter.died_at().and_then(|died| died.elapsed().ok());
    let age = age.map_or_else(|| "?".to_owned(), |age| format!("{} s ago", age.as_secs()));
    let (name, reason, error) = (letter.name(), letter.reason(), letter.error());
    match letter.malformed() {
        Some(why) => format!("{id} {age}: can't be read: {why}"),
        None => format!("{id} {age}: {name} of {caller}: {reason}: {error}"),
    }
}

async fn put_back(
    letters: &DeadLetterQueue,
    is_wanted: impl Fn(&DeadLetter) -> bool + Send + 'static,
    twice: bool,
) -> anyhow::Result<()> {
    let mut redrive = letters.redrive(is_wanted);
    if twice {
        redrive = redrive.may_run_twice();
    }
    let outcome = redrive.await?;
    println!(
        "{} were put back, {} stay",
        outcome.redriven, outcome.stayed
    );
    if let Some(why) = outcome.why_stayed {
        let hint = match why {
            NotRedriven::Forgotten => "; --twice puts it back all the same",
            _ => "",
        };
        println!("the first of them: {why}{hint}");
    }
    Ok(())
}

async fn throw_away(
    letters: &DeadLetterQueue,
    is_wanted: impl Fn(&DeadLetter) -> bool + Send + 'static,
) -> anyhow::Result<()> {
    println!("{} were thrown away", letters.purge(is_wanted).await?);
    Ok(())
}
