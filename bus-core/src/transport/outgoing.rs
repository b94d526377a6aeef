//! A message on its way to the publisher, and the receipt that tells what became of it.

use crate::message::Message;
use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
};
use tokio::time::Instant;

/// A message to publish.
///
/// ```
/// use replybus::{Instant, message::Message, transport::Outgoing};
/// use std::time::Duration;
///
/// let message = Message {
///     routing_key: "account.requests".into(),
///     ..Message::default()
/// };
/// let outgoing = Outgoing::new(message).deadline(Instant::now() + Duration::from_secs(1));
/// assert!(outgoing.confirm && outgoing.mandatory);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outgoing {
    /// The message. Its `expiration` is set from `deadline` when it is written, not before: time
    /// spent waiting for a connection counts.
    pub message: Message,
    /// When it stops being worth sending. `None` waits as long as the transport lives.
    pub deadline: Option<Instant>,
    /// A message that reaches no queue is an error ([`Verdict::Unroutable`]).
    pub mandatory: bool,
    /// The broker is asked to say that it has the message. Without that a verdict comes
    /// only if something is seen to go wrong while the receipt lives: that a full queue refused the
    /// message is not.
    pub confirm: bool,
}

impl Outgoing {
    /// A message without a deadline, which must reach a queue, and whose confirm is wanted.
    #[must_use]
    pub fn new(message: Message) -> Self {
        Self {
            message,
            deadline: None,
            mandatory: true,
            confirm: true,
        }
    }

    /// Sets when it stops being worth sending.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets whether a message that reaches no queue is an error.
    #[must_use]
    pub fn mandatory(mut self, mandatory: bool) -> Self {
        self.mandatory = mandatory;
        self
    }

    /// Sets whether the broker is asked to say that it has the message.
    #[must_use]
    pub fn confirm(mut self, confirm: bool) -> Self {
        self.confirm = confirm;
        self
    }
}

/// The word on what became of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The broker has it.
    Confirmed,
    /// The broker returned it: no queue is bound. It was not stored.
    Unroutable,
    /// The broker refused it (`basic.nack`): the queue is full. It was not stored.
    Refused,
    /// The broker says that this user may not publish it there; the text is its own. It was not
    /// stored, and would not be if it were sent again.
    Denied(Arc<str>),
    /// The broker does not take such a message: it is larger than it allows, say; the text is its
    /// own. It was not stored, and would not be if it were sent again.
    Unacceptable(Arc<str>),
    /// Never written: too many unconfirmed, or the broker blocks publishers.
    Busy,
    /// Never written: its deadline passed, it was withdrawn, or the transport closed.
    NotWritten,
    /// It was written, and its connection or channel was lost, or the time for a confirm was over,
    /// before a confirm came: nobody knows.
    Lost,
}

const QUEUED: u8 = 0;
const WRITTEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// The two ends of one publish.
#[derive(Debug)]
struct Shared {
    state: AtomicU8,
    told: Mutex<Told>,
}

#[derive(Debug)]
enum Told {
    /// Nothing yet; whoever asked is woken.
    Nothing(Option<Waker>),
    Verdict(Verdict),
    /// The publisher went away without one.
    Gone,
}

impl Shared {
    fn is(&self, state: u8) -> bool {
        self.state.load(Ordering::Acquire) == state
    }

    /// Moves on from [`QUEUED`]; the state it is in instead if it was not.
    fn move_on(&self, to: u8) -> Result<u8, u8> {
        let (acquire, release) = (Ordering::Acquire, Ordering::AcqRel);
        self.state.compare_exchange(QUEUED, to, release, acquire)
    }

