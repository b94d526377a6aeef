//! Which letters are meant.

use crate::output::parse_duration;
use clap::Args;
use replybus::dead_letters::DeadLetter;
use std::time::{Duration, SystemTime};

/// All of these at once; without any, all letters.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which letters")]
pub(super) struct Filter {
    /// Only those with this reason, such as panicked or handler
    #[arg(long)]
    reason: Option<String>,

    /// Only those of this method, or event
    #[arg(long, value_name = "NAME")]
    method: Option<String>,

    /// Only the one with this id
    #[arg(long)]
    id: Option<String>,

    /// Only those that became letters longer ago
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Option<Duration>,

    /// Only those that became letters since
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    newer_than: Option<Duration>,
}

/// The same, at this moment.
#[derive(Debug, Clone)]
pub(super) struct Picked {
    filter: Filter,
    now: SystemTime,
}

impl Filter {
    pub(super) fn picked(&self) -> Picked {
        Picked {
            filter: self.clone(),
            now: SystemTime::now(),
        }
    }
}

impl Picked {
    pub(super) fn of_id(id: &str) -> Self {
        let id = Some(id.to_owned());
        Filter {
            id,
            ..Filter::default()
        }
        .picked()
    }

    /// A letter that does not say when it became one is neither old nor new.
    pub(super) fn is(&self, letter: &DeadLetter) -> bool {
        let Filter {
            reason,
            method,
            id,
            older_than,
            newer_than,
        } = &self.filter;
        let age = letter
            .died_at()
            .map(|at| self.now.duration_since(at).unwrap_or_default());
        reason
            .as_deref()
            .is_none_or(|reason| letter.reason() == reason)
            && method
                .as_deref()
                .is_none_or(|method| letter.name() == method)
            && id.as_deref().is_none_or(|id| letter.id() == Some(id))
            && older_than.is_none_or(|least| age.is_some_and(|age| age > least))
            && newer_than.is_none_or(|most| age.is_some_and(|age| age <= most))
    }
}
