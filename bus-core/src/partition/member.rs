//! One partition, as one member has it: consumed for as long as the contract is served here, handed
//! over when another is to have it.
//!
//! The broker says who has a partition: it sends its messages to one consumer, the one that has been
//! there for longest. All members consume all partitions, so that whoever dies is followed at once.
//! The store only says who is to have it: whoever has a partition that another should have begins
//! nothing more of it, ends what runs, and consumes it anew, behind all others.

use super::{line::Line, members::Members};
use crate::{
    error::SetupError,
    limits::{HAND_OVER_EVERY, STEADY_AFTER},
    presence::InstanceId,
    transport::{Deliveries, Source, Transport},
    work::Pauses,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// First and longest pause before a partition that was lost, or given back, is consumed anew.
const AGAIN_MIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(2);

/// The longest pause between two hand-overs to a member that does not take the partition: one that
/// has lost its broker, and not its store.
const HAND_OVER_MAX: Duration = Duration::from_secs(60);

/// One partition of a contract that is served here.
pub(super) struct Partition {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) source: Source,
    pub(super) number: u16,
    pub(super) ready: mpsc::UnboundedSender<Arc<Line>>,
    pub(super) members: watch::Receiver<Members>,
    /// This member.
    pub(super) me: InstanceId,
    pub(super) stop: CancellationToken,
    /// Who was to have it when it was last consumed anew: no longer behind this member.
    pub(super) behind: Option<InstanceId>,
    /// When it may be handed over again.
    pub(super) not_before: Instant,
    /// The pause before that.
    pub(super) pause: Duration,
}

/// Why a consumer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    HandedOver,
    /// A delivery was given back: it has to come again before those behind it.
    GivenBack,
    /// Its channel is gone, and the broker has all that was not settled.
    Lost,
}

impl Partition {
    /// Has the partition until it is stopped, or the transport is closed.
    pub(super) async fn run(mut self, first: Box<dyn Deliveries>) {
        let mut deliveries = first;
        let mut pauses = Pauses::new(AGAIN_MIN, AGAIN_MAX);
        loop {
            let since = Instant::now();
            let line = Line::new(self.number, self.ready.clone());
            let end = self.have(&line, deliveries.as_mut()).await;
            deliveries.stop().await;
            line.let_go();
            tracing::debug!(
                queue = self.source.queue.name,
                ?end,
                "a partition was let go"
            );
            if since.elapsed() > STEADY_AFTER {
                pauses = Pauses::new(AGAIN_MIN, AGAIN_MAX);
            }
            match end {
                End::Stopped => return,
                End::HandedOver => {
                    // Whoever is to have it was to have it before, and did not take it: it can't.
                    self.pause = match self.behind == self.preferred() {
                        true => (self.pause * 2).min(HAND_OVER_MAX),
                        false => HAND_OVER_EVERY,
                    };
                    self.not_before = Instant::now() + self.pause;
                }
                End::GivenBack | End::Lost => {
                    let pause = sleep(pauses.next());
                    if self.stop.run_until_cancelled(pause).await.is_none() {
                        return;
                    }
                }
            }
            self.behind = self.preferred();
            let Some(Some(anew)) = self.stop.clone().run_until_cancelled(self.consume()).await
            else {
                return;
            };
            deliveries = anew;
        }
    }

    /// Takes its deliveries, until they end or are to end, and nothing of them runs any more.
    async fn have(&mut self, line: &Line, deliveries: &mut dyn Deliveries) -> End {
        let mut end = None;
        let mut is_active = false;
        let mut members_known = true;
        loop {
            if end.is_none() && line.is_ending() {
                end = Some(End::GivenBack);
            }
            if let Some(end) = end {
                line.end();
                if end == End::Lost || line.is_idle() {
                    return end;
                }
            }
            let is_open = end.is_none();
            let is_due = is_open && self.is_for_another(is_active);
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if is_open => end = Some(End::Stopped),
                () = line.changed() => {}
                () = sleep_until(self.not_before), if is_due => end = Some(End::HandedOver),
                known = self.members.changed(), if is_open && members_known => {
                    members_known = known.is_ok();
                }
                delivery = deliveries.next(), if is_open => {
                    match delivery {
                        None => end = Some(End::Lost),
                        Some(delivery) => {
                            is_active = true;
                            if self.is_for_another(true) && self.not_before <= Instant::now() {
                                // Before it is begun.
                                line.end();
                                end = Some(End::HandedOver);
                            }
                            line.add(delivery);
                        }
                    }
                }
            }
        }
    }

    /// `true` if another member is to have it, and can't while this one is before it: one that has
    /// messages is, and one that was there before may be.
    fn is_for_another(&self, is_active: bool) -> bool {
        let preferred = self.preferred();
        preferred.is_some_and(|preferred| {
            preferred != self.me && (is_active || self.behind != Some(preferred))
        })
    }

    fn preferred(&self) -> Option<InstanceId> {
        self.members.borrow().preferred(self.number)
    }

    /// Consumes it anew, however long that takes; `None` if the transport is closed.
    async fn consume(&self) -> Option<Box<dyn Deliveries>> {
        let mut pauses = Pauses::new(AGAIN_MIN, AGAIN_MAX);
        loop {
            match self.transport.consume(self.source.clone()).await {
                Ok(deliveries) => return Some(deliveries),
                Err(SetupError::Closed) => return None,
                Err(error) => {
                    let queue = &self.source.queue.name;
                    tracing::error!(queue, %error, "a partition can't be consumed");
                }
            }
            sleep(pauses.next()).await;
        }
    }
}
