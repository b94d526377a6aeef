//! A submitted call's claim on its reply, which any process can wait on.

use super::{
    answered::read_reply,
    caller::BusClosed,
    cancel::{CancelOutcome, CancelTarget},
    request::{CallInfo, CallRequest},
};
use crate::{
    bus::Bus,
    call_id::CallId,
    contract::{Outcome, unix_time},
    delayed::TicketPart,
    error::{CallError, FailureKind},
    job::{ProgressUpdates, TicketStatus, Watch},
    limits::{DELAY_MAX, JOB_TIMEOUT_MAX, REPLY_TTL, SEND_TTL, WAIT_MAX},
    reply::StoreError,
    wire::ReplyFrame,
};
use serde::{Deserialize, Serialize};
use std::{fmt, marker::PhantomData, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// The pause before the second look for a reply, and the longest one.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(2);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(250);

/// A submitted call, and the right to its reply. Serialise it, store it, hand it on: whoever holds
/// it and a bus to the same store can wait for the reply, as often as wanted, until the reply
/// expires ([`REPLY_TTL`] after the handler finished).
///
/// ```
/// use replybus::{Bus, Never, Ticket, queue_handler};
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
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// # let serving = bus.serve(ReportsServer::new(Archive)).await?;
/// let ticket = ReportsClient::new(&bus).yearly(2025).submit().await?;
/// let stored = serde_json::to_string(&ticket)?; // in a database, a session, a link
///
/// // In another process, which need not know the queue:
/// let ticket: Ticket<Result<String, Never>> = serde_json::from_str(&stored)?;
/// assert_eq!(ticket.wait(&bus).await?, "2025");
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Ticket<R> {
    service: String,
    method: String,
    /// Without the namespace. Empty in a ticket that was made before they named it, which can't
    /// cancel anything.
    #[serde(default)]
    queue: String,
    call_id: CallId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    /// The store has a record of whether it was started.
    #[serde(default)]
    recorded: bool,
    /// Its handler may put it off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    put_off: bool,
    /// Milliseconds since the Unix epoch, by the submitter's clock.
    expires_at: u64,
    /// It was to be started later: it is listed until then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    delayed: bool,
    /// More than one copy of the request may have reached the broker.
    #[serde(default)]
    repeated: bool,
    #[serde(skip)]
    outcome: PhantomData<fn() -> R>,
}

impl<R: Outcome> Ticket<R> {
    pub(super) fn of(request: &CallRequest, queue: &str) -> Self {
        let names = (request.contract.name, request.method.name, queue);
        let key = request.idempotency_key.as_deref();
        let ticket = Self::of_delayed(names, request.id(), key, Self::part(request));
        let delayed = request.due.is_some();
        Self { delayed, ..ticket }
    }

    /// What a ticket says beside names and key.
    pub(super) fn part(request: &CallRequest) -> TicketPart {
        // It may start as late as its time to live allows, which begins when it is due, run as long
        // as a call may, and its reply is kept from then on.
        let life = request.ttl + request.method.longest() + REPLY_TTL;
        let due = request.due.as_ref().map_or_else(unix_time, |due| due.named);
        let expires_at = due + life;
        TicketPart {
            expires_at: u64::try_from(expires_at.as_millis()).unwrap_or(u64::MAX),
            recorded: request.method.is_claimed(),
            put_off: request.method.retry.is_some(),
        }
    }

    /// The ticket of a call of these names: service, method and queue.
    pub(crate) fn of_delayed(
        (service, method, queue): (&str, &str, &str),
        call_id: CallId,
        idempotency_key: Option<&str>,
        part: TicketPart,
    ) -> Self {
        Self {
            service: service.to_owned(),
            method: method.to_owned(),
            queue: queue.to_owned(),
            idempotency_key: idempotency_key.map(str::to_owned),
            recorded: part.recorded,
            put_off: part.put_off,
            call_id,
            expires_at: part.expires_at,
            delayed: true,
            repeated: false,
            outcome: PhantomData,
        }
    }

    /// The same, of a call that was handed over in more than one copy, or not.
    pub(super) fn repeated(self, repeated: bool) -> Self {
        Self { repeated, ..self }
    }

    /// The call's id.
    #[must_use]
    pub fn call_id(&self) -> CallId {
        self.call_id
    }

    /// Waits for the reply until it could have expired.
    ///
    /// # Errors
    /// The handler's own error; that there is no reply; that the store can't be reached for that
    /// long; or that the bus was closed.
    ///
    /// # Cancel safety
    /// Safe; it can be called again.
    pub async fn wait(&self, bus: &Bus) -> Result<R::Ok, CallError<R::Err>> {
        let left = Duration::from_millis(self.expires_at).saturating_sub(unix_time());
        self.wait_for(bus, left).await
    }

    /// Waits for the reply for at most `wait`. The pauses between looks grow with the wait: a
    /// reply is seen at most an eighth later than it could have been, and never by more than
    /// 250 ms.
    ///
    /// ```
    /// use replybus::{Bus, Never, Ticket};
    /// use std::time::Duration;
    ///
    /// # async fn poll(bus: &Bus, ticket: &Ticket<Result<String, Never>>) {
    /// // For a page that asks again:
    /// match ticket.wait_for(bus, Duration::from_secs(1)).await {
    ///     Ok(report) => println!("{report}"),
    ///     Err(error) if error.is_timeout() => println!("not yet"),
    ///     Err(error) => println!("{error}"),
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and that the time is up; the reply can still come.
    ///
    /// # Cancel safety
    /// Safe; it can be called again.
    pub async fn wait_for(&self, bus: &Bus, wait: Duration) -> Result<R::Ok, CallError<R::Err>> {
        let info = self.info(wait.min(WAIT_MAX));
        let bus = bus.inner();
        let looking = async {
            loop {
                // A store that can't be reached for a while does not end a wait.
                match bus.replies.fetch(self.call_id).await {
                    Ok(Some(frame)) => break frame,
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, call_id = %self.call_id, "looking again"),
                }
                let pause = (info.started.elapsed() / 8).clamp(LOOK_AGAIN_MIN, LOOK_AGAIN_MAX);
                sleep(pause).await;
            }
        };
        let frame = tokio::select! {
            biased;
            looked = timeout_at(info.started + info.timeout, looking) => {
                looked.map_err(|_| info.failure(FailureKind::TimedOut))?
            }
            () = bus.closed.cancelled() => {
                let failure = info.failure(FailureKind::Disconnected);
                return Err(failure.with_cause(BusClosed).into());
            }
        };
        let (queue, method) = (self.queue.as_str(), self.method.as_str());
        let frame = bus
            .signatures
            .believed_of(queue, method, self.call_id, None, &frame)
            .map_err(|refusal| info.failure(FailureKind::BadReply).with_cause(refusal))?;
        let reply = ReplyFrame::decode(&frame)
            .map_err(|error| info.failure(FailureKind::BadReply).with_cause(error))?;
        read_reply::<R>(reply, &info, self.repeated)
    }

    /// Cancels the call, and tells what that came to: a command that was not started never will
    /// be, however long its message waits.
    ///
    /// ```
    /// use replybus::{Bus, CancelOutcome, Never, queue_handler};
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
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # bus.serve(ReportsServer::new(Archive)).await?.shutdown().await?;
    /// // Nobody serves it at the moment.
    /// let ticket = ReportsClient::new(&bus).yearly(2025).submit().await?;
    /// assert!(matches!(ticket.cancel(&bus).await?, CancelOutcome::NeverStarted));
    /// # let serving = bus.serve(ReportsServer::new(Archive)).await?;
    /// # assert!(ticket.wait(&bus).await.is_err());
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store can't be reached: it may or may not have been cancelled. Or the ticket does not
    /// name its queue, as those of the first programs did not: it has not.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may or may not have cancelled the call.
    pub async fn cancel(&self, bus: &Bus) -> Result<CancelOutcome<R>, StoreError> {
        if self.queue.is_empty() {
            let reason = "the ticket does not name its queue: an earlier release made it";
            return Err(StoreError::new("cancel a command", reason));
        }
        self.target().cancel(bus).await
    }

    /// The state of the call now: whether it waits, runs or is done, and how far it is if it is a
    /// [job](crate::contract::MethodContract::job) that says so.
    ///
    /// ```
    /// use replybus::{Bus, Context, Never, TicketStatus, queue_handler};
    ///
    /// #[queue_handler("report.requests")]
    /// pub trait Reports {
    ///     #[command(job = "1h")]
    ///     async fn yearly(&self, year: u16) -> Result<String, Never>;
    /// }
    /// # struct Archive;
    /// # impl Reports for Archive {
    /// #     async fn yearly(&self, year: u16) -> Result<String, Never> {
    /// #         Context::current().progress(2, 12, "February");
    /// #         tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    /// #         Ok(year.to_string())
    /// #     }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(ReportsServer::new(Archive)).await?;
    /// let ticket = ReportsClient::new(&bus).yearly(2025).submit().await?;
    /// # ticket.progress(&bus).next().await;
    /// match ticket.status(&bus).await? {
    ///     TicketStatus::Waiting => println!("not started"),
    ///     TicketStatus::Running { attempt, progress, .. } => {
    ///         let progress = progress.map_or(String::new(), |progress| progress.to_string());
    ///         println!("run {attempt}: {progress}"); // run 1: 2 of 12, February
    /// #       assert_eq!(progress, "2 of 12, February");
    ///     }
    ///     _ => println!("done"),
    /// }
    /// # assert_eq!(ticket.wait(&bus).await?, "2025");
    /// # assert_eq!(ticket.status(&bus).await?, TicketStatus::Done);
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The store can't be reached.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn status(&self, bus: &Bus) -> Result<TicketStatus, StoreError> {
        self.watch(bus).status().await
    }

    /// What a [job](crate::contract::MethodContract::job) says of how far it is, from now on until it
    /// is done.
    ///
    /// ```
    /// use replybus::{Bus, CallError, Never, Ticket};
    ///
    /// # async fn follow(
    /// #     bus: &Bus,
    /// #     ticket: &Ticket<Result<String, Never>>,
    /// # ) -> Result<String, CallError<Never>> {
    /// let mut updates = ticket.progress(bus);
    /// while let Some(progress) = updates.next().await {
    ///     println!("{progress}");
    /// }
    /// ticket.wait(bus).await
    /// # }
    /// ```
    pub fn progress(&self, bus: &Bus) -> ProgressUpdates {
        ProgressUpdates::of(self.watch(bus))
    }

    fn watch(&self, bus: &Bus) -> Watch {
        let mut target = self.target();
        // Such a ticket is of an earlier release, and names no record.
        target.is_recorded &= !self.queue.is_empty();
        target.watch(bus)
    }

    /// What it takes to cancel the call, or to look at it.
    fn target(&self) -> CancelTarget {
        let left = Duration::from_millis(self.expires_at).saturating_sub(unix_time());
        CancelTarget {
            info: self.info(Duration::ZERO),
            queue: self.queue.as_str().into(),
            idempotency_key: self.idempotency_key.clone(),
            is_recorded: self.recorded,
            may_be_put_off: self.put_off,
            is_delayed: self.delayed,
            awaited_until: None,
            startable_for: left.min(DELAY_MAX + SEND_TTL + JOB_TIMEOUT_MAX),
        }
    }

    fn info(&self, timeout: Duration) -> CallInfo {
        CallInfo {
            service: self.service.clone().into(),
            method: self.method.clone().into(),
            id: self.call_id,
            started: Instant::now(),
            timeout,
        }
    }
}

impl<R> Clone for Ticket<R> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            method: self.method.clone(),
            queue: self.queue.clone(),
            idempotency_key: self.idempotency_key.clone(),
            recorded: self.recorded,
            put_off: self.put_off,
            call_id: self.call_id,
            expires_at: self.expires_at,
            delayed: self.delayed,
            repeated: self.repeated,
            outcome: PhantomData,
        }
    }
}

impl<R> fmt::Debug for Ticket<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("service", &self.service)
            .field("method", &self.method)
            .field("call_id", &self.call_id)
            .finish_non_exhaustive()
    }
}
