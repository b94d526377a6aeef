//! The caller's end: calls to one queue that nobody waits for any more, said to those who serve it.

use super::cancel::{self, Cancelled};
use crate::{
    call_id::CallId,
    limits::{CANCELS_IN_ONE_MAX, CANCELS_WAITING_MAX, CONFIRM_TIMEOUT},
    message::Text,
    transport::{Outgoing, Transport, Verdict},
};
use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{runtime::Handle, task::yield_now, time::Instant};
use tokio_util::task::TaskTracker;

/// The cancelled calls to one queue. Those that are dropped together leave as one message.
#[derive(Debug)]
pub(crate) struct Cancels {
    transport: Arc<dyn Transport>,
    exchange: Text,
    queue: Text,
    runtime: Option<Handle>,
    /// What says them, which a bus that is closed waits for.
    saying: TaskTracker,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Cancelled>,
    /// A task takes what waits.
    sending: bool,
    /// The broker does not let this program say anything there.
    denied: bool,
}

impl Cancels {
    /// Those of calls to `queue`, which are published from tasks of `runtime`, if there is one, and
    /// among those of `saying`.
    pub(crate) fn new(
        transport: Arc<dyn Transport>,
        exchange: Text,
        queue: Text,
        runtime: Option<Handle>,
        saying: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            transport,
            exchange,
            queue,
            runtime,
            saying,
            state: Mutex::default(),
        })
    }

    /// Says that nobody waits for this call any more. Returns at once; it is not said if too many
    /// are waiting to be said.
    pub(crate) fn cancel(self: &Arc<Self>, id: CallId, deadline: Instant) {
        let Some(runtime) = &self.runtime else {
            return;
        };
        let mut state = self.state();
        if state.denied || state.waiting.len() >= CANCELS_WAITING_MAX {
            return;
        }
        state.waiting.push(Cancelled { id, deadline });
        if !mem::replace(&mut state.sending, true) {
            drop(state);
            self.saying.spawn_on(Arc::clone(self).send(), runtime);
        }
    }

    async fn send(self: Arc<Self>) {
        // Others are dropped in the same breath: with the connection that they were made for.
        yield_now().await;
        loop {
            let waiting = {
                let mut state = self.state();
                state.sending = !state.waiting.is_empty();
                mem::take(&mut state.waiting)
            };
            if waiting.is_empty() {
                return;
            }
            for calls in waiting.chunks(CANCELS_IN_ONE_MAX) {
                self.publish(calls).await;
            }
        }
    }

    async fn publish(&self, calls: &[Cancelled]) {
        let message = cancel::message(&self.exchange, &self.queue, calls);
        let outgoing = Outgoing::new(message)
            .mandatory(false)
            .deadline(Instant::now() + CONFIRM_TIMEOUT);
        let reason = match self.transport.publish(outgoing).verdict().await {
            Verdict::Denied(reason) => reason,
            Verdict::Unroutable => "there is no such exchange, and it can't be declared".into(),
            // What is lost was worth no more than this.
            _ => return,
        };
        tracing::warn!(
            exchange = %self.exchange,
            reason = %reason,
            "calls that are dropped can't be cancelled, and run to their end"
        );
        let mut state = self.state();
        state.denied = true;
        state.waiting = Vec::new();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
