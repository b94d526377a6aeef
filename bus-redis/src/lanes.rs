//! What is asked for while its like is under way waits, and then leaves together.
//!
//! There is no timer and no pause: whoever finds its lane free goes at once, in its own task. Those
//! that come meanwhile leave as soon as it is back, as one batch, with a task of the store's to
//! carry them, which ends when nobody waits. So a caller that is dropped takes nobody with it, and
//! the more there is to do, the more is done at once.

use crate::error::{Cure, Failure};
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    future::Future,
    hash::Hash,
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{runtime::Handle, sync::oneshot};
use tokio_util::task::TaskTracker;

/// Jobs of one batch. With 32 to 64 an entry costs Redis half of what it costs alone, and more
/// gain nothing; a script of so many holds up the server for less than a millisecond.
pub(crate) const JOBS_MAX: usize = 64;
/// Bytes of one batch: a full one of 1 KiB each. A larger job goes by itself, since it is its
/// bytes that cost then.
pub(crate) const BYTES_MAX: usize = 64 * 1024;

/// A kind of work that can be done for several at once. Doing it twice does no harm.
pub(crate) trait Batched: Send + Sync + 'static {
    /// Names what there is one batch under way of at a time.
    type Lane: Clone + Eq + Hash + Send + Sync + 'static;
    type Job: Send + Sync + 'static;
    type Done: Send + 'static;

    fn bytes(job: &Self::Job) -> usize;

    /// Does the jobs, and says of each what came of it, in their order. If it fails nothing is
    /// known of any.
    fn run(
        &self,
        lane: &Self::Lane,
        jobs: &[Self::Job],
    ) -> impl Future<Output = Result<Vec<Self::Done>, Failure>> + Send;
}

/// Lanes of one kind of work.
pub(crate) struct Lanes<B: Batched>(Arc<Shared<B>>);

struct Shared<B: Batched> {
    work: B,
    /// Carries the batches that nobody's own task does.
    home: Handle,
    tasks: TaskTracker,
    /// Those that have something under way, with what waits for its end.
    busy: Mutex<HashMap<B::Lane, VecDeque<Waiting<B>>>>,
}

struct Waiting<B: Batched> {
    job: B::Job,
    told: Verdict<B>,
}

type Verdict<B> = oneshot::Sender<Result<<B as Batched>::Done, Failure>>;

/// What leaves together, and who is told of each.
struct Batch<B: Batched> {
    jobs: Vec<B::Job>,
    told: Vec<Verdict<B>>,
}

/// How a job finds its lane.
enum Entered<B: Batched> {
    Free(Hold<B>, B::Job),
    Busy(oneshot::Receiver<Result<B::Done, Failure>>),
}

/// The hold on a lane of who has something under way. Let go of, it passes to what waits.
struct Hold<B: Batched> {
    shared: Arc<Shared<B>>,
    lane: B::Lane,
    holder: Holder,
}

#[derive(PartialEq, Eq)]
enum Holder {
    /// Whoever asked first.
    Caller,
    /// The task that carries the others. Its end is the end of its runtime, or a panic.
    Carrier,
    /// The lane was given up.
    Nobody,
}

impl<B: Batched> Lanes<B> {
    /// Lanes whose batches are carried by tasks of this runtime.
    pub(crate) fn new(work: B, home: Handle, tasks: TaskTracker) -> Self {
        Self(Arc::new(Shared {
            work,
            home,
            tasks,
            busy: Mutex::default(),
        }))
    }

    /// Does a job, at once if nothing is under way in its lane, or else with all that waits.
    ///
    /// # Cancel safety
    /// Dropped, the job may or may not have been done. It makes no difference to others.
    pub(crate) async fn run(&self, lane: B::Lane, job: B::Job) -> Result<B::Done, Failure> {
        if B::bytes(&job) > BYTES_MAX {
            return self.alone(&lane, &job).await;
        }
        match self.enter(lane, job) {
            Entered::Free(hold, job) => {
                let done = self.0.run_one(&hold.lane, &job).await;
                if let Err(failure) = &done {
                    hold.fail(failure);
                }
                done
            }
            // Its carrier is gone only with the runtime.
            Entered::Busy(told) => told.await.unwrap_or(Err(Failure::Closed)),
        }
    }

    /// Does a job by itself, whatever else is under way.
    ///
    /// # Cancel safety
    /// Dropped, the job may or may not have been done.
    pub(crate) async fn alone(&self, lane: &B::Lane, job: &B::Job) -> Result<B::Done, Failure> {
        self.0.run_one(lane, job).await
    }

