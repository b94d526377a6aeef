//! The way between a process and the servers: what it asks leaves in its order, and is carried out
//! there; what comes back is carried out here.

use crate::session::Session;
use futures_util::future::BoxFuture;
use replybus::{
    message::Message,
    transport::{Departure, Slip, Verdict},
};
use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

/// What a process does when an answer, a delivery or a reply reaches it.
pub(crate) type Back = Box<dyn FnOnce() + Send>;

/// What a server does when a request reaches it.
pub(crate) type Job = Box<dyn FnOnce(Arc<Session>) -> BoxFuture<'static, Back> + Send>;

/// The connections of a process. What goes over one keeps its order, but for those to the store,
/// which are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// The broker: all but what is published directly.
    Broker,
    /// The broker: calls that leave past what waits, on a channel of their own.
    Direct,
    /// The store.
    Store,
    /// Nothing that can be cut: a step of the process's own.
    Own,
}

impl Lane {
    pub(crate) const fn is_broker(self) -> bool {
        matches!(self, Self::Broker | Self::Direct)
    }
}

/// The connection of a process to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// Counts its connections.
    pub(crate) number: u64,
    pub(crate) is_up: bool,
}

/// A request on its way to a server: one step of a process.
pub(crate) struct Sent {
    pub(crate) lane: Lane,
    /// The connection to the broker it is for.
    pub(crate) link: u64,
    pub(crate) what: &'static str,
    /// What it is about, for the trace.
    pub(crate) about: String,
    pub(crate) act: Act,
    /// Told when it is out.
    pub(crate) departure: Option<Departure>,
}

/// What a request is.
pub(crate) enum Act {
    /// A publish, which may be doubled.
    Publish(Box<Publish>),
    /// Anything else.
    Job(Job),
}

/// A message to publish, and whom to tell of it.
pub(crate) struct Publish {
    pub(crate) line: u64,
    pub(crate) message: Message,
    /// The time it is worth sending.
    pub(crate) ttl: Option<Duration>,
    /// How long it is to wait on the broker.
    pub(crate) delay: Option<Duration>,
    pub(crate) mandatory: bool,
    pub(crate) told: Told,
}

/// Who is told of a verdict.
pub(crate) struct Told {
    pub(crate) slip: Slip,
    pub(crate) confirm: bool,
    /// Where the slips of those are kept that no confirm is asked for.
    pub(crate) unconfirmed: Arc<Mutex<Vec<Slip>>>,
}

impl Told {
    /// Without a confirm, only what went wrong is told.
    pub(crate) fn tell(self, verdict: Verdict) {
        if self.confirm || verdict != Verdict::Confirmed {
            return self.slip.fill(verdict);
        }
        let mut unconfirmed = lock(&self.unconfirmed);
        unconfirmed.retain(|slip| !slip.abandoned());
        unconfirmed.push(self.slip);
    }
}

/// The answer to a request was lost, or the request.
#[derive(Debug, thiserror::Error)]
#[error("the connection was lost")]
pub(crate) struct Lost;

/// The end of the way that a process has. Its clones are the same.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Ends>);

struct Ends {
    outbox: Mutex<Vec<Sent>>,
    /// The process is dead: nothing leaves it any more, whatever its destructors do.
    is_dead: AtomicBool,
    link: Mutex<Link>,
    /// Wakes in the order in which it is waited for, which tokio's `watch` does not.
    link_changed: Notify,
}

impl Wire {
    pub(crate) fn new(link: Link) -> Self {
        Self(Arc::new(Ends {
            outbox: Mutex::default(),
            is_dead: AtomicBool::new(false),
            link: Mutex::new(link),
            link_changed: Notify::new(),
        }))
    }

    /// Sends a request.
    pub(crate) fn send(&self, sent: Sent) {
        if !self.0.is_dead.load(Ordering::Relaxed) {
            lock(&self.0.outbox).push(sent);
        }
    }

    /// Sends a request, and waits for its answer.
    pub(crate) fn ask<T, F, J>(
        &self,
        lane: Lane,
        what: &'static str,
        about: &str,
        job: J,
    ) -> impl Future<Output = Result<T, Lost>> + Send + use<T, F, J>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
        J: FnOnce(Arc<Session>) -> F + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let act: Job = Box::new(move |session| {
            Box::pin(async move {
                let value = job(session).await;
                let back: Back = Box::new(move || {
                    // Who asked may have given up.
                    let _ = sender.send(value);
                });
                back
            })
        });
        self.send(Sent {
            lane,
            link: self.link().number,
            what,
            about: about.to_owned(),
            act: Act::Job(act),
            departure: None,
        });
        async move { answer.await.map_err(|_| Lost) }
    }

    pub(crate) fn link(&self) -> Link {
        *lock(&self.0.link)
    }

    /// Is told of changes of the link.
    pub(crate) fn link_changed(&self) -> &Notify {
        &self.0.link_changed
    }

    pub(crate) fn set_link(&self, link: Link) {
        *lock(&self.0.link) = link;
        self.0.link_changed.notify_waiters();
    }

    /// All that was sent since the last time.
    pub(crate) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut *lock(&self.0.outbox))
    }

    /// Lets nothing out any more.
    pub(crate) fn kill(&self) {
        self.0.is_dead.store(true, Ordering::Relaxed);
        drop(self.take());
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("link", &self.link())
            .finish_non_exhaustive()
    }
}

/// Locks what nobody can have left half-done: a panic in a process is caught by its runtime.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
