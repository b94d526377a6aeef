//! The leases of all runs of one bus, looked after from a thread of its own.
//!
//! A run renews its claim itself, in its own task. A handler that blocks keeps it from that: it
//! holds the task, on a runtime of one thread everything else as well, and what does not move then
//! includes the connections of the store. So the thread has a runtime that nothing else runs on,
//! renews what is late, and says so.

use crate::{
    call_id::CallId,
    limits::CLAIM_LEASE,
    reply::{Claim, ReplyStore},
};
use futures_util::future::join_all;
use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The pause between two looks at the runs: what is found late has more than a quarter of its lease
/// left.
fn look_every() -> Duration {
    CLAIM_LEASE / 6
}

/// The time after which a claim that its run did not renew is late: one renewal was missed.
fn late_after() -> Duration {
    CLAIM_LEASE / 2
}

/// The watch over the runs of one bus. Its thread starts with the first run, and ends with the bus.
#[derive(Debug)]
pub(crate) struct LeaseWatch {
    runs: Arc<Runs>,
    started: Once,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Runs {
    store: Arc<dyn ReplyStore>,
    watched: Mutex<HashMap<u64, Arc<WatchedRun>>>,
    count: AtomicU64,
}

/// A run and its claim.
#[derive(Debug)]
struct WatchedRun {
    claim: Claim,
    id: CallId,
    cancel: CancellationToken,
    /// By the clock of the system, whatever clock the run's runtime has; `None` while the claim is
    /// not held.
    renewed: Mutex<Option<Instant>>,
    /// Held while the thread renews.
    renewing: tokio::sync::Mutex<()>,
    /// The log says once for each run that it was late.
    was_late: AtomicBool,
}

/// A place in the watch, or none. When the last clone is dropped, the run is no longer looked
/// after.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched(Option<Arc<Place>>);

#[derive(Debug)]
struct Place {
    runs: Arc<Runs>,
    number: u64,
    run: Arc<WatchedRun>,
}

impl LeaseWatch {
    pub(crate) fn new(store: Arc<dyn ReplyStore>) -> Self {
        Self {
            runs: Arc::new(Runs {
                store,
                watched: Mutex::default(),
                count: AtomicU64::new(0),
            }),
            started: Once::new(),
            stop: CancellationToken::new(),
        }
    }

    /// A place for a run, which does not hold its claim yet. `cancel` tells it that it has lost it.
    pub(super) fn place(&self, claim: &Claim, id: CallId, cancel: &CancellationToken) -> Watched {
        self.started.call_once(|| {
            if let Err(error) = self.start() {
                tracing::warn!(%error, "no thread to renew the claims of handlers that block");
            }
        });
        let run = Arc::new(WatchedRun {
            claim: claim.clone(),
            id,
            cancel: cancel.clone(),
            renewed: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
            was_late: AtomicBool::new(false),
        });
        let number = self.runs.count.fetch_add(1, Ordering::Relaxed);
        self.runs.watched().insert(number, Arc::clone(&run));
        Watched(Some(Arc::new(Place {
            runs: Arc::clone(&self.runs),
            number,
            run,
        })))
    }

