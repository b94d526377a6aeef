//! Threads that do nothing but hash.

use std::{io, time::Duration};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
};

/// They wait for work for so long.
const IDLE_FOR: Duration = Duration::from_secs(60 * 60);

/// A fixed number of threads. For each thread the allocator keeps some of what was given back, of
/// hashes 19 MiB and more; threads of the runtime that serves calls come and go, and in the end many
/// of them would have hashed.
#[derive(Debug)]
pub struct HashingThreads {
    handle: Handle,
    /// Until it is dropped.
    runtime: Option<Runtime>,
}

impl HashingThreads {
    /// Threads that are started when there is work for them.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(threads)
            .thread_keep_alive(IDLE_FOR)
            .thread_name("passwords")
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Runs this on one of them, when one is free, also if nobody waits for it.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn_blocking(work)
    }
}

impl Drop for HashingThreads {
    fn drop(&mut self) {
        // Whoever drops it may serve calls, and must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
