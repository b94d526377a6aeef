//! The queues of dead letters that do not take any more, with the reason: a service that loses what
//! it should keep is up in every other respect.

use crate::transport::Transport;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The period at which a queue that was full is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The dead letters that one bus dropped and would drop again.
#[derive(Debug, Clone)]
pub(crate) struct Drops {
    noted: Arc<Mutex<BTreeMap<String, Noted>>>,
    /// Fired when the bus is closed.
    closed: CancellationToken,
}

#[derive(Debug)]
struct Noted {
    count: u64,
    why: &'static str,
}

impl Drops {
    pub(crate) fn new(closed: CancellationToken) -> Self {
        Self {
            noted: Arc::default(),
            closed,
        }
    }

    /// Queue and reason.
    pub(crate) fn all(&self) -> BTreeMap<String, String> {
        let noted = self.lock();
        let texts = noted.iter().map(|(queue, Noted { count, why })| {
            let text = format!("{why}: {count} dropped");
            (queue.clone(), text)
        });
        texts.collect()
    }

    /// `true` if the last letter to a queue was dropped, as far as is known.
    pub(super) fn has(&self, queue: &str) -> bool {
        self.lock().contains_key(queue)
    }

    /// How many letters to a queue were dropped, since it last took one.
    pub(super) fn count(&self, queue: &str) -> u64 {
        self.lock().get(queue).map_or(0, |noted| noted.count)
    }

    /// Notes that a queue has taken a letter, which was put when so many had been dropped. If there
    /// are more by now nothing ends: a broker refuses at once, and takes its time to confirm, so the
    /// last letter that fits is confirmed when others have been dropped for want of room.
    pub(super) fn taken(&self, queue: &str, dropped: u64) {
        let mut noted = self.lock();
        if noted.get(queue).is_some_and(|noted| noted.count <= dropped) {
            noted.remove(queue);
        }
    }

    /// Notes that a queue has room again.
    fn end(&self, queue: &str) {
        self.lock().remove(queue);
    }

    /// Notes that a letter was dropped. That ends when the queue takes one, or somebody has taken
    /// some out of it.
    pub(super) fn note(&self, transport: &Arc<dyn Transport>, queue: &str, why: &'static str) {
        let mut noted = self.lock();
        let entry = noted.entry(queue.to_owned());
        let mut is_new = false;
        let entry = entry.or_insert_with(|| {
            is_new = true;
            Noted { count: 0, why }
        });
        entry.count += 1;
        entry.why = why;
        if is_new {
            // Not kept alive by this: a bus that is dropped has no more letters.
            let (drops, transport) = (self.clone(), Arc::downgrade(transport));
            let queue = queue.to_owned();
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    () = drops.watch(&transport, &queue) => {}
                    () = drops.closed.cancelled() => {}
                }
            });
        }
    }

    /// Waits until a queue holds fewer letters than it did.
    async fn watch(&self, transport: &Weak<dyn Transport>, queue: &str) {
        let mut most = 0;
        while self.has(queue) {
            let Some(transport) = transport.upgrade() else {
                return;
            };
            if let Ok(state) = transport.inspect(queue).await {
                let waiting = state.map_or(0, |state| state.waiting);
                if waiting < most {
                    self.end(queue);
                }
                most = most.max(waiting);
            }
            drop(transport);
            sleep(LOOK_EVERY).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Noted>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
