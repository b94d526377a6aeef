//! One call, as its caller builds it: options, then one of three verbs.

use super::{
    ServiceClient, Ticket,
    answered::told,
    cancel::{CancelHandle, CancelSlot},
    later::note_delayed,
    request::Verb,
    tally::Tally,
};
use crate::{
    call_id::CallId,
    codec::CodecError,
    context::Metadata,
    contract::{MethodContract, Outcome, Priority},
    error::{BoxError, CallError, CallFailure},
    schedule::When,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use std::{
    fmt,
    future::{Future, IntoFuture, ready},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};
use tokio::time::Instant;

/// A call that has not been made: set options, then await it for the reply, or
/// [`send`](Self::send) or [`submit`](Self::submit) it.
///
/// ```
/// use replybus::{Bus, Never, queue_handler};
/// use std::time::Duration;
///
/// #[queue_handler("account.requests")]
/// pub trait Accounts {
///     #[query]
///     async fn balance(&self, account: String) -> Result<u64, Never>;
///     async fn deposit(&self, account: String, amount: u64) -> Result<u64, Never>;
/// }
/// # struct Ledger;
/// # impl Accounts for Ledger {
/// #     async fn balance(&self, _: String) -> Result<u64, Never> { Ok(500) }
/// #     async fn deposit(&self, _: String, amount: u64) -> Result<u64, Never> { Ok(amount) }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// # let serving = bus.serve(AccountsServer::new(Ledger)).await?;
/// let accounts = AccountsClient::new(&bus);
/// let balance = accounts.balance("ada".into()).timeout(Duration::from_millis(300)).await?;
/// assert_eq!(balance, 500);
///
/// let deposit = || accounts.deposit("ada".into(), 70).idempotency_key("order-17");
/// assert_eq!(deposit().await?, 70);
/// assert_eq!(deposit().await?, 70); // the same deposit: it is answered, not made again
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Time
///
/// Two clocks start with the verb: how long the caller waits, and how long the request may wait in
/// the queue until it is started.
///
/// | verb | the caller waits for | at most for | the request is started within |
/// |---|---|---|---|
/// | `.await` | the reply | [`timeout`](Self::timeout), or else the method's | the same time |
/// | [`send`](Self::send), [`submit`](Self::submit) | the broker's word | the method's timeout | [`timeout`](Self::timeout), or else [`SEND_TTL`](crate::limits::SEND_TTL) |
///
/// Of a call that is due later ([`send_after`](Self::send_after),
/// [`submit_after`](Self::submit_after) and the like) the second clock starts when it is due.
///
/// The wait also ends at the [`deadline`](Self::deadline), and at the deadline of the call that is
/// being served, if there is one: nested calls share the time of the outermost. The method's
/// timeout is what its contract says, or [`CALL_TIMEOUT`](crate::limits::CALL_TIMEOUT). A
/// [job](MethodContract::job) that is awaited has its own time, unless the method names a timeout
/// besides.
#[must_use = "a call does nothing until it is awaited, sent or submitted"]
pub struct Call<R> {
    pub(super) client: ServiceClient,
    /// Of the method, in the contract.
    pub(super) position: usize,
    pub(super) method: &'static MethodContract,
    pub(super) body: Result<Bytes, CodecError>,
    pub(super) timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    pub(super) idempotency_key: Option<String>,
    pub(super) metadata: Metadata,
    pub(super) refused: Option<BoxError>,
    pub(super) waits_for_service: bool,
    pub(super) anew: bool,
    pub(super) priority: Option<Priority>,
    pub(super) has_key: bool,
    /// The hash of the key, if it has one.
    pub(super) key: u32,
    pub(super) cancel: Option<CancelSlot>,
    pub(super) outcome: PhantomData<fn() -> R>,
}

impl<R> Call<R> {
    pub(super) fn new(
        client: ServiceClient,
        position: usize,
        method: &'static MethodContract,
        body: Result<Bytes, CodecError>,
    ) -> Self {
        Self {
            waits_for_service: client.bus().inner().waits_for_services,
            client,
            position,
            method,
            body,
            timeout: None,
            deadline: None,
            idempotency_key: None,
            metadata: Metadata::new(),
            refused: None,
            anew: false,
            priority: None,
            has_key: false,
            key: 0,
            cancel: None,
            outcome: PhantomData,
        }
    }

    /// The same call, by the key of this hash.
    pub(super) fn by_key(mut self, key: u32) -> Self {
        self.has_key = true;
        self.key = key;
        self
    }
}

impl<R: Outcome> Call<R> {
    /// Sets the time given to this call instead of the method's: for its reply, and so for its
    /// handler to start, up to [`CALL_TIMEOUT_MAX`](crate::limits::CALL_TIMEOUT_MAX), or the time of
    /// a [job](MethodContract::job).
    ///
    /// Of a call that is sent or submitted nobody waits for the reply here. Then it is the time the
    /// request may wait in the queue until it is started, up to
    /// [`SEND_TTL`](crate::limits::SEND_TTL), and the wait for the broker's word is the method's
    /// timeout as ever. [Both in a table](Self#time). More than is allowed makes the verb fail.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    /// use std::time::Duration;
    ///
    /// #[queue_handler("report.requests", timeout = "30s")]
    /// pub trait Reports {
    ///     #[query]
    ///     async fn yearly(&self) -> Result<String, Never>;
    /// }
    /// # struct Slow;
    /// # impl Reports for Slow {
    /// #     async fn yearly(&self) -> Result<String, Never> { std::future::pending().await }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(ReportsServer::new(Slow)).await?;
    /// let reports = ReportsClient::new(&bus);
    /// let late = reports.yearly().timeout(Duration::from_millis(20)).await.unwrap_err();
    /// assert!(late.is_timeout());
    ///
    /// // Answered some time today, or never.
    /// let ticket = reports.yearly().timeout(Duration::from_secs(60 * 60)).submit().await?;
    /// # drop((serving, ticket));
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the moment at which the caller stops waiting, if that is sooner than the timeout. For
    /// several calls that have to be done by one moment:
    ///
    /// ```
    /// use replybus::{Bus, FailureKind, Never, queue_handler};
    /// use std::time::{Duration, Instant};
    ///
    /// #[queue_handler("stock.requests")]
    /// pub trait Stock {
    ///     #[query]
    ///     async fn count(&self, article: u32) -> Result<u32, Never>;
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let bus = Bus::in_memory();
    /// let deadline = Instant::now() + Duration::from_millis(20);
    /// let stock = StockClient::new(&bus);
    /// for article in [17, 18] {
    ///     let outcome = stock.count(article).deadline(deadline).await;
    /// #   assert_eq!(outcome.unwrap_err().kind(), Some(FailureKind::Unroutable));
    /// }
    ///
    /// let past = stock.count(19).deadline(Instant::now()).await.unwrap_err();
    /// assert_eq!(past.kind(), Some(FailureKind::Expired)); // and nothing was sent
    /// # }
    /// ```
    pub fn deadline(mut self, deadline: impl Into<Instant>) -> Self {
        self.deadline = Some(deadline.into());
        self
    }

    /// Has the call wait for its service until its time is over, where nobody serves its queue,
    /// instead of failing at once as [`NoConsumer`](crate::FailureKind::NoConsumer). The request is in the
    /// queue meanwhile, and whoever serves it next takes it: right where a service is restarted, and
    /// an answer that takes seconds is better than none. A queue that does not exist is
    /// [`Unroutable`](crate::FailureKind::Unroutable) all the same.
    ///
    /// ```
    /// use replybus::{Bus, FailureKind, Never, queue_handler};
    /// use std::{future::IntoFuture, time::Duration};
    ///
    /// #[queue_handler("greeter.requests", timeout = "10s")]
    /// pub trait Greeter {
    ///     async fn greet(&self) -> Result<String, Never>;
    /// }
    /// # struct English;
    /// # impl Greeter for English {
    /// #     async fn greet(&self) -> Result<String, Never> { Ok("Good day".to_owned()) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(GreeterServer::new(English)).await?;
    /// serving.shutdown().await?; // nobody serves it now
    /// let greeter = GreeterClient::new(&bus);
    /// let failure = greeter.greet().await.unwrap_err();
    /// assert_eq!(failure.kind(), Some(FailureKind::NoConsumer));
    /// assert!(!failure.may_have_executed()); // and it never will be
    ///
    /// let waits = tokio::spawn(greeter.greet().wait_for_service().into_future());
    /// # tokio::time::sleep(Duration::from_millis(200)).await;
    /// let serving = bus.serve(GreeterServer::new(English)).await?;
    /// assert_eq!(waits.await??, "Good day");
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_for_service(mut self) -> Self {
        self.waits_for_service = true;
        self
    }

    /// Names the effect of this call: of a command with this key one run goes on at a time, and
    /// once it has ended a repeated call gets its reply. It runs again if its worker died before
    /// the record: *at least once, under a claim*, see
    /// [`Context::attempt`](crate::Context::attempt). 1 to
    /// [`IDEMPOTENCY_KEY_BYTES_MAX`](crate::limits::IDEMPOTENCY_KEY_BYTES_MAX) bytes without
    /// control characters; remembered for
    /// [`KEYED_RETENTION`](crate::limits::KEYED_RETENTION), on this queue. What is remembered is
    /// the handler's answer, its own error included unless the handler
    /// [releases](crate::Context::release_key) the key. The same request is one with the same encoded
    /// arguments: a `HashMap` among them has no fixed order, a `BTreeMap` has.
    ///
    /// ```
    /// use replybus::{Bus, FailureKind, Never, queue_handler};
    ///
    /// #[queue_handler("account.requests")]
    /// pub trait Accounts {
    ///     async fn deposit(&self, amount: u64) -> Result<u64, Never>;
    /// }
    /// # struct Ledger(std::sync::atomic::AtomicU64);
    /// # impl Accounts for Ledger {
    /// #     async fn deposit(&self, amount: u64) -> Result<u64, Never> {
    /// #         Ok(self.0.fetch_add(amount, std::sync::atomic::Ordering::SeqCst) + amount)
    /// #     }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(AccountsServer::new(Ledger(0.into()))).await?;
    /// let accounts = AccountsClient::new(&bus);
    /// let payment = "payment-4711"; // made where the intention arises, and kept with it
    /// assert_eq!(accounts.deposit(70).idempotency_key(payment).await?, 70);
    /// assert_eq!(accounts.deposit(70).idempotency_key(payment).await?, 70);
    ///
    /// let other = accounts.deposit(71).idempotency_key(payment).await.unwrap_err();
    /// assert_eq!(other.kind(), Some(FailureKind::KeyConflict));
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Attaches metadata, beside what is inherited from the call that is being served. An entry
    /// that is not allowed makes the verb fail; see [`Metadata::insert`].
    ///
    /// ```
    /// use replybus::{Bus, Context, Never, queue_handler};
    ///
    /// #[queue_handler("greeter.requests")]
    /// pub trait Greeter {
    ///     #[query]
    ///     async fn greet(&self) -> Result<String, Never>;
    /// }
    ///
    /// struct Polyglot;
    ///
    /// impl Greeter for Polyglot {
    ///     async fn greet(&self) -> Result<String, Never> {
    ///         let context = Context::current();
    ///         Ok(match context.metadata().get("language") {
    ///             Some("de") => "Guten Tag",
    ///             _ => "Good day",
    ///         }
    ///         .to_owned())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(GreeterServer::new(Polyglot)).await?;
    /// let greeter = GreeterClient::new(&bus);
    /// assert_eq!(greeter.greet().metadata("language", "de").await?, "Guten Tag");
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Err(error) = self.metadata.insert(name, value) {
            self.refused.get_or_insert(error.into());
        }
        self
    }

    /// Sets how much this call matters beside others, instead of what is inherited from the call that
    /// is being served: a service that gets more than it can do refuses those of
    /// [low](Priority::Low) priority first, as [`Overloaded`](crate::FailureKind::Overloaded).
    ///
    /// ```
    /// use replybus::{Bus, Context, Never, contract::Priority, queue_handler};
    ///
    /// #[queue_handler("report.requests")]
    /// pub trait Reports {
    ///     #[query]
    ///     async fn daily(&self) -> Result<bool, Never>;
    /// }
    ///
    /// struct Archive;
    ///
    /// impl Reports for Archive {
    ///     async fn daily(&self) -> Result<bool, Never> {
    ///         // Calls made from here are of low priority as well.
    ///         Ok(Context::current().priority() == Priority::Low)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(ReportsServer::new(Archive)).await?;
    /// let reports = ReportsClient::new(&bus);
    /// assert!(reports.daily().priority(Priority::Low).await?);
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// A handle that cancels this call when it was made, and tells whether that was in time. Dropping
    /// the call cancels it as well, and tells nothing.
    ///
    /// ```
    /// use replybus::{Bus, CancelOutcome, Context, FailureKind, Never, queue_handler};
    /// use std::future::IntoFuture;
    ///
    /// #[queue_handler("report.requests")]
    /// pub trait Reports {
    ///     async fn yearly(&self, year: u16) -> Result<String, Never>;
    /// }
    ///
    /// struct Archive;
    ///
    /// impl Reports for Archive {
    ///     async fn yearly(&self, _: u16) -> Result<String, Never> {
    ///         Context::current().cancelled().await; // and tidy up
    ///         Ok("half of it".to_owned())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = Bus::in_memory();
    /// let reports = ReportsClient::new(&bus);
    /// # let serving = bus.serve(ReportsServer::new(Archive)).await?;
    /// let mut call = reports.yearly(2025);
    /// let handle = call.cancel_handle();
    /// let called = tokio::spawn(call.into_future());
    ///
    /// match handle.cancel().await? {
    ///     CancelOutcome::NeverStarted => println!("and it never will be"),
    ///     CancelOutcome::Running => println!("it was told"),
    ///     CancelOutcome::Done(report) => println!("too late: {report:?}"),
    ///     _ => {}
    /// }
    /// # let failure = called.await?.unwrap_err();
    /// # assert_eq!(failure.kind(), Some(FailureKind::Cancelled));
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_handle(&mut self) -> CancelHandle<R> {
        let bus = self.client.bus();
        if let Some(slot) = &self.cancel {
            return slot.handle(bus);
        }
        let handle = CancelHandle::new(bus);
        self.cancel = Some(handle.slot());
        handle
    }

    /// Makes the call one-way: returns when the broker has it. Its outcome is not reported; if it
    /// fails it is kept as a dead letter.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    ///
    /// #[queue_handler("mail.requests")]
    /// pub trait Mail {
    ///     async fn welcome(&self, address: String) -> Result<(), Never>;
    /// }
    /// # struct Postman;
    /// # impl Mail for Postman {
    /// #     async fn welcome(&self, _: String) -> Result<(), Never> { Ok(()) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(MailServer::new(Postman)).await?;
    /// let mail = MailClient::new(&bus);
    /// let id = mail.welcome("ada@example.org".into()).send().await?;
    /// println!("sent as {id}"); // the id under which the service logs it
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// It can't be encoded, reaches no queue, is refused, or the broker did not confirm in time.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the call may or may not have been sent.
    pub async fn send(self) -> Result<CallId, CallFailure> {
        self.send_when(When::Now).await
    }

    pub(super) async fn send_when(self, when: When) -> Result<CallId, CallFailure> {
        let tally = self.tally();
        let sent = async {
            let (client, request) = self.prepare(Verb::Send, when)?;
            client.run(&request).await?;
            note_delayed(&client, &request);
            Ok(request.id())
        };
        let sent = sent.await;
        tally.count_handed_over(&sent);
        sent
    }

    /// Submits the call: returns when the broker has it, with a ticket on which this or any other
    /// process can wait for the reply.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
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
    /// // .. and when there is time for it:
    /// let report = ticket.wait(&bus).await?;
    /// # assert_eq!(report, "2025");
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the call may or may not have been submitted.
    pub async fn submit(self) -> Result<Ticket<R>, CallFailure> {
        self.submit_when(When::Now).await
    }

    pub(super) async fn submit_when(self, when: When) -> Result<Ticket<R>, CallFailure> {
        let tally = self.tally();
        let submitted = async {
            let (client, request) = self.prepare(Verb::Submit, when)?;
            let ticket = Ticket::of(&request, client.queue_name());
            let response = client.run(&request).await?;
            note_delayed(&client, &request);
            Ok(ticket.repeated(response.is_repeated()))
        };
        let submitted = submitted.await;
        tally.count_handed_over(&submitted);
        submitted
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally::of(self.client.clone(), self.position)
    }

    /// Begins the call: what of it waits is as small as it can be, for there may be many that do.
    fn call(self) -> impl Future<Output = Result<R::Ok, CallError<R::Err>>> + Send {
        let mut tally = self.tally();
        let called = match self.prepare(Verb::Call, When::Now) {
            Ok((client, request)) => told::<R>(client, request).left_future(),
            Err(failure) => ready(Err(failure.into())).right_future(),
        };
        called.map(move |told| {
            let called = told.map(|(value, _)| value);
            tally.count_answered(&called);
            called
        })
    }
}

impl<R: Outcome> IntoFuture for Call<R> {
    type Output = Result<R::Ok, CallError<R::Err>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Makes the call and waits for its reply.
    ///
    /// Dropped, it cancels the call: a request that was not written is withdrawn, one that was not
    /// started is not started, a query that runs is dropped, and a command that runs is told
    /// ([`Context::cancelled`](crate::Context::cancelled)) and ends by itself. That is said to the
    /// service, and may be lost.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(ready(self).then(Self::call))
    }
}

impl<R> fmt::Debug for Call<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("service", &self.client.contract().name)
            .field("method", &self.method.name)
            .field("timeout", &self.timeout)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}
