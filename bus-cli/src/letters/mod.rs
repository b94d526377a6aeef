//! Dead letters: looked at, put back, thrown away.

mod deal;
mod filter;
mod show;

use crate::{bus::with_broker, failure::Failure, output::Output, settings::ServerArgs};
use clap::{Args, Subcommand};
use filter::{Filter, Picked};
use replybus::dead_letters::{DeadLetter, DeadLetterError, DeadLetterQueue};
use std::ops::ControlFlow;

/// List dead letters, put them back, or throw them away
///
/// What services and groups could not handle, with the reason.
#[derive(Debug, Args)]
pub(crate) struct LettersArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List letters, oldest first
    List {
        #[command(flatten)]
        of: Of,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u64,
    },
    /// Show one letter, with its body and the errors of its runs
    Show {
        /// The queue of the service, or the group
        queue: String,
        /// The id of the call or event
        id: String,
    },
    /// Put letters back, to be handled once more
    #[command(after_help = "Example:\n  \
        replybus dlq redrive account.requests --reason panicked --newer-than 1h --dry-run")]
    Redrive {
        #[command(flatten)]
        of: Of,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
        limit: u64,
        /// Only say what would be put back
        #[arg(long)]
        dry_run: bool,
        /// Put back also what may have been done so long ago that nothing remembers it
        #[arg(long)]
        twice: bool,
    },
    /// Throw letters away
    Purge {
        #[command(flatten)]
        of: Of,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
        limit: u64,
        /// Only say what would be thrown away
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which letters.
#[derive(Debug, Args)]
struct Of {
    /// The queue of the service, or the group
    queue: String,

    #[command(flatten)]
    filter: Filter,
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: LettersArgs,
    output: &Output,
) -> Result<(), Failure> {
    with_broker(servers, async |bus| match args.what {
        What::List { of, limit } => {
            let letters = bus.dead_letters(&of.queue);
            let found = pick(&letters, &of.filter.picked(), limit).await;
            show::list(&named(&of.queue, found)?, output)
        }
        What::Show { queue, id } => {
            let letters = bus.dead_letters(&queue);
            let found = pick(&letters, &Picked::of_id(&id), u64::MAX).await;
            let found = named(&queue, found)?;
            if found.letters.is_empty() {
                return Err(Failure::Said(format!(
                    "{queue}: none of its {} letters has the id {id}",
                    found.total
                )));
            }
            show::whole(&found.letters, output)
        }
        What::Redrive {
            of,
            limit,
            dry_run,
            twice,
        } => {
            let letters = bus.dead_letters(&of.queue);
            let picked = of.filter.picked();
            let done = if dry_run {
                deal::rehearse(&letters, &picked, limit, "put back", output).await
            } else {
                deal::redrive(&letters, picked, limit, twice, output).await
            };
            named(&of.queue, done)?
        }
        What::Purge {
            of,
            limit,
            dry_run,
            yes,
        } => {
            let letters = bus.dead_letters(&of.queue);
            let picked = of.filter.picked();
            let done = if dry_run {
                deal::rehearse(&letters, &picked, limit, "thrown away", output).await
            } else {
                deal::purge(&letters, picked, limit, yes, output).await
            };
            named(&of.queue, done)?
        }
    })
    .await
}

/// Letters that were picked, and how many there are.
struct Found {
    letters: Vec<DeadLetter>,
    total: u64,
}

/// Looks through the letters, until there are enough.
async fn pick(
    letters: &DeadLetterQueue,
    picked: &Picked,
    limit: u64,
) -> Result<Found, DeadLetterError> {
    let mut found = Vec::new();
    let (_, total) = look(letters, picked, limit, |letter| found.push(letter)).await?;
    Ok(Found {
        letters: found,
        total,
    })
}

/// Takes the letters that are picked one by one, until there are enough. Returns how many there were,
/// and of how many.
async fn look(
    letters: &DeadLetterQueue,
    picked: &Picked,
    limit: u64,
    mut take: impl FnMut(DeadLetter) + Send,
) -> Result<(u64, u64), DeadLetterError> {
    let mut taken = 0;
    let look = |letter| {
        if taken < limit && picked.is(&letter) {
            take(letter);
            taken += 1;
        }
        match taken < limit {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    };
    let total = letters.look(look).await?;
    Ok((taken, total))
}

fn named<T>(queue: &str, done: Result<T, DeadLetterError>) -> Result<T, Failure> {
    done.map_err(|error| Failure::because(&format!("letters of {queue}"), error))
}
