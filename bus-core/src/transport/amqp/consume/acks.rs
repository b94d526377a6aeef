//! Acknowledging: the broker is told what was settled, in as few frames as is safe.
//!
//! `basic.ack` with `multiple` settles every delivery up to a tag, so it may only be sent when all
//! of those are settled, in this order, on this channel: one task per channel sends them all.

use crate::transport::{SettleOrder, Settled};
use futures_util::FutureExt;
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicNackOptions},
};
use std::{collections::BTreeSet, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// The time an ack may be held so that others join it. The caller has its reply already; what is
/// held only takes up prefetch.
const HOLD: Duration = Duration::from_millis(5);

/// The time the broker has to agree to the end of a channel.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// A frame to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Ack { tag: u64, multiple: bool },
    Requeue { tag: u64 },
}

/// The settled and the unsettled deliveries of one channel. Delivery tags count from 1 without
/// gaps, so what is not settled shows as gaps; there are at most as many as the prefetch.
#[derive(Debug, Default)]
struct Tally {
    /// The highest tag that was settled.
    highest: u64,
    /// Tags below that which are not settled.
    unsettled: BTreeSet<u64>,
    /// Acks the broker is still to be told.
    held: BTreeSet<u64>,
}

impl Tally {
    /// Takes in an order; what is given back to the queue is told at once.
    fn settle(&mut self, order: SettleOrder) -> Option<Frame> {
        let SettleOrder { tag, settled } = order;
        if tag > self.highest {
            self.unsettled.extend(self.highest + 1..tag);
            self.highest = tag;
        } else {
            self.unsettled.remove(&tag);
        }
        match settled {
            Settled::Ack => {
                self.held.insert(tag);
                None
            }
            Settled::Requeue => Some(Frame::Requeue { tag }),
        }
    }

    /// All acks held so far: one frame for those with nothing unsettled below, one each for those
    /// that overtook something slow.
    fn flush(&mut self) -> Vec<Frame> {
        let above = match self.unsettled.first() {
            Some(slowest) => self.held.split_off(slowest),
            None => BTreeSet::new(),
        };
        let below = std::mem::take(&mut self.held);
        let mut frames = Vec::with_capacity(1 + above.len());
        // RabbitMQ closes the channel unless the tag itself is one it waits for: the highest ack
        // will do, the highest tag might not.
        if let Some(tag) = below.last() {
            frames.push(Frame::Ack {
                tag: *tag,
                multiple: below.len() > 1,
            });
        }
        frames.extend(above.into_iter().map(|tag| Frame::Ack {
            tag,
            multiple: false,
        }));
        frames
    }
}

/// Carries out the orders for the deliveries of one channel until all are settled (then closes the
/// channel), the channel ends, or `closing`.
pub(super) async fn run(
    channel: Arc<Channel>,
    mut orders: mpsc::UnboundedReceiver<SettleOrder>,
    prefetch: u16,
    closing: CancellationToken,
) {
    let enough = usize::from(prefetch / 4).max(1);
    let mut tally = Tally::default();
    let mut batch = Vec::new();
    let mut due = pin!(sleep_until(Instant::now()));
    loop {
        let closed = tokio::select! {
            biased;
            count = orders.recv_many(&mut batch, enough.max(64)) => count == 0,
            () = due.as_mut(), if !tally.held.is_empty() => false,
            () = closing.cancelled() => {
                orders.close();
                while let Ok(order) = orders.try_recv() {
                    batch.push(order);
                }
                true
            }
        };
        let was_empty = tally.held.is_empty();
        let mut frames: Vec<Frame> = batch
            .drain(..)
            .filter_map(|order| tally.settle(order))
            .collect();
        if was_empty && !tally.held.is_empty() {
            due.as_mut().reset(Instant::now() + HOLD);
        }
        if closed
            || tally.held.len() >= enough
            || (!tally.held.is_empty() && due.deadline() <= Instant::now())
        {
            frames.extend(tally.flush());
        }
        if frames
            .into_iter()
            .any(|frame| send(&channel, frame).is_err())
        {
            // The channel is gone. What was on it is delivered again, so its orders are moot.
            return;
        }
        if closed {
            let _ = tokio::time::timeout(CLOSE_WITHIN, channel.close(200, "done".into())).await;
            return;
        }
    }
}

