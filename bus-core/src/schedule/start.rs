//! Starting a schedule: its settings, the queue of its ticks, and the service that runs them.

use super::{
    Missed, Tick,
    missed::Step,
    pattern::Pattern,
    putting::{METHOD, PUT_AGAIN_MAX, PUT_AGAIN_MIN, Putting, wait_briefly},
    tick::Arguments,
};
use crate::{
    bus::Bus,
    context::Context,
    contract::{MethodContract, MethodKind, ServeDefaults, ServiceContract, check_name, unix_time},
    error::SetupError,
    event::SubscribeHandler,
    limits::RETRY_ASIDE_WITHIN,
    server::{AnswerFuture, Drained, Payload, Service, Serving, ServingError, service::answer},
    work::Pauses,
};
use futures_util::FutureExt;
use std::{
    fmt,
    future::{Future, IntoFuture},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A tick that comes early, by the clock of its worker, is waited for so long.
const EARLY_BY: Duration = Duration::from_secs(5);

static TICKS: ServiceContract = ServiceContract::new(
    "Schedule",
    "schedule",
    &[MethodContract::new(METHOD, MethodKind::Command)],
)
// Few, and of few of these are there two that wait.
.defaults(
    ServeDefaults::new()
        .concurrency(4)
        .prefetch(4)
        .bundles(false),
);

impl Bus {
    /// Runs a handler again and again, by a pattern of cron's: options, then `.await` for the
    /// running schedule. Of all processes that start a schedule under this name one runs each tick.
    ///
    /// The pattern has five fields, minute, hour, day of the month, month, day of the week, or six
    /// with the second in front; `@daily` and the like are known, and `L`, `W` and `#`.
    ///
    /// ```
    /// use replybus::{Bus, schedule::{Missed, Tick}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// let nightly = bus
    ///     .schedule("reports.nightly", "0 3 * * *", |tick: Tick| async move {
    ///         println!("the report of {:?}", tick.at());
    ///     })
    ///     .time_zone("Europe/Vienna") // UTC unless set
    ///     .missed(Missed::Once)
    ///     .await?;
    /// nightly.shutdown().await?; // dropped, it ends as well
    /// # Ok(())
    /// # }
    /// ```
    pub fn schedule<H>(
        &self,
        name: impl Into<String>,
        pattern: impl Into<String>,
        handler: H,
    ) -> Schedule<H>
    where
        H: SubscribeHandler<Tick>,
    {
        Schedule {
            bus: self.clone(),
            name: name.into(),
            pattern: pattern.into(),
            handler,
            time_zone: None,
            missed: Missed::default(),
        }
    }
}

/// A schedule about to start: set options, then await it.
///
/// The next tick waits on the broker, put there by each process that runs the schedule, and comes
/// to one of them through the queue `schedule.{name}`. It is a command under a key that all share,
/// so one run is its effect, and it runs again, as any command, if its worker died: *at least once,
/// under a claim*. It is there when all processes and Redis were restarted meanwhile; one that
/// nobody was there for is [missed](Missed).
///
/// A handler that returns an error, or panics, has run: that is logged and counted, and the next
/// tick is the next run. It has 20 minutes. Work that takes longer, or is to be tried again, or kept
/// if it fails, is better a command that the handler sends, with [`Tick::key`] for its idempotency
/// key. Ticks that come while an earlier one is run are run beside it.
///
/// With another pattern under the same name the ticks of the old one that still wait are passed
/// over.
#[must_use = "a schedule does nothing until it is awaited"]
pub struct Schedule<H> {
    bus: Bus,
    name: String,
    pattern: String,
    handler: H,
    time_zone: Option<String>,
    missed: Missed,
}

impl<H: SubscribeHandler<Tick>> Schedule<H> {
    /// The time zone that the pattern is read in, by its name in the IANA database, such as
    /// `Europe/Vienna`: UTC unless set. A tick in an hour that is left out in spring, or comes twice
    /// in autumn, is one tick.
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = Some(name.into());
        self
    }

    /// What is done about ticks that were missed: [`Missed::Once`] unless set.
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    async fn start(self) -> Result<Scheduled, SetupError> {
        check_name("schedule", &self.name)?;
        let now = unix_time().as_secs();
        let ticks = Pattern::read(&self.pattern, self.time_zone.as_deref(), now)?;
        let queue = format!("schedule.{}", self.name);
        let bus = self.bus.inner();
        let putting = Putting {
            bus: Arc::downgrade(&bus),
            queue: self.bus.name(&queue).into(),
            ticks,
        };
        let runs = TickRuns {
            name: self.name,
            handler: Arc::new(self.handler),
            missed: self.missed,
            putting: putting.clone(),
        };
        let serving = self
            .bus
            .serve(runs)
            .without_bus_layers()
            .on_queue(queue)
            .await?;
        let stop = CancellationToken::new();
        let (stopped, stopping) = (stop.clone(), bus.stopping.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = putting.run() => {}
                () = stopped.cancelled() => {}
                () = stopping.cancelled() => {}
            }
        });
        Ok(Scheduled {
            serving,
            stop: stop.drop_guard(),
        })
    }
}

