//! The life of an intake, as others see it and end it.

use super::Drained;
use std::future::Future;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// From its start to when all that it took is done. Clones see the same one.
#[derive(Debug, Clone)]
pub(crate) struct Lifetime {
    /// Ends the intake, which then drains.
    pub(super) stop: CancellationToken,
    /// Fired when that was asked for, and its handle not only dropped.
    pub(super) asked: CancellationToken,
    /// Fired when it takes no more.
    pub(super) draining: CancellationToken,
    /// The deliveries it works on.
    pub(super) deliveries: TaskTracker,
    /// What is done beside it, and ends with it.
    pub(super) beside: TaskTracker,
    ended: watch::Receiver<Option<Drained>>,
}

impl Lifetime {
    /// That of an intake which says by the sender that it has ended.
    pub(super) fn new() -> (Self, watch::Sender<Option<Drained>>) {
        let (end, ended) = watch::channel(None);
        let lifetime = Self {
            stop: CancellationToken::new(),
            asked: CancellationToken::new(),
            draining: CancellationToken::new(),
            deliveries: TaskTracker::new(),
            beside: TaskTracker::new(),
            ended,
        };
        (lifetime, end)
    }

    /// The number of deliveries it works on.
    pub(crate) fn in_flight(&self) -> u64 {
        u64::try_from(self.deliveries.len()).unwrap_or(u64::MAX)
    }

    /// Ends it, as a shutdown does.
    pub(crate) fn drain(&self) {
        self.asked.cancel();
        self.stop.cancel();
    }

    /// `true` once it takes no more.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits until it takes no more.
    pub(crate) async fn drains(&self) {
        self.draining.cancelled().await;
    }

    /// Waits until all that it took is done or given back.
    pub(crate) async fn ended(&self) -> Drained {
        let mut ended = self.ended.clone();
        let drained = ended.wait_for(Option::is_some).await;
        // Without a word it was dropped, with all that it had.
        let drained = drained.ok().and_then(|drained| *drained);
        drained.unwrap_or(Drained { given_back: 0 })
    }

    /// Runs something beside it. Its end waits for it, a little; so this must see that
    /// [end](Self::ended).
    pub(crate) fn spawn(&self, beside: impl Future<Output = ()> + Send + 'static) {
        self.beside.spawn(beside);
    }
}