/// Queues a frame. lapin does so when the future is first polled; the rest of it only waits for
/// the bytes to be written, and if they can't be, the channel's consumer hears of it.
fn send(channel: &Channel, frame: Frame) -> lapin::Result<()> {
    let sent = match frame {
        Frame::Ack { tag, multiple } => channel
            .basic_ack(tag, BasicAckOptions { multiple })
            .now_or_never(),
        Frame::Requeue { tag } => {
            let options = BasicNackOptions {
                multiple: false,
                requeue: true,
            };
            channel.basic_nack(tag, options).now_or_never()
        }
    };
    sent.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ack(tag: u64) -> SettleOrder {
        SettleOrder {
            tag,
            settled: Settled::Ack,
        }
    }

    fn requeue(tag: u64) -> SettleOrder {
        SettleOrder {
            tag,
            settled: Settled::Requeue,
        }
    }

    #[test]
    fn acks_in_one_frame_what_has_nothing_unsettled_below() {
        let mut tally = Tally::default();
        for tag in [2, 1, 3, 5] {
            assert_eq!(tally.settle(ack(tag)), None);
        }
        assert_eq!(
            tally.flush(),
            [
                Frame::Ack {
                    tag: 3,
                    multiple: true
                },
                Frame::Ack {
                    tag: 5,
                    multiple: false
                }
            ]
        );
        assert_eq!(tally.settle(ack(4)), None);
        assert_eq!(
            tally.flush(),
            [Frame::Ack {
                tag: 4,
                multiple: false
            }]
        );
    }

    #[test]
    fn never_names_a_tag_the_broker_is_done_with() {
        let mut tally = Tally::default();
        assert_eq!(tally.settle(ack(1)), None);
        assert_eq!(tally.settle(requeue(2)), Some(Frame::Requeue { tag: 2 }));
        assert_eq!(
            tally.flush(),
            [Frame::Ack {
                tag: 1,
                multiple: false
            }]
        );
    }

    /// RabbitMQ's side of a channel.
    #[derive(Default)]
    struct Broker {
        outstanding: BTreeSet<u64>,
        acked: BTreeSet<u64>,
        requeued: BTreeSet<u64>,
    }

    impl Broker {
        fn receive(&mut self, frame: Frame) {
            match frame {
                Frame::Requeue { tag } => {
                    assert!(self.outstanding.remove(&tag), "unknown delivery tag {tag}");
                    self.requeued.insert(tag);
                }
                Frame::Ack { tag, multiple } => {
                    assert!(
                        self.outstanding.contains(&tag),
                        "unknown delivery tag {tag}"
                    );
                    let above = if multiple {
                        self.outstanding.split_off(&(tag + 1))
                    } else {
                        let mut all = std::mem::take(&mut self.outstanding);
                        all.remove(&tag);
                        self.acked.insert(tag);
                        all
                    };
                    self.acked.append(&mut self.outstanding);
                    self.outstanding = above;
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_broker_hears_exactly_what_was_settled(
            settled in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 1..80)
        ) {
            let count = u64::try_from(settled.len()).unwrap();
            let mut open: Vec<u64> = (1..=count).collect();
            let mut broker = Broker { outstanding: open.iter().copied().collect(), ..Broker::default() };
            let mut tally = Tally::default();
            let (mut acked, mut requeued) = (BTreeSet::new(), BTreeSet::new());
            for (pick, is_ack, flush) in settled {
                let tag = open.remove(pick.index(open.len()));
                let order = if is_ack { acked.insert(tag); ack(tag) } else { requeued.insert(tag); requeue(tag) };
                tally.settle(order).into_iter().for_each(|frame| broker.receive(frame));
                if flush {
                    tally.flush().into_iter().for_each(|frame| broker.receive(frame));
                    prop_assert_eq!(&broker.acked, &acked);
                }
            }
            tally.flush().into_iter().for_each(|frame| broker.receive(frame));
            prop_assert_eq!(broker.acked, acked);
            prop_assert_eq!(broker.requeued, requeued);
            prop_assert!(broker.outstanding.is_empty() && tally.unsettled.is_empty());
        }
    }
}