    fn tell(&self, told: Told) {
        let before = mem::replace(&mut *self.told(), told);
        if let Told::Nothing(Some(waker)) = before {
            waker.wake();
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The publisher's end of a [`Receipt`].
#[derive(Debug)]
pub struct Slip(Asking);

/// Who asks for a verdict.
#[derive(Debug)]
enum Asking {
    One(Arc<Shared>),
    /// Those whose requests are in one message.
    Several(Arc<dyn SharedVerdict>),
}

/// Takes the verdict on a message that several callers share. Dropped without one, it is lost.
pub(crate) trait SharedVerdict: fmt::Debug + Send + Sync {
    /// `true` if nobody waits for the verdict any more.
    fn abandoned(&self) -> bool;

    /// Takes the verdict.
    fn fill(&self, verdict: Verdict);
}

/// The caller's end: resolves to the verdict, and can withdraw what was not written yet.
#[derive(Debug)]
pub struct Receipt(Kind);

#[derive(Debug)]
enum Kind {
    /// The verdict was known at once.
    Told(Verdict),
    Shared(Arc<Shared>),
}

impl Receipt {
    /// A receipt, after the slip that fills it.
    ///
    /// ```
    /// use replybus::transport::{Receipt, Verdict};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (slip, mut receipt) = Receipt::pair();
    /// assert!(slip.begin_write(), "it was not withdrawn");
    /// slip.fill(Verdict::Confirmed); // The broker said so.
    /// assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    /// # }
    /// ```
    #[must_use]
    pub fn pair() -> (Slip, Self) {
        let shared = Arc::new(Shared {
            state: AtomicU8::new(QUEUED),
            told: Mutex::new(Told::Nothing(None)),
        });
        let slip = Slip(Asking::One(Arc::clone(&shared)));
        (slip, Self(Kind::Shared(shared)))
    }

    /// The receipt of a publish whose verdict is known at once.
    ///
    /// ```
    /// use replybus::transport::{Receipt, Verdict};
    ///
    /// assert!(Receipt::told(Verdict::Confirmed).written());
    /// assert!(!Receipt::told(Verdict::Busy).written());
    /// ```
    #[must_use]
    pub fn told(verdict: Verdict) -> Self {
        Self(Kind::Told(verdict))
    }

    /// Waits for the verdict. A publisher that went away without one has lost the message if it
    /// was written.
    ///
    /// # Cancel safety
    /// Safe: called again it continues to wait.
    pub async fn verdict(&mut self) -> Verdict {
        poll_fn(|cx| self.poll_verdict(cx)).await
    }

    pub(crate) fn poll_verdict(&self, cx: &Context<'_>) -> Poll<Verdict> {
        let shared = match &self.0 {
            Kind::Told(verdict) => return Poll::Ready(verdict.clone()),
            Kind::Shared(shared) => shared,
        };
        match &mut *shared.told() {
            Told::Nothing(Some(waker)) => waker.clone_from(cx.waker()),
            Told::Nothing(waker) => *waker = Some(cx.waker().clone()),
            Told::Verdict(verdict) => return Poll::Ready(verdict.clone()),
            Told::Gone if shared.is(WRITTEN) => return Poll::Ready(Verdict::Lost),
            Told::Gone => return Poll::Ready(Verdict::NotWritten),
        }
        Poll::Pending
    }

    /// `true` if the message may have left this process.
    #[must_use]
    pub fn written(&self) -> bool {
        match &self.0 {
            Kind::Told(verdict) => !matches!(verdict, Verdict::Busy | Verdict::NotWritten),
            Kind::Shared(shared) => shared.is(WRITTEN),
        }
    }

    /// Takes the message back if it was not written yet.
    pub fn withdraw(&self) -> Withdrawn {
        let is_back = match &self.0 {
            Kind::Told(_) => !self.written(),
            Kind::Shared(shared) => matches!(shared.move_on(WITHDRAWN), Ok(_) | Err(WITHDRAWN)),
        };
        if is_back {
            Withdrawn::Surely
        } else {
            Withdrawn::TooLate
        }
    }
}

/// The outcome of [`Receipt::withdraw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// The message will never be written.
    Surely,
    /// It was written, or is being written.
    TooLate,
}

impl Slip {
    /// The slip of a message that several callers share, and that none of them can withdraw.
    pub(crate) fn shared(by: Arc<dyn SharedVerdict>) -> Self {
        Self(Asking::Several(by))
    }

    /// Marks the message as being written; `false` if it was withdrawn and must not be.
    #[must_use]
    pub fn begin_write(&self) -> bool {
        match &self.0 {
            Asking::One(shared) => shared.move_on(WRITTEN).is_ok(),
            Asking::Several(_) => true,
        }
    }

    /// `true` if nobody waits for the verdict any more.
    #[must_use]
    pub fn abandoned(&self) -> bool {
        match &self.0 {
            Asking::One(shared) => Arc::strong_count(shared) == 1,
            Asking::Several(by) => by.abandoned(),
        }
    }

    /// Gives the verdict.
    pub fn fill(self, verdict: Verdict) {
        match &self.0 {
            Asking::One(shared) => shared.tell(Told::Verdict(verdict)),
            Asking::Several(by) => by.fill(verdict),
        }
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        if let Asking::One(shared) = &self.0
            && matches!(*shared.told(), Told::Nothing(_))
        {
            shared.tell(Told::Gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn withdrawn_before_the_write_is_never_written() {
        let (slip, receipt) = Receipt::pair();
        assert_eq!(receipt.withdraw(), Withdrawn::Surely);
        assert!(!slip.begin_write());
        assert!(!receipt.written());
    }

    #[tokio::test]
    async fn after_the_write_it_is_too_late() {
        let (slip, mut receipt) = Receipt::pair();
        assert!(slip.begin_write());
        assert_eq!(receipt.withdraw(), Withdrawn::TooLate);
        drop(slip);
        assert_eq!(receipt.verdict().await, Verdict::Lost);
    }

    #[tokio::test]
    async fn a_publisher_that_goes_away_leaves_an_honest_verdict() {
        let (slip, mut receipt) = Receipt::pair();
        drop(slip);
        assert_eq!(receipt.verdict().await, Verdict::NotWritten);
    }
}
