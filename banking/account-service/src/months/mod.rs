//! Statements of months: made in the background by a job, span by span, however many entries there
//! are.
//!
//! In reading order: a [`Months`] is the door, by which users ask; `record` is what is known of one
//! statement, and `table` where it is kept; `job` makes it, `sums` is what it adds up, and `sweep`
//! throws old ones away.
//!
//! A statement is a row, and the row is the truth: who asked, which month, and how far it is. The
//! job's message only says which row, and is believed if this service signed it. Its ticket stays
//! here, for what it is good for is the row's user alone.

mod job;
mod record;
mod sums;
mod sweep;
mod table;

pub(crate) use job::{Maker, MonthJobsServer};
pub(crate) use sweep::Sweep;
pub(crate) use table::MonthTable;

use crate::books::{Books, Entries};
use contracts::{
    Refused, UserId,
    account::{AccountError, StatementFilter},
    month_statement::{MonthOrder, MonthState, MonthStatement},
};
use jiff::Timestamp;
use job::{MonthJobsClient, Unmade};
use record::{Record, State};
use replybus::{Bus, Context, Ticket, TicketStatus};
use std::{error::Error, time::Duration};
use tokio::time::timeout;
use uuid::Uuid;

/// The broker has a job within this, or its user is told to ask again.
const SUBMITTED_WITHIN: Duration = Duration::from_secs(3);
/// A job may wait so long for somebody to begin it.
const BEGUN_WITHIN: Duration = Duration::from_secs(60 * 60);

/// The ticket of a job.
type JobTicket = Ticket<Result<(), Unmade>>;

/// The statements of months, as their users ask for them.
#[derive(Debug)]
pub(crate) struct Months {
    table: MonthTable,
    books: Books,
    jobs: MonthJobsClient,
    bus: Bus,
}

impl Months {
    pub(crate) fn new(table: MonthTable, books: Books, bus: &Bus) -> Self {
        Self {
            table,
            books,
            jobs: MonthJobsClient::new(bus),
            bus: bus.clone(),
        }
    }

    /// Has a statement made, or finds the one of this key.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may be begun or not.
    pub(crate) async fn begin(
        &self,
        user: UserId,
        order: &MonthOrder,
    ) -> Result<MonthStatement, AccountError> {
        let bounds = order.month.bounds(&order.time_zone);
        let (begins, ends) = bounds.ok_or(Refused::Unavailable)?;
        if begins > Timestamp::now() {
            return Err(AccountError::MonthAhead);
        }
        let record = match self.table.find(user, &order.key).await? {
            Some(known) => known,
            None => self.table.begin(user, order, (begins, ends)).await?,
        };
        if !record.is_for(order) {
            return Err(AccountError::KeyConflict);
        }
        self.look_at(record).await
    }

    /// Those of a user, newest first.
    pub(crate) async fn all(&self, user: UserId) -> Result<Vec<MonthStatement>, AccountError> {
        let mut all = Vec::new();
        for record in self.table.all(user).await? {
            all.push(self.look_at(record).await?);
        }
        Ok(all)
    }

    /// One of a user. Of anybody else's it says that there is none.
    pub(crate) async fn one(&self, user: UserId, id: Uuid) -> Result<MonthStatement, AccountError> {
        let record = self.table.of_user(user, id).await?;
        self.look_at(record).await
    }

    /// Gives one of a user up.
    pub(crate) async fn cancel(
        &self,
        user: UserId,
        id: Uuid,
    ) -> Result<MonthStatement, AccountError> {
        let record = self.table.of_user(user, id).await?;
        if record.state == State::Open {
            self.table.settle(id, State::Cancelled).await?;
            // Whoever makes it learns of it from the row as well, only later.
            if let Some(ticket) = ticket_of(&record)
                && let Err(error) = ticket.cancel(&self.bus).await
            {
                tracing::debug!(statement = %id, %error, "a job was not told to stop");
            }
        }
        let record = self.table.of_user(user, id).await?;
        Ok(record.shown(record.own_state(), record.sums.looked_at))
    }

    /// The entries of one of a user that is made.
    pub(crate) async fn entries(&self, user: UserId, id: Uuid) -> Result<Entries, AccountError> {
        let record = self.table.of_user(user, id).await?;
        if record.state != State::Made {
            return Err(AccountError::NotMade);
        }
        let filter = StatementFilter {
            from: Some(record.begins_at),
            to: Some(record.ends_at),
            up_to: Some(record.sums.last),
            ..StatementFilter::default()
        };
        let entries = self.books.entries(user, filter).await?;
        Ok(entries.down_to(record.sums.first))
    }

    /// How far it is, by its row and by what its job says. One whose job the broker does not have
    /// yet is handed to it.
    async fn look_at(&self, record: Record) -> Result<MonthStatement, AccountError> {
        let looked_at = record.sums.looked_at;
        if record.state != State::Open {
            return Ok(record.shown(record.own_state(), looked_at));
        }
        let Some(ticket) = ticket_of(&record) else {
            self.submit(record.id).await?;
            return Ok(record.shown(record.own_state(), looked_at));
        };
        match ticket.status(&self.bus).await {
            Ok(TicketStatus::Running { progress, .. }) => {
                let done = progress.and_then(|progress| i64::try_from(progress.done).ok());
                let done = done.unwrap_or_default().max(looked_at);
                Ok(record.shown(MonthState::Running, done))
            }
            // It has ended, and so has the row, unless it was given up.
            Ok(TicketStatus::Done) => self.give_up(record).await,
            Ok(_) if record.is_forgotten() => self.give_up(record).await,
            Ok(_) => Ok(record.shown(record.own_state(), looked_at)),
            Err(error) => {
                tracing::debug!(statement = %record.id, %error, "a job says nothing");
                Ok(record.shown(record.own_state(), looked_at))
            }
        }
    }

    /// A row whose job is over is as it left it; if that is open, nobody will go on with it.
    async fn give_up(&self, record: Record) -> Result<MonthStatement, AccountError> {
        if self.table.settle(record.id, State::Failed).await? {
            tracing::error!(statement = %record.id, "a statement was given up");
        }
        let record = self.table.one(record.id).await?;
        let record = record.ok_or_else(no_statement)?;
        Ok(record.shown(record.own_state(), record.sums.looked_at))
    }

    /// Hands the job of a row to the broker, once: its key is the row's id. Nothing of who asked
    /// travels with it.
    async fn submit(&self, id: Uuid) -> Result<(), AccountError> {
        let job = self.jobs.make(id).idempotency_key(id.to_string());
        let submitting = async { job.timeout(BEGUN_WITHIN).submit().await };
        let alone = Context::builder().build().scope(submitting);
        let ticket = match timeout(SUBMITTED_WITHIN, alone).await {
            Ok(Ok(ticket)) => ticket,
            Ok(Err(failure)) => return Err(unavailable(&failure)),
            Err(late) => return Err(unavailable(&late)),
        };
        self.table.keep_ticket(id, &ticket).await
    }
}

fn ticket_of(record: &Record) -> Option<JobTicket> {
    serde_json::from_str(record.ticket.as_deref()?).ok()
}

fn no_statement() -> AccountError {
    AccountError::NotFound("Statement".to_owned())
}

fn unavailable(error: &(dyn Error + 'static)) -> AccountError {
    tracing::warn!(error, "a statement waits for its job");
    Refused::Unavailable.into()
}
