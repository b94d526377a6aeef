//! The verbs of a call that is to be made later.

use super::{Call, CallRequest, ServiceClient, Ticket};
use crate::{
    call_id::CallId,
    contract::{Never, Outcome},
    delayed::{Delayed, DelayedKind},
    error::CallFailure,
    schedule::When,
};
use std::time::{Duration, SystemTime};

impl<R: Outcome> Call<R> {
    /// [Sends](Self::send) the call so that it reaches the service after `delay`, counted from when
    /// this is first polled, up to [`DELAY_MAX`](crate::limits::DELAY_MAX).
    ///
    /// Returns when the broker has it. It is kept there, so this process may end. It never starts
    /// early, and when nothing is wrong it is there within a second. The
    /// [time it may wait](Self#time) in the service's queue counts from when it is due.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    /// use std::time::Duration;
    ///
    /// #[queue_handler("mail.requests")]
    /// pub trait Mail {
    ///     async fn remind(&self, address: String) -> Result<(), Never>;
    /// }
    /// # struct Postman(tokio::sync::mpsc::UnboundedSender<()>);
    /// # impl Mail for Postman {
    /// #     async fn remind(&self, _: String) -> Result<(), Never> {
    /// #         Ok(self.0.send(()).unwrap())
    /// #     }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let (reminded, mut reminders) = tokio::sync::mpsc::unbounded_channel();
    /// # let serving = bus.serve(MailServer::new(Postman(reminded))).await?;
    /// let mail = MailClient::new(&bus);
    /// let week = Duration::from_secs(7 * 24 * 60 * 60);
    /// mail.remind("ada@example.org".into()).send_after(week).await?;
    /// # reminders.recv().await;
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send); the delay is too long; or the transport can't delay, or this user
    /// may not.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the call may or may not have been sent.
    pub async fn send_after(self, delay: Duration) -> Result<CallId, CallFailure> {
        self.send_when(When::After(delay)).await
    }

    /// As [`send_after`](Self::send_after), at a moment by this machine's clock. One that has
    /// passed is now.
    ///
    /// ```
    /// # use replybus::{CallFailure, Never, queue_handler};
    /// use std::time::{Duration, SystemTime};
    /// # #[queue_handler("mail.requests")]
    /// # pub trait Mail {
    /// #     async fn remind(&self, address: String) -> Result<(), Never>;
    /// # }
    /// # async fn remind(mail: &MailClient) -> Result<(), CallFailure> {
    /// let noon: SystemTime = SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_488_000);
    /// mail.remind("ada@example.org".into()).send_at(noon).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send_after`](Self::send_after).
    ///
    /// # Cancel safety
    /// As [`send_after`](Self::send_after).
    pub async fn send_at(self, at: impl Into<SystemTime> + Send) -> Result<CallId, CallFailure> {
        self.send_when(When::At(at.into())).await
    }

    /// [Submits](Self::submit) the call so that it reaches the service after `delay`, as
    /// [`send_after`](Self::send_after) does. The ticket is good from now on, until the reply could
    /// have expired.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    /// use std::time::Duration;
    ///
    /// #[queue_handler("report.requests")]
    /// pub trait Reports {
    ///     async fn yearly(&self, year: u16) -> Result<String, Never>;
    /// }
    /// # struct Archive;
    /// # impl Reports for Archive {
    /// #     async fn yearly(&self, year: u16) -> Result<String, Never> { Ok(year.to_string()) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(ReportsServer::new(Archive)).await?;
    /// let tonight = Duration::from_secs(9 * 60 * 60);
    /// let ticket = ReportsClient::new(&bus).yearly(2025).submit_after(tonight).await?;
    /// assert_eq!(ticket.wait(&bus).await?, "2025"); // nine hours later
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send_after`](Self::send_after).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the call may or may not have been submitted.
    pub async fn submit_after(self, delay: Duration) -> Result<Ticket<R>, CallFailure> {
        self.submit_when(When::After(delay)).await
    }

    /// As [`submit_after`](Self::submit_after), at a moment by this machine's clock. One that has
    /// passed is now.
    ///
    /// ```
    /// # use replybus::{CallFailure, Never, Ticket, queue_handler};
    /// use std::time::{Duration, SystemTime};
    /// # #[queue_handler("report.requests")]
    /// # pub trait Reports {
    /// #     async fn yearly(&self, year: u16) -> Result<String, Never>;
    /// # }
    /// # async fn order(
    /// #     reports: &ReportsClient,
    /// # ) -> Result<Ticket<Result<String, Never>>, CallFailure> {
    /// let noon: SystemTime = SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_488_000);
    /// let ticket = reports.yearly(2099).submit_at(noon).await?;
    /// # Ok(ticket)
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send_after`](Self::send_after).
    ///
    /// # Cancel safety
    /// As [`submit_after`](Self::submit_after).
    pub async fn submit_at(
        self,
        at: impl Into<SystemTime> + Send,
    ) -> Result<Ticket<R>, CallFailure> {
        self.submit_when(When::At(at.into())).await
    }
}

/// Has what the broker will bring later listed until then.
pub(super) fn note_delayed(client: &ServiceClient, request: &CallRequest) {
    let Some(due) = &request.due else {
        return;
    };
    client.bus().inner().delayed.note(&Delayed {
        id: request.id(),
        kind: DelayedKind::Call,
        place: client.queue_name(),
        service: request.contract.name,
        name: request.method.name,
        due: due.named,
        keyed: request.idempotency_key.is_some(),
        ticket: Some(Ticket::<Result<(), Never>>::part(request)),
    });
}
