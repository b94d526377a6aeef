//! Runs commands on a few held connections, and replaces those that fail.
//!
//! Callers share the connections directly. Collecting what waits into one pipeline was measured
//! with 64 callers and 200-byte replies: within noise of this on a quiet machine, up to twice as
//! fast on a busy one, always far above what the broker carries; so the simpler way stays.
//!
//! Every operation given to it is safe to repeat: what was not answered may have been carried out.

use crate::{
    connection::{Held, Link, Pool},
    error::{Cure, Failure},
    health::Health,
    trial::{COMMANDS, Trial},
};
use backon::{BackoffBuilder, ExponentialBuilder};
use replybus::limits::CONNECT_TIMEOUT;
use std::{
    fmt,
    future::Future,
    iter,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// An operation may take so many response timeouts in all: one on a connection that turns out to
/// be dead, one on its replacement, and one for what lies between.
const RESPONSE_TIMEOUTS_IN_ALL: u32 = 3;
/// Pauses between attempts, after the second, which follows the first at once.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(10);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);

/// Held connections: one is used, and the next when that fails.
pub(crate) struct Writer {
    pool: Arc<Pool>,
    slots: Box<[Slot]>,
    turn: AtomicUsize,
    response_timeout: Duration,
    health: Arc<Health>,
}

#[derive(Default)]
struct Slot {
    current: Mutex<Current>,
    /// One makes the new connection, the others wait for it.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    held: Option<Held>,
    /// Of many that saw one connection fail, the first discards it and the others nothing.
    generation: u64,
}

impl Writer {
    pub(crate) fn new(
        pool: Arc<Pool>,
        connections: usize,
        response_timeout: Duration,
        health: Arc<Health>,
    ) -> Self {
        let slots = iter::repeat_with(Slot::default).take(connections).collect();
        Self {
            pool,
            slots,
            turn: AtomicUsize::new(0),
            response_timeout,
            health,
        }
    }

    /// Runs `operation`, and again on another connection if it failed for want of a good one,
    /// within a few response timeouts in all. A failure is noted; that it works again is for
    /// [`probe`](Self::probe) to find out, because not all that succeeds has stored something.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not have been carried out.
    pub(crate) async fn run<T, F>(&self, operation: impl Fn(Link) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let outcome = self.read(operation).await;
        self.note(&outcome);
        outcome
    }

    fn note<T>(&self, outcome: &Result<T, Failure>) {
        if let Err(failure) = outcome
            && (failure.cure() != Cure::None || failure.refusal().is_some())
        {
            self.health.storing_fails(&failure.reason());
        }
    }

    /// As [`run`](Self::run), for an operation that only reads: it says nothing about storing.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn read<T, F>(&self, operation: impl Fn(Link) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let deadline = Instant::now() + self.response_timeout * RESPONSE_TIMEOUTS_IN_ALL;
        let mut pauses = iter::once(Duration::ZERO).chain(
            ExponentialBuilder::default()
                .with_min_delay(RETRY_PAUSE_MIN)
                .with_max_delay(RETRY_PAUSE_MAX)
                .with_jitter()
                .without_max_times()
                .build(),
        );
        loop {
            let attempt = self.attempt(&operation, self.response_timeout, deadline);
            let failure = match attempt.await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let pause = pauses.next().unwrap_or(RETRY_PAUSE_MAX);
            if failure.cure() == Cure::None || Instant::now() + pause >= deadline {
                return Err(failure);
            }
            sleep(pause).await;
        }
    }

    async fn attempt<T, F>(
        &self,
        operation: &impl Fn(Link) -> F,
        patience: Duration,
        deadline: Instant,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        // All on one, so that what is asked at the same time is written at once.
        let turn = self.turn.load(Ordering::Relaxed);
        let slot = self.slots.get(turn % self.slots.len());
        let slot = slot.ok_or(Failure::NoConnection)?;
        let connected = timeout_at(deadline, slot.link(&self.pool)).await;
        let (link, generation) = connected.map_err(|_| Failure::NoConnection)??;

        let patience = patience.min(deadline - Instant::now());
        let outcome = match timeout(patience, operation(link)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Silent(patience)),
        };
        if let Err(failure) = &outcome
            && failure.cure() == Cure::Reconnect
        {
            // At the first silence, not the third: commands of others still in flight keep the
            // old connection alive through their clones, so an early change costs one handshake.
            slot.discard(generation);
            // The first of those that saw it fail moves all of them on.
            let next = turn.wrapping_add(1);
            let _ = self
                .turn
                .compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        outcome
    }

    /// Ends the connections; whatever is asked later fails.
    pub(crate) fn close(&self) {
        self.pool.close();
        for slot in &self.slots {
            let generation = slot.current().generation;
            slot.discard(generation);
        }
    }

    /// Once anything failed, tries everything until it works, so that health needs no traffic to
    /// recover, and does not while one of them still fails.
    pub(crate) async fn probe(&self, trial: &Trial) {
        // Of each command it is known whether it was answered: what ends the connection, which others
        // use as well, is the silence of one, and not that all of them took long.
        let bound = self.response_timeout;
        let patience = bound * COMMANDS;
        loop {
            self.health.storing_failed().await;
            while !self.health.is_storing() {
                sleep(RETRY_PAUSE_MAX).await;
                let deadline = Instant::now() + CONNECT_TIMEOUT + patience;
                let try_all = |mut link: Link| async move { trial.run(&mut link, bound).await };
                let tried = self.attempt(&try_all, patience, deadline).await;
                self.note(&tried);
                if tried.is_ok() {
                    self.health.storing_works();
                }
            }
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("connections", &self.slots.len())
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}

impl Slot {
    async fn link(&self, pool: &Pool) -> Result<(Link, u64), Failure> {
        if let Some(link) = self.current().link() {
            return Ok(link);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(link) = self.current().link() {
            return Ok(link);
        }
        // Boxed: connecting is rare, and ten times the size of all else that is awaited here.
        let held = Box::pin(pool.get()).await?;
        let mut current = self.current();
        current.generation += 1;
        let link = (held.link(), current.generation);
        current.held = Some(held);
        Ok(link)
    }

    fn discard(&self, generation: u64) {
        let mut current = self.current();
        if current.generation == generation {
            let dead = current.held.take();
            drop(current);
            drop(dead.map(Held::take));
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn link(&self) -> Option<(Link, u64)> {
        Some((self.held.as_ref()?.link(), self.generation))
    }
}