    fn start(&self) -> io::Result<()> {
        // By the machine's clock, it would be late now and then.
        #[cfg(feature = "simulation")]
        if crate::simulation::is_simulated() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (runs, stop) = (Arc::clone(&self.runs), self.stop.clone());
        let thread = thread::Builder::new().name("replybus-leases".to_owned());
        thread.spawn(move || runtime.block_on(stop.run_until_cancelled(runs.look())))?;
        Ok(())
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for LeaseWatch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Runs {
    async fn look(&self) {
        loop {
            sleep(look_every()).await;
            let mut late: Vec<_> = self.watched().values().cloned().collect();
            late.retain(|run| run.is_late());
            join_all(late.iter().map(|run| run.renew(self.store.as_ref()))).await;
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<u64, Arc<WatchedRun>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatchedRun {
    fn is_late(&self) -> bool {
        self.renewed()
            .is_some_and(|renewed| renewed.elapsed() >= late_after())
    }

    async fn renew(&self, store: &dyn ReplyStore) {
        let _renewing = self.renewing.lock().await;
        // It may have ended, or renewed its claim, since.
        if !self.is_late() {
            return;
        }
        let asked = Instant::now();
        match store.renew(&self.claim).await {
            Ok(true) => {
                metrics::counter!("replybus_leases_late_total").increment(1);
                if !self.was_late.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        id = %self.id,
                        "a run did not come to renew its claim, which was done beside it: its \
                         handler, or another on its runtime, blocks the thread"
                    );
                }
                if let Some(renewed) = self.renewed().as_mut() {
                    *renewed = asked;
                }
            }
            Ok(false) => self.lost(),
            Err(error) => tracing::warn!(id = %self.id, %error, "a claim was not renewed"),
        }
    }

    /// This process was away for longer than the lease. It can't be undone; the handler may stop
    /// where that is safe, and the record stays the successor's.
    fn lost(&self) {
        if self.renewed().take().is_some() {
            metrics::counter!("replybus_leases_lost_total").increment(1);
            tracing::error!(id = %self.id, "another worker took this command over");
        }
        self.cancel.cancel();
    }

    fn renewed(&self) -> MutexGuard<'_, Option<Instant>> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// Says that the claim is held, by an answer to what was asked at `asked`.
    pub(super) fn holds_since(&self, asked: Instant) {
        if let Some(place) = &self.0 {
            *place.run.renewed() = Some(asked);
        }
    }

    /// Says that another run has the claim by now.
    pub(super) fn lost(&self) {
        if let Some(place) = &self.0 {
            place.run.lost();
        }
    }

    /// Says that the claim is to be given up, and waits until nothing here renews it: what comes
    /// after its end would make it again.
    pub(super) async fn ended(&self) {
        if let Some(place) = &self.0 {
            *place.run.renewed() = None;
            drop(place.run.renewing.lock().await);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.runs.watched().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::waiters::Waiters,
        reply::{Claimed, memory::MemoryReplies},
    };

    fn claim(owner: &str) -> Claim {
        Claim::new("requests:work:key:k", [0; 16], owner)
    }

    /// A watch whose thread does not look, and a run on it that was last renewed so long ago.
    async fn held(ago: Duration) -> (LeaseWatch, Watched, CancellationToken) {
        let store = MemoryReplies::new().attach("", Arc::new(Waiters::default()));
        let watch = LeaseWatch::new(store);
        watch.started.call_once(|| {});
        let cancel = CancellationToken::new();
        let watched = watch.place(&claim("mine"), CallId::new(), &cancel);
        let run = Claimed::Run { attempt: 1 };
        assert_eq!(watch.runs.store.claim(&claim("mine")).await.unwrap(), run);
        watched.holds_since(Instant::now() - ago);
        (watch, watched, cancel)
    }

    fn run(watched: &Watched) -> &WatchedRun {
        &watched.0.as_ref().unwrap().run
    }

    #[tokio::test]
    async fn only_what_is_late_is_renewed_and_said_to_be_late() {
        for (ago, late) in [(Duration::ZERO, false), (late_after(), true)] {
            let (watch, watched, _) = held(ago).await;
            run(&watched).renew(watch.runs.store.as_ref()).await;
            assert_eq!(run(&watched).was_late.load(Ordering::Relaxed), late);
            assert!(!run(&watched).is_late());
        }
    }

    #[tokio::test]
    async fn a_claim_that_was_given_up_is_not_made_again() {
        let (watch, watched, _) = held(late_after()).await;
        let store = watch.runs.store.as_ref();
        watched.ended().await;
        store.release(&claim("mine")).await.unwrap();
        run(&watched).renew(store).await;
        let run = Claimed::Run { attempt: 1 };
        assert_eq!(store.claim(&claim("yours")).await.unwrap(), run);
    }

    #[tokio::test]
    async fn a_run_whose_claim_another_has_is_told_so() {
        let (watch, watched, cancel) = held(late_after()).await;
        let store = watch.runs.store.as_ref();
        store.lapse(&claim("mine")).await.unwrap();
        store.claim(&claim("yours")).await.unwrap();
        run(&watched).renew(store).await;
        assert!(cancel.is_cancelled());
        assert!(!run(&watched).is_late(), "it is looked after no more");
    }

    #[tokio::test]
    async fn a_run_that_is_over_leaves_no_place() {
        let (watch, watched, _) = held(Duration::ZERO).await;
        assert_eq!(watch.runs.watched().len(), 1);
        drop(watched);
        assert!(watch.runs.watched().is_empty());
    }
}
