//! The worker's end: what a handler says of how far it is, on its way into the record.

use super::Progress;
use crate::{
    limits::PROGRESS_EVERY,
    reply::{Claim, ReplyStore},
};
use std::convert::Infallible;
use tokio::{sync::watch, time::sleep};

/// What a handler reports to. Only the newest counts.
#[derive(Debug, Clone)]
pub(crate) struct Reporter(watch::Sender<Option<Progress>>);

/// What was reported, for the one who writes it.
#[derive(Debug, Clone)]
pub(crate) struct Reports(watch::Receiver<Option<Progress>>);

impl Reporter {
    pub(crate) fn new() -> (Self, Reports) {
        let (reporter, reports) = watch::channel(None);
        (Self(reporter), Reports(reports))
    }

    /// Reports, at once.
    pub(crate) fn report(&self, progress: Progress) {
        self.0.send_replace(Some(progress));
    }
}

impl Reports {
    /// What was reported last.
    pub(super) fn newest(&self) -> Option<Progress> {
        self.0.borrow().clone()
    }

    /// Writes them into the record of a claim for as long as it is polled, the newest each time.
    pub(crate) async fn write(mut self, store: &dyn ReplyStore, claim: &Claim) -> Infallible {
        while self.0.changed().await.is_ok() {
            let newest = self.0.borrow_and_update().clone();
            let Some(newest) = newest else {
                continue;
            };
            if let Err(error) = store.note(claim, newest.encode()).await {
                tracing::debug!(%error, "the progress of a job is noted later");
                self.0.mark_changed();
            }
            sleep(PROGRESS_EVERY).await;
        }
        std::future::pending().await
    }
}
