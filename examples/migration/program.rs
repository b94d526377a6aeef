//! A program that runs beside others. Here each is a task with connections of its own, so that one
//! process can show all of them; outside it would be a process, and [`Stop`] its SIGTERM.

use std::future::Future;
use tokio::{sync::oneshot, task::JoinHandle};

/// Completes when the program is to stop.
pub(crate) type Stop = oneshot::Receiver<()>;

pub(crate) struct Program {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Program {
    pub(crate) fn run<F>(work: impl FnOnce(Stop) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(work(stopped));
        Self { stop, ended }
    }

    /// Lets it end what it has begun, and waits for that.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        // If it has ended already, why is the result.
        let _ = self.stop.send(());
        self.ended.await?
    }
}
