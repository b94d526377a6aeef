//! The life of a service: it starts, is ready, drains, and has stopped. One builder says what belongs
//! to each stage, and each is bounded in time.

use anyhow::Context as _;
use futures_util::future::join_all;
use replybus::server::Serving;
use std::{fmt, future::Future, pin::Pin, time::Duration};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Time for a service to start. A database is waited for for a minute, and a migration of a large
/// table takes what it takes; what has not started then never will.
const START_WITHIN: Duration = Duration::from_secs(3600);
/// Time for what is to be done at one stage. Less than there is for all that stops, so that one
/// that hangs leaves the others some.
const HOOK_WITHIN: Duration = Duration::from_secs(10);
/// Time for all that runs to end. What is under way then is given up, as if the process had been
/// killed: messages go back to their queues. A queue alone drains for 20 s.
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// What is to be done at one stage.
type Hook = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service, from its start to its end: what it serves, what it does beside, and what is to be done
/// when it is ready, drains, and has stopped. Dropped, it goes on; it is to be [stopped](Self::stop).
///
/// ```
/// use chassis::Running;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let running = Running::start("teller", async |life| {
///     // Whatever may fail: a database is opened, queues are served.
///     Ok(life
///         .beside(|stop| async move { stop.cancelled().await })
///         .on_ready(async { println!("it serves") })
///         .on_draining(async { println!("it takes no more") })
///         .on_stopped(async { println!("all that it took is done") }))
/// })
/// .await?;
/// running.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "a service is to be stopped"]
pub struct Running {
    servings: Vec<Serving>,
    tasks: TaskTracker,
    stop: CancellationToken,
    later: Vec<Self>,
    ready: Vec<Hook>,
    draining: Vec<Hook>,
    stopped: Vec<Hook>,
}

impl Running {
    /// A service that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the service `name`: `on_start` adds to it what it does, and then what is to be done
    /// when it is [ready](Self::on_ready) is done.
    ///
    /// # Errors
    /// Those of `on_start`, or it takes more than an hour.
    ///
    /// # Cancel safety
    /// Not to be dropped before it is ready: what was started would go on.
    pub async fn start(
        name: &str,
        on_start: impl AsyncFnOnce(Self) -> anyhow::Result<Self>,
    ) -> anyhow::Result<Self> {
        let starting = timeout(START_WITHIN, on_start(Self::new())).await;
        let late = || format!("{name} has not started within {START_WITHIN:?}");
        let mut running = starting.with_context(late)??;
        run("ready", std::mem::take(&mut running.ready)).await;
        tracing::debug!(name, "a service is ready");
        Ok(running)
    }

    /// Adds a queue that is served, or a subscription.
    pub fn serving(mut self, serving: Serving) -> Self {
        self.servings.push(serving);
        self
    }

    /// Starts what goes on beside, until the token is cancelled. It is not aborted: it ends by
    /// itself.
    pub fn beside<F>(self, work: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(work(self.stop.child_token()));
        self
    }

    /// Takes over what was started after this, and will be stopped before it.
    pub fn with(mut self, later: Self) -> Self {
        self.later.push(later);
        self
    }

    /// What is done when it has [started](Self::start). Several are done one after the other, each
    /// for 10 s at most, as those of the other stages.
    pub fn on_ready(mut self, hook: impl Future<Output = ()> + Send + 'static) -> Self {
        self.ready.push(Box::pin(hook));
        self
    }

    /// What is done when it is told to stop, before its queues are.
    pub fn on_draining(mut self, hook: impl Future<Output = ()> + Send + 'static) -> Self {
        self.draining.push(Box::pin(hook));
        self
    }

    /// What is done at the end, when all that it took and all that went on beside is done.
    pub fn on_stopped(mut self, hook: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stopped.push(Box::pin(hook));
        self
    }

    /// Stops what was started later, the last first. Then does what is to be done before its queues
    /// are drained, lets running handlers end, within the time that the bus gives them, then what
    /// goes on beside, and does what is to be done at the end. All of it together takes 25 s at
    /// most; what has not ended then is left behind.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it goes on in the background, or runs on.
    pub async fn stop(self) {
        if timeout(STOP_WITHIN, self.drain()).await.is_err() {
            tracing::warn!("what had not ended after {STOP_WITHIN:?} is given up");
        }
    }

    async fn drain(self) {
        for later in self.later.into_iter().rev() {
            Box::pin(later.drain()).await;
        }
        run("draining", self.draining).await;
        let draining = self.servings.into_iter().map(Serving::shutdown);
        for drained in join_all(draining).await {
            match drained {
                Ok(drained) if drained.given_back == 0 => {}
                Ok(drained) => tracing::warn!(drained.given_back, "deliveries were given back"),
                Err(error) => tracing::error!(%error, "a service had stopped by itself"),
            }
        }
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        run("stopped", self.stopped).await;
    }
}

