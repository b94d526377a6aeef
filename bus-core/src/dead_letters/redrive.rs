//! Putting letters back to be handled.

use super::{
    DeadLetter, DeadLetterError, DeadLetterQueue, NotRedriven, Progress, Told, Wanted, walk::Walk,
};
use crate::{
    contract::unix_time,
    limits::WAIT_MAX,
    message::{Message, Text},
    partition::{Place, partition_queue},
    transport::{Outgoing, Settled, Settler, Transport, Verdict},
    wire::headers,
    work::{once_more, word_on},
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

/// Letters that wait for the broker's confirm at once. With one at a time each would cost a write to
/// the broker's disk; more than these gain little.
const AT_ONCE: usize = 64;

/// Letters about to be put back: set options, then await it for their number.
///
/// A letter goes to the queue it came from, under its own id and idempotency key, and is taken out
/// of the dead letters when the broker has confirmed it. If the process or a connection dies in
/// between it is in both places, and the copy is recognised. One that fails again is a letter again,
/// whatever it fails of.
///
/// The service recognises a command by its record, for as long as that is kept: 24 h under an
/// idempotency key, 2 minutes past its deadline or 30 minutes without. An older letter that may
/// have been done stays, as [`NotRedriven::Forgotten`]; one that is younger names the end of that
/// time as its deadline, so that it is not run later either. A command whose outcome is recorded, a
/// handler's own error included, is answered from the record and not run again.
///
/// ```
/// # use replybus::Bus;
/// # async fn redrive(bus: &Bus) -> Result<(), replybus::dead_letters::DeadLetterError> {
/// let letters = bus.dead_letters("account.requests");
/// let outcome = letters
///     .redrive(|letter| letter.reason() == "panicked") // the handler was repaired since
///     .on_progress(|progress| println!("{} of {}", progress.seen, progress.total))
///     .await?;
/// if let Some(why) = outcome.why_stayed {
///     println!("{} stay: {why}", outcome.stayed);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is put back until it is awaited"]
pub struct Redrive {
    queue: DeadLetterQueue,
    wanted: Wanted,
    told: Option<Told>,
    at_most: u64,
    rules: Rules,
}

/// What became of the letters that were wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redriven {
    /// Those that were put back.
    pub redriven: u64,
    /// Those that can't be, and stay.
    pub stayed: u64,
    /// The reason of the first one that stays.
    pub why_stayed: Option<NotRedriven>,
}

impl Redrive {
    pub(super) fn new(queue: DeadLetterQueue, wanted: Wanted) -> Self {
        Self {
            queue,
            wanted,
            told: None,
            at_most: u64::MAX,
            rules: Rules::default(),
        }
    }

    /// Ends after so many letters, put back or not. By default all that are wanted are put back.
    pub fn at_most(mut self, letters: u64) -> Self {
        self.at_most = letters;
        self
    }

    /// Sets the time in which they are to be done; what is not is a letter again. By default it ends
    /// when their records do, and there is none for those that have none. Of events it is not heeded.
    pub fn within(mut self, time: Duration) -> Self {
        self.rules.within = Some(time.min(WAIT_MAX));
        self
    }

    /// Puts back also what may have been done and is no longer remembered: then it can be done a
    /// second time. For letters that somebody has looked at, and services that know by themselves
    /// what they did.
    pub fn may_run_twice(mut self) -> Self {
        self.rules.may_run_twice = true;
        self
    }

    /// Is told of each wanted letter as it is put back, or stays.
    pub fn on_progress(mut self, told: impl FnMut(Progress<'_>) + Send + 'static) -> Self {
        self.told = Some(Box::new(told));
        self
    }

    async fn run(self) -> Result<Redriven, DeadLetterError> {
        let walk = self.queue.walk().await?;
        let bus = self.queue.bus.inner();
        let transport = bus.transport.as_ref();
        let mut redriving = Redriving {
            queue: self.queue.bus.name(&self.queue.queue).into(),
            redrive: self,
            walk,
            done: Redriven::default(),
        };
        let mut putting = FuturesUnordered::new();
        let (mut has_more, mut failed) = (true, None);
        while has_more || !putting.is_empty() {
            let step = if has_more && putting.len() < AT_ONCE {
                let taken = redriving.take().await;
                taken.map(|taken| match taken {
                    Some(taken) => putting.push(put_back(transport, taken)),
                    None => has_more = false,
                })
            } else if let Some((taken, verdict)) = putting.next().await {
                redriving.settle(taken, verdict)
            } else {
                break;
            };
            if let Err(error) = step {
                has_more = false;
                failed.get_or_insert(error);
            }
        }
        let Redriving { walk, done, .. } = redriving;
        let ended = walk.end().await;
        match failed {
            Some(error) => Err(error),
            None => ended.map(|()| done),
        }
    }
}

/// What may be put back, and how.
#[derive(Debug, Clone, Copy, Default)]
struct Rules {
    within: Option<Duration>,
    may_run_twice: bool,
}

/// A letter that is being put back.
struct Taken {
    letter: DeadLetter,
    settler: Settler,
    message: Message,
}

/// A look through the letters, and what became of those that were wanted.
struct Redriving {
    redrive: Redrive,
    /// The queue that they come from, on the broker.
    queue: Text,
    walk: Walk,
    done: Redriven,
}

impl Redriving {
    /// The next letter to put back.
    async fn take(&mut self) -> Result<Option<Taken>, DeadLetterError> {
        while self.redrive.at_most > 0
            && let Some((letter, settler)) = self.walk.next().await?
        {
            if !(self.redrive.wanted)(&letter) {
                continue;
            }
            self.redrive.at_most -= 1;
            match self.redrive.rules.message(&letter, &self.queue) {
                Ok(mut message) => {
                    self.sign(&mut message);
                    return Ok(Some(Taken {
                        letter,
                        settler,
                        message,
                    }));
                }
                Err(why) => {
                    self.done.stayed += 1;
                    self.done.why_stayed.get_or_insert(why.clone());
                    self.tell(&letter, Err(why));
                }
            }
        }
        Ok(None)
    }