impl<H: SubscribeHandler<Tick>> IntoFuture for Schedule<H> {
    type Output = Result<Scheduled, SetupError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Declares the queue `schedule.{name}`, puts the next tick, and starts to run ticks.
    ///
    /// # Errors
    /// The name, the pattern or the time zone can't be one, or the pattern has no tick ahead; and
    /// as [`Bus::serve`].
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl<H> fmt::Debug for Schedule<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("name", &self.name)
            .field("pattern", &self.pattern)
            .field("time_zone", &self.time_zone)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}

/// A schedule that is running. Dropped, it ends in this process, as a [`Serving`] does; the tick
/// that is next waits on the broker for whoever runs the schedule then.
#[derive(Debug)]
#[must_use = "dropped, the schedule ends"]
pub struct Scheduled {
    serving: Serving,
    stop: DropGuard,
}

impl Scheduled {
    /// Runs ticks until `shutdown` is ready, then drains: see [`Serving::run_until`].
    ///
    /// # Errors
    /// As [`Serving::run_until`].
    ///
    /// # Cancel safety
    /// Dropped, it shuts down in the background.
    pub async fn run_until<F: Future>(self, shutdown: F) -> Result<Drained, ServingError> {
        let ended = self.serving.run_until(shutdown).await;
        drop(self.stop);
        ended
    }

    /// Ends it now; see [`run_until`](Self::run_until).
    ///
    /// # Errors
    /// As [`run_until`](Self::run_until).
    ///
    /// # Cancel safety
    /// Dropped, it goes on in the background.
    pub async fn shutdown(self) -> Result<Drained, ServingError> {
        self.run_until(std::future::ready(())).await
    }
}

/// Runs the ticks of one schedule.
struct TickRuns<H> {
    name: String,
    handler: Arc<H>,
    missed: Missed,
    putting: Putting,
}

impl<H: SubscribeHandler<Tick>> Service for TickRuns<H> {
    fn contract(&self) -> &'static ServiceContract {
        &TICKS
    }

    fn dispatch(&self, _: usize, payload: Payload) -> AnswerFuture {
        let runs = self.clone();
        answer::<Arguments, Result<(), String>, _, _>(payload, move |arguments| async move {
            let second = arguments.second;
            let due = Duration::from_secs(second);
            if due.saturating_sub(unix_time()) <= EARLY_BY {
                wait_briefly(due, EARLY_BY).await;
            }
            let now = unix_time().as_secs();
            let (step, then) = runs.missed.step(&runs.putting.ticks, second, now);
            let put = match step {
                Step::Instead(other) => Some(other),
                Step::Run | Step::Nothing => then,
            };
            if let Some(other) = put
                && let Err(why) = runs.put(other).await
            {
                Context::current().release_key();
                return Err(why);
            }
            let outcome = match step {
                Step::Run => {
                    let next = runs.putting.following(second);
                    let next = next.filter(|next| Some(*next) != put);
                    tokio::join!(runs.put_next(next), runs.run(second)).1
                }
                Step::Instead(_) | Step::Nothing => "missed",
            };
            let schedule = runs.name.clone();
            metrics::counter!("replybus_ticks_total", "schedule" => schedule, "outcome" => outcome)
                .increment(1);
            Ok(())
        })
    }
}

impl<H: SubscribeHandler<Tick>> TickRuns<H> {
    /// Puts the tick that follows: all programs may end before one of them does, and the message of
    /// this one ends later. One that can't be put holds up nothing: each program goes on trying.
    async fn put_next(&self, next: Option<u64>) {
        let Some(next) = next else {
            return;
        };
        if let Err(why) = self.put(next).await {
            let schedule = &self.name;
            tracing::warn!(schedule, why, "the tick after one that is run is not put");
        }
    }

    /// Puts another tick.
    async fn put(&self, second: u64) -> Result<(), String> {
        let until = Instant::now() + RETRY_ASIDE_WITHIN;
        let mut pauses = Pauses::new(PUT_AGAIN_MIN, PUT_AGAIN_MAX);
        loop {
            let Err(why) = self.putting.put(second).await else {
                return Ok(());
            };
            let pause = pauses.next();
            if Instant::now() + pause > until {
                return Err(format!("the tick {second} can't be put: {why}"));
            }
            sleep(pause).await;
        }
    }

    /// Runs the handler. Whatever comes of it, the tick has run: it is not given to another.
    async fn run(&self, second: u64) -> &'static str {
        let schedule = self.name.clone();
        let tick = Tick { schedule, second };
        // What its handler marks is of no meaning here, and does not reach the claim.
        let context = Context::current();
        let context = context.with_attempt_of_its_own(context.attempt());
        let handled = context.scope(async { self.handler.handle(tick).await });
        let error = match AssertUnwindSafe(handled).catch_unwind().await {
            Ok(Ok(())) => return "ok",
            Ok(Err(error)) => error,
            Err(_) => "it panicked".to_owned(),
        };
        let schedule = &self.name;
        tracing::error!(schedule, second, error, "the handler of a tick failed");
        "failed"
    }
}

impl<H> Clone for TickRuns<H> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            handler: Arc::clone(&self.handler),
            missed: self.missed,
            putting: self.putting.clone(),
        }
    }
}

impl<H> fmt::Debug for TickRuns<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickRuns")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