    fn enter(&self, lane: B::Lane, job: B::Job) -> Entered<B> {
        match self.0.busy().entry(lane) {
            Entry::Vacant(free) => {
                let hold = Hold {
                    shared: Arc::clone(&self.0),
                    lane: free.key().clone(),
                    holder: Holder::Caller,
                };
                free.insert(VecDeque::new());
                Entered::Free(hold, job)
            }
            Entry::Occupied(mut busy) => {
                let (told, verdict) = oneshot::channel();
                busy.get_mut().push_back(Waiting { job, told });
                Entered::Busy(verdict)
            }
        }
    }
}

impl<B: Batched> Shared<B> {
    async fn run_one(&self, lane: &B::Lane, job: &B::Job) -> Result<B::Done, Failure> {
        let done = self.work.run(lane, slice::from_ref(job)).await?;
        done.into_iter().next().ok_or(Failure::Unexpected)
    }

    fn busy(&self) -> MutexGuard<'_, HashMap<B::Lane, VecDeque<Waiting<B>>>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Batched> Hold<B> {
    /// Tells those who wait of a failure to reach the server: what they asked for would fail like
    /// that, one batch after the other, each after as long a wait.
    fn fail(&self, failure: &Failure) {
        if failure.cure() == Cure::None {
            return;
        }
        let waiting = self.shared.busy().get_mut(&self.lane).map(std::mem::take);
        for waiting in waiting.into_iter().flatten() {
            let _ = waiting.told.send(Err(failure.clone()));
        }
    }

    /// Does what waits, batch after batch, until nobody does.
    async fn carry(mut self) {
        while let Some(Batch { jobs, told }) = self.next_batch() {
            let shared = &self.shared;
            match shared.work.run(&self.lane, &jobs).await {
                Ok(done) => {
                    // Who is left without a verdict is told that there was none.
                    for (told, done) in told.into_iter().zip(done) {
                        let _ = told.send(Ok(done));
                    }
                }
                Err(failure) if failure.cure() == Cure::None && jobs.len() > 1 => {
                    // The server refused, perhaps one of them only: it shows by itself.
                    for (told, job) in told.into_iter().zip(&jobs) {
                        let _ = told.send(shared.run_one(&self.lane, job).await);
                    }
                }
                Err(failure) => {
                    for told in told {
                        let _ = told.send(Err(failure.clone()));
                    }
                    self.fail(&failure);
                }
            }
        }
    }

    /// Takes what may leave together. The lane is given up if nobody waits.
    fn next_batch(&mut self) -> Option<Batch<B>> {
        let mut lanes = self.shared.busy();
        let mut batch = Batch {
            jobs: Vec::new(),
            told: Vec::new(),
        };
        let mut bytes = 0;
        if let Some(waiting) = lanes.get_mut(&self.lane) {
            while let Some(next) = waiting.front() {
                bytes += B::bytes(&next.job);
                let is_full = bytes > BYTES_MAX && !batch.jobs.is_empty();
                if is_full || batch.jobs.len() == JOBS_MAX {
                    break;
                }
                match waiting.pop_front() {
                    Some(next) if !next.told.is_closed() => {
                        batch.jobs.push(next.job);
                        batch.told.push(next.told);
                    }
                    // Its caller is gone.
                    _ => {}
                }
            }
        }
        if batch.jobs.is_empty() {
            lanes.remove(&self.lane);
            self.holder = Holder::Nobody;
            return None;
        }
        Some(batch)
    }
}

impl<B: Batched> Drop for Hold<B> {
    fn drop(&mut self) {
        if self.holder == Holder::Nobody {
            return;
        }
        let mut lanes = self.shared.busy();
        let waits = lanes.get(&self.lane).is_some_and(|lane| !lane.is_empty());
        if waits && self.holder == Holder::Caller {
            drop(lanes);
            let carrier = Self {
                shared: Arc::clone(&self.shared),
                lane: self.lane.clone(),
                holder: Holder::Carrier,
            };
            let Shared { tasks, home, .. } = &*self.shared;
            tasks.spawn_on(carrier.carry(), home);
            return;
        }
        // Dropped without the lock: who waits is told that there is no verdict.
        let left = lanes.remove(&self.lane);
        drop(lanes);
        drop(left);
    }
}

impl<B: Batched> fmt::Debug for Lanes<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes")
            .field("busy", &self.0.busy().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