/// Does what is to be done at a stage, in order. What takes too long is left.
async fn run(stage: &'static str, hooks: Vec<Hook>) {
    for hook in hooks {
        if timeout(HOOK_WITHIN, hook).await.is_err() {
            tracing::warn!(stage, "what was to be done took more than {HOOK_WITHIN:?}");
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("servings", &self.servings)
            .field("later", &self.later)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::pending,
        sync::{Arc, Mutex},
    };
    use tokio::time::Instant;

    /// What happened, in order.
    #[derive(Clone, Default)]
    struct Diary(Arc<Mutex<Vec<String>>>);

    impl Diary {
        fn note(&self, what: impl Into<String>) {
            self.0.lock().unwrap().push(what.into());
        }

        fn noting(&self, what: &str) -> impl Future<Output = ()> + use<> {
            let (diary, what) = (self.clone(), what.to_owned());
            async move { diary.note(what) }
        }

        fn read(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }

        /// A service that notes each stage of its life.
        async fn service(&self, name: &'static str) -> Running {
            let started = Running::start(name, async |life| {
                self.note(format!("{name} starts"));
                let beside = self.noting(&format!("{name} has ended beside"));
                Ok(life
                    .on_stopped(self.noting(&format!("{name} has stopped")))
                    .on_draining(self.noting(&format!("{name} drains")))
                    .on_ready(self.noting(&format!("{name} is ready")))
                    .beside(|stop| async move {
                        stop.cancelled().await;
                        beside.await;
                    }))
            });
            started.await.unwrap()
        }
    }

    #[tokio::test]
    async fn the_stages_of_a_life_come_in_order_and_the_last_service_goes_first() {
        let diary = Diary::default();
        let first = diary.service("first").await;
        let running = first.with(diary.service("second").await);
        running.stop().await;
        assert_eq!(
            diary.read(),
            [
                "first starts",
                "first is ready",
                "second starts",
                "second is ready",
                "second drains",
                "second has ended beside",
                "second has stopped",
                "first drains",
                "first has ended beside",
                "first has stopped",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_at_one_stage_is_left_and_the_next_come() {
        let diary = Diary::default();
        let began = Instant::now();
        let running = Running::start("teller", async |life| {
            Ok(life
                .on_ready(pending())
                .on_ready(diary.noting("ready"))
                .on_draining(pending())
                .on_draining(diary.noting("draining"))
                .on_stopped(pending())
                .on_stopped(diary.noting("stopped")))
        });
        let running = running.await.unwrap();
        assert_eq!(began.elapsed(), HOOK_WITHIN);
        running.stop().await;
        assert_eq!(began.elapsed(), 3 * HOOK_WITHIN);
        assert_eq!(diary.read(), ["ready", "draining", "stopped"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_to_start_is_never_ready_and_one_that_hangs_is_given_up() {
        let diary = Diary::default();
        let failing = Running::start("teller", async |life| {
            let _never = life.on_ready(diary.noting("ready"));
            anyhow::bail!("no money")
        });
        assert_eq!(failing.await.unwrap_err().to_string(), "no money");
        assert!(diary.read().is_empty());
        let began = Instant::now();
        let hanging = Running::start("teller", async |_| pending().await).await;
        let reason = hanging.unwrap_err().to_string();
        assert!(
            reason.starts_with("teller has not started within "),
            "{reason}"
        );
        assert_eq!(began.elapsed(), START_WITHIN);
    }

    /// A service beside which something goes on for so long after the stop.
    fn lingering(lasts: Duration) -> Running {
        Running::new().beside(move |stop| async move {
            stop.cancelled().await;
            tokio::time::sleep(lasts).await;
        })
    }

    #[tokio::test(start_paused = true)]
    async fn services_stop_one_after_the_other() {
        let second = Duration::from_secs(1);
        let running = lingering(second)
            .with(lingering(second))
            .with(lingering(second));
        let began = Instant::now();
        running.stop().await;
        assert_eq!(began.elapsed(), 3 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn all_of_them_together_have_one_deadline() {
        let long = Duration::from_secs(20);
        let never = Running::new().beside(|_| pending());
        for running in [
            lingering(long).with(lingering(long)).with(lingering(long)),
            lingering(long).with(never),
        ] {
            let began = Instant::now();
            running.stop().await;
            assert_eq!(began.elapsed(), STOP_WITHIN);
        }
    }
}
