//! The moment at which a message has left the process: callers that come before it travel together.

use super::{Outgoing, Slip};
use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

/// The part of a transport that writes without a queue of its own, and tells when a message is out.
///
/// Calls that come while one is being written wait for that, and leave as one message. A transport
/// that never keeps a caller waiting has no use for it, and calls go through
/// [`Transport::publish`](super::Transport::publish) one by one.
pub trait DirectPublish: Send + Sync {
    /// `true` while [`write`](Self::write) can be expected to succeed.
    fn is_open(&self) -> bool;

    /// Writes a message that no confirm is asked for, past everything that waits; or gives it back,
    /// if that can't be done now. The slip is marked as written before that and filled when there
    /// is a verdict; it must be kept until then, or until it is abandoned. The departure is told,
    /// or dropped, as soon as the message is out, or has been given up.
    fn write(
        &self,
        outgoing: Outgoing,
        slip: Slip,
        departure: Departure,
    ) -> Option<(Outgoing, Slip)>;
}

/// Tells that a message is out: once, and when it is dropped at the latest.
pub struct Departure(Arc<Told>);

/// Is told of departures. Called on whatever thread writes: it must return at once.
pub(crate) trait Departed: Send + Sync {
    fn departed(self: Arc<Self>);
}

impl<F: Fn() + Send + Sync> Departed for F {
    fn departed(self: Arc<Self>) {
        self();
    }
}

struct Told {
    told: AtomicBool,
    to: Weak<dyn Departed>,
}

impl Departure {
    pub(crate) fn new(to: Weak<dyn Departed>) -> Self {
        Self(Arc::new(Told {
            told: AtomicBool::new(false),
            to,
        }))
    }

    /// A departure that calls `told`, as long as that is there: for a test of a transport, or one
    /// that wraps another.
    ///
    /// ```
    /// use replybus::transport::Departure;
    /// use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    ///
    /// let left = Arc::new(AtomicBool::new(false));
    /// let note = Arc::clone(&left);
    /// let told = Arc::new(move || note.store(true, Ordering::SeqCst));
    /// Departure::to(&told).tell();
    /// assert!(left.load(Ordering::SeqCst));
    /// ```
    pub fn to(told: &Arc<impl Fn() + Send + Sync + 'static>) -> Self {
        let told = Arc::downgrade(told);
        Self::new(told)
    }

    /// Tells that the message is out.
    pub fn tell(self) {
        self.0.tell();
    }

    /// A waker that tells, for a future that is ready when the message is out: it need not be
    /// polled again for that, but must be kept until then.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// `true` once it was told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.0.told.load(Ordering::Acquire)
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.0.tell();
    }
}

impl fmt::Debug for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departure")
            .field("is_told", &self.is_told())
            .finish_non_exhaustive()
    }
}

impl Told {
    fn tell(&self) {
        if !self.told.swap(true, Ordering::AcqRel)
            && let Some(to) = self.to.upgrade()
        {
            to.departed();
        }
    }
}

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.tell();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Departed for Count {
        fn departed(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn it_is_told_once_by_whatever_comes_first() {
        let count = Arc::new(Count::default());
        let departure = || {
            let count: Weak<Count> = Arc::downgrade(&count);
            Departure::new(count)
        };
        departure().tell();
        drop(departure());
        let woken = departure();
        let waker = woken.waker();
        waker.wake_by_ref();
        assert!(woken.is_told());
        drop(woken);
        waker.wake();
        assert_eq!(count.0.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn nobody_needs_to_be_there_to_be_told() {
        let gone: Weak<Count> = Weak::new();
        Departure::new(gone).tell();
    }
}
