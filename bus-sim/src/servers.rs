//! The broker and the store, on a runtime of their own.

use crate::{
    session::{Arrival, Session},
    surroundings::Here,
    wire::{Act, Back, lock},
};
use replybus::{
    message::Message,
    reply::memory::MemoryReplies,
    simulation,
    transport::{Settled, Transport, memory::MemoryBroker},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, sleep_until},
};

/// What servers and sessions share.
pub(crate) struct Shared {
    broker: Mutex<MemoryBroker>,
    replies: MemoryReplies,
    /// The names of all that were consumed, or published to.
    queues: Mutex<BTreeSet<String>>,
    arrivals: Mutex<Vec<Arrival>>,
}

impl Shared {
    pub(crate) fn broker(&self) -> MemoryBroker {
        lock(&self.broker).clone()
    }

    pub(crate) fn replies(&self) -> MemoryReplies {
        self.replies.clone()
    }

    pub(crate) fn note_queue(&self, name: &str) {
        lock(&self.queues).insert(name.to_owned());
    }

    pub(crate) fn push(&self, arrival: Arrival) {
        lock(&self.arrivals).push(arrival);
    }
}

/// A request that has reached its server.
pub(crate) struct Reached {
    pub(crate) number: u64,
    pub(crate) session: Arc<Session>,
    pub(crate) act: Act,
    /// How often a publish is carried out.
    pub(crate) times: u32,
}

/// Both servers. Their clock is moved with those of all processes.
pub(crate) struct Servers {
    pub(crate) shared: Arc<Shared>,
    runtime: Runtime,
    start: Instant,
    here: Arc<Here>,
}

impl Servers {
    pub(crate) fn start(seed: u64) -> std::io::Result<Self> {
        let runtime = paused_runtime()?;
        let start = runtime.block_on(async { Instant::now() });
        Ok(Self {
            shared: Arc::new(Shared {
                broker: Mutex::new(MemoryBroker::new()),
                replies: MemoryReplies::new(),
                queues: Mutex::default(),
                arrivals: Mutex::default(),
            }),
            here: Here::new(seed, start, Duration::ZERO, 0),
            runtime,
            start,
        })
    }

    /// Carries out what has reached the servers, and lets time go by. Returns the answers, by the
    /// numbers of their requests.
    pub(crate) fn run(&self, until: Duration, reached: Vec<Reached>) -> Vec<(u64, Back)> {
        let end = self.start + until;
        self.within(async {
            let mut answers = Vec::with_capacity(reached.len());
            for Reached {
                number,
                session,
                act,
                times,
            } in reached
            {
                let back = match act {
                    Act::Job(job) => job(session).await,
                    Act::Publish(publish) => {
                        let (told, verdict) = session.publish(*publish, times).await;
                        let back: Back = Box::new(move || told.tell(verdict));
                        back
                    }
                };
                answers.push((number, back));
            }
            sleep_until(end).await;
            answers
        })
    }

    /// What was sent to processes since the last time.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        std::mem::take(&mut *lock(&self.shared.arrivals))
    }

    /// Does something on the servers at once.
    pub(crate) fn within<T>(&self, work: impl Future<Output = T>) -> T {
        simulation::within(&self.here.as_surroundings(), || self.runtime.block_on(work))
    }

    /// Loses all queues.
    pub(crate) fn lose_queues(&self) {
        *lock(&self.shared.broker) = MemoryBroker::new();
        lock(&self.shared.queues).clear();
    }

    /// Loses what was not to be written to disk.
    pub(crate) fn lose_transient(&self) {
        for queue in self.queues() {
            self.look_through(&queue, |message| !message.properties.persistent);
        }
    }

    /// The messages that wait in queues, the oldest first.
    pub(crate) fn left(&self) -> BTreeMap<String, Vec<Message>> {
        let messages = self.queues().into_iter().map(|queue| {
            let messages = self.look_through(&queue, |_| false);
            (queue, messages)
        });
        messages
            .filter(|(_, messages)| !messages.is_empty())
            .collect()
    }

    fn queues(&self) -> Vec<String> {
        lock(&self.shared.queues).iter().cloned().collect()
    }

    /// The messages that wait in a queue; those that are `lost` are not in it any more.
    fn look_through(&self, queue: &str, lost: impl Fn(&Message) -> bool) -> Vec<Message> {
        self.within(async {
            let transport = self.shared.broker().connect();
            let mut messages = Vec::new();
            if let Ok(mut browser) = transport.browse(queue).await {
                while let Ok(Some(delivery)) = browser.next().await {
                    if lost(&delivery.message) {
                        delivery.settler.settle(Settled::Ack);
                    }
                    messages.push(delivery.message);
                }
            }
            transport.close(Duration::ZERO).await;
            messages
        })
    }

    /// Loses all that was stored.
    pub(crate) fn lose_records(&self) {
        self.within(async { self.shared.replies.lose_data() });
    }
}

/// A runtime of one thread whose clock moves only when it is moved.
pub(crate) fn paused_runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
}