    /// Has it signed by this bus, if that signs: its own signature was good until its time was over.
    fn sign(&self, message: &mut Message) {
        let queue = &self.redrive.queue;
        let until = message.properties.header(headers::DEADLINE);
        let until = until.and_then(|until| until.parse().ok());
        let bus = queue.bus.inner();
        let signatures = &bus.signatures;
        signatures.sign_again(&queue.queue, message, until.map(Duration::from_millis));
    }

    /// Takes a letter that was put back out of the dead letters.
    fn settle(&mut self, taken: Taken, verdict: Verdict) -> Result<(), DeadLetterError> {
        let reason = match verdict {
            Verdict::Confirmed => {
                taken.settler.settle(Settled::Ack);
                self.done.redriven += 1;
                self.tell(&taken.letter, Ok(()));
                return Ok(());
            }
            Verdict::Refused => "it is full".to_owned(),
            Verdict::Unroutable => "there is no such queue".to_owned(),
            Verdict::Busy => "the broker takes no messages for now".to_owned(),
            Verdict::NotWritten => "there is no connection to the broker".to_owned(),
            Verdict::Lost => "the broker did not say that it has it".to_owned(),
            Verdict::Denied(said) | Verdict::Unacceptable(said) => said.as_ref().to_owned(),
        };
        Err(DeadLetterError::NotTaken {
            queue: self.queue.to_string(),
            reason,
            redriven: self.done.redriven,
        })
    }

    fn tell(&mut self, letter: &DeadLetter, outcome: Result<(), NotRedriven>) {
        self.walk.tell(&mut self.redrive.told, letter, outcome);
    }
}

impl Rules {
    /// The message that a letter was, to be handled again.
    fn message(self, letter: &DeadLetter, queue: &Text) -> Result<Message, NotRedriven> {
        if let Some(reason) = letter.malformed() {
            let reason = reason.to_owned();
            return Err(NotRedriven::Malformed { reason });
        }
        if let Some(missing) = letter.shortened() {
            let missing = missing.to_owned();
            return Err(NotRedriven::Incomplete { missing });
        }
        let now = unix_time();
        let forgotten_at = letter.forgotten_at();
        let is_known = forgotten_at.is_none_or(|at| at > now);
        if !is_known && !self.may_run_twice {
            return Err(NotRedriven::Forgotten);
        }
        let by = [
            forgotten_at.filter(|_| is_known),
            self.within.map(|within| now + within),
        ];
        // What expires would be dropped by the broker; what is late is refused, and kept again.
        let message = letter.message().clone();
        // That of its partition, if it came by one.
        let partition = Place::of(&message.properties)
            .map(|place| partition_queue(queue, place.partition()))
            .filter(|of| message.properties.header(headers::DEAD_QUEUE) == Some(of));
        let queue = partition.map_or_else(|| queue.clone(), Text::from);
        let mut message = once_more(message, &queue);
        let properties = &mut message.properties;
        let is_set_anew = |name: &str| {
            // It is due at once, and its deadline is one again.
            let anew = [
                headers::DEADLINE,
                headers::DUE,
                headers::REPEATED,
                headers::DEAD_REDRIVEN,
            ];
            headers::is_of_the_letter(name)
                || headers::is_of_retries(name)
                || headers::is_of_jobs(name)
                || anew.contains(&name)
        };
        properties.retain_headers(|name| !is_set_anew(name));
        let mut set = |name, value| properties.headers.push((Text::from_static(name), value));
        if let Some(by) = by.into_iter().flatten().min() {
            set(headers::DEADLINE, Text::shown(by.as_millis()));
        }
        if letter.may_have_executed() {
            set(headers::REPEATED, Text::from_static(headers::TRUE));
        }
        let count = letter.redriven().saturating_add(1);
        set(headers::DEAD_REDRIVEN, Text::shown(count));
        Ok(message)
    }
}

/// Publishes a letter, at once, and waits for the word on it.
fn put_back(
    transport: &dyn Transport,
    taken: Taken,
) -> impl Future<Output = (Taken, Verdict)> + Send {
    let first = transport.publish(Outgoing::new(taken.message.clone()));
    async move {
        let mut verdict = word_on(first).await;
        if verdict == Verdict::Lost {
            // A second copy is recognised.
            verdict = word_on(transport.publish(Outgoing::new(taken.message.clone()))).await;
        }
        (taken, verdict)
    }
}

impl IntoFuture for Redrive {
    type Output = Result<Redriven, DeadLetterError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Puts the letters back, and returns how many.
    ///
    /// # Errors
    /// There is no such queue, the queue they come from takes no more, or the broker can't be
    /// reached or refuses. All that was not put back is in its place.
    ///
    /// Dropped before it is ready, those that were under way may be in both queues: a second copy is
    /// recognised.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Redrive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redrive")
            .field("queue", &self.queue)
            .field("at_most", &self.at_most)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
