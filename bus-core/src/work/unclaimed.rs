//! A command whose handler keeps the record of what came of it runs as any other, in a task of its
//! own and to the end, but under no claim: what tells one run from another is the handler's to know.
//! That it kills its workers for ever is told by the count of its redeliveries.

use super::{
    AnswerFuture, CommandFuture, FinishedRun, Run, RunEnd, cancelled, expired, panicked,
    run::WeakRun,
};
use crate::context::Context;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

/// A command to run without a claim.
pub(crate) struct UnclaimedCommand {
    pub(crate) context: Context,
    /// When it is no longer to be started.
    pub(crate) start_by: Option<Instant>,
    /// Fired when this worker is told to stop, and deliveries are given back.
    pub(crate) leaving: CancellationToken,
}

impl UnclaimedCommand {
    /// Starts the task and waits for its end.
    pub(crate) fn start(
        self,
        run: Run,
        handler: impl FnOnce() -> AnswerFuture + Send + 'static,
    ) -> CommandFuture {
        CommandFuture::start(run, |noted, done| self.run(noted, handler, done))
    }

    async fn run(
        self,
        noted: WeakRun,
        handler: impl FnOnce() -> AnswerFuture + Send,
        done: oneshot::Sender<FinishedRun>,
    ) {
        if !noted.is_withdrawn() && (done.is_closed() || self.leaving.is_cancelled()) {
            // The delivery is given back.
            return;
        }
        let answer = if noted.is_withdrawn() {
            cancelled().into()
        } else if self.start_by.is_some_and(|by| by <= Instant::now()) {
            expired().into()
        } else {
            let scoped = self.context.scope(async move { handler().await });
            let caught = AssertUnwindSafe(scoped).catch_unwind().await;
            caught.unwrap_or_else(|_| panicked())
        };
        // Whether a run before this one did something is told by its message, not by a claim.
        let end = RunEnd::Unknown;
        let _ = done.send(FinishedRun { answer, end });
    }
}
