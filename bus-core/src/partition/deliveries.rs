//! The deliveries of all partitions that this process has, as one stream of what may be run.

use super::line::Line;
use crate::transport::{Deliveries, Delivery};
use async_trait::async_trait;
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;
use tokio_util::sync::DropGuard;

/// What may be run, of all partitions. It ends when none of them is consumed any more.
#[derive(Debug)]
pub(super) struct PartitionDeliveries {
    pub(super) ready: mpsc::UnboundedReceiver<Arc<Line>>,
    /// Has the partitions end. Each of them keeps its consumer until all that runs of it is settled.
    pub(super) stop: Option<DropGuard>,
}

#[async_trait]
impl Deliveries for PartitionDeliveries {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if self.stop.is_none() {
            return Poll::Ready(None);
        }
        loop {
            let Some(line) = ready!(self.ready.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            // Of a line that has ended nothing is begun.
            if let Some(delivery) = line.take() {
                return Poll::Ready(Some(delivery));
            }
        }
    }

    async fn stop(&mut self) {
        self.stop = None;
        self.ready.close();
        while self.ready.try_recv().is_ok() {}
    }
}
