//! One moment of the whole system: callers, queue, workers, and the store.

/// A call, by its place in [`Protocol::calls`](crate::Protocol::calls). Each has an id of its own.
pub type Call = usize;

/// A worker, by its place in [`State::workers`].
pub type WorkerId = usize;

/// An idempotency key, by its place in [`State::records`].
pub type Key = usize;

/// One moment of the whole system. What comes last is no part of it, but what is known of how it came
/// about, for the promises.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// What each call is to its caller.
    pub calls: Vec<Asked>,
    /// What waits in the queue, sorted: whichever of it may be delivered next.
    pub queue: Vec<Message>,
    /// The workers.
    pub workers: Vec<Worker>,
    /// What the store knows of each key.
    pub records: Vec<Record>,
    /// The reply to each call that its caller has not taken yet. The first is the one that counts.
    pub inbox: Vec<Option<Answer>>,
    /// The calls of which a dead letter is kept.
    pub letters: Vec<bool>,
    /// How many faults may still happen.
    pub faults_left: u8,
    /// What is known beside it.
    pub known: Known,
}

/// What the promises ask for, and no part of the system knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Known {
    /// How often the work of each key was done.
    pub effects: Vec<u8>,
    /// How often a fault hit a run of each key for which another run is the price.
    pub excuses: Vec<u8>,
    /// Each call for whose message a handler was called.
    pub ran: Vec<bool>,
    /// Each call one of whose messages was acknowledged.
    pub acknowledged: Vec<bool>,
    /// Each call to which some reply was stored.
    pub replied: Vec<bool>,
    /// Each call whose caller was, or is to be, told that it was surely not done.
    pub refused: Vec<bool>,
    /// Each call whose message was left to another run of its key.
    pub left_to_another: Vec<bool>,
    /// A run began beside another, and nothing had happened that allows it.
    pub beside: bool,
    /// The store was emptied.
    pub emptied: bool,
}

/// What a call is to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    /// It was not made yet.
    Not,
    /// Its caller waits.
    Waiting {
        /// It was published more than once.
        repeated: bool,
        /// Its time is over: its caller may leave, and nobody begins it any more.
        late: bool,
    },
    /// Its caller was told this, or told itself. `late` as before.
    Ended {
        /// What the caller knows.
        answer: Answer,
        /// Its time is over.
        late: bool,
    },
}

/// What is said of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is done: this is the outcome of the key's run of this number.
    Done(u8),
    /// A failure, with `may_have_executed() == true`.
    Perhaps,
    /// A failure, with `may_have_executed() == false`.
    Not,
}

/// A message in the queue, or in a worker's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    /// The call that it is of.
    pub call: Call,
    /// It is redelivered, or marked as repeated.
    pub seen_before: bool,
}

/// A worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Worker {
    /// It stands still.
    pub still: bool,
    /// What it works on. A worker of the code works on several at once: here that is several workers.
    pub holds: Option<Delivery>,
}

/// A message in a worker's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// Its connection is still the one that it came by: it can be settled.
    pub settles: bool,
    /// How far it is.
    pub step: Step,
    /// Its worker stood still for longer than its lease, while its handler ran.
    pub overslept: bool,
    /// Another run was begun beside it, as is allowed then.
    pub overtaken: bool,
    /// Another run held the claim when this one asked, before the store was emptied.
    pub waits_through: bool,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// It was delivered.
    Taken,
    /// Its claim is asked for.
    Asking {
        /// Another had it when it was asked for before.
        waited: bool,
    },
    /// The store has answered; that was not read yet.
    Claimed {
        /// The answer.
        claimed: Claimed,
        /// As before.
        waited: bool,
        /// It is longer ago than a lease.
        stale: bool,
    },
    /// Its handler was called, and has done nothing yet.
    Running {
        /// The run.
        attempt: u8,
    },
    /// What it came to is known, and told step by step.
    Ended(Conclusion),
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claimed {
    /// Run it.
    Run {
        /// The run, from 1.
        attempt: u8,
    },
    /// It ran before.
    Done(u8),
    /// Another has it.
    Running,
}

/// What a delivery came to, and which steps that takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conclusion {
    /// What its caller is told.
    pub answer: Answer,
    /// Its outcome is to be recorded under its claim.
    pub records: bool,
    /// The store has that record. The worker knows when it has the store's answer.
    pub recorded: bool,
    /// A dead letter is to be kept.
    pub letter: bool,
    /// It was stored.
    pub stored: bool,
    /// The letter is kept.
    pub kept: bool,
    /// It was acknowledged.
    pub acknowledged: bool,
}

/// What the store knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// Nothing.
    Nothing,
    /// That a claim on it was given up, after which nothing is left.
    Released,
    /// A run.
    Running {
        /// Whose claim it is.
        owner: Owner,
        /// How often it was begun.
        attempt: u8,
        /// Its lease is over, and somebody has asked for long enough.
        lapsed: bool,
    },
    /// The outcome of the run of this number.
    Done(u8),
}

/// Whose a claim is. The owner is a name for one delivery in one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The field is not there: whoever asks held it before the store forgot, or nobody.
    Absent,
    /// It was given up.
    Nobody,
    /// A delivery that no worker holds any more.
    Gone,
    /// The delivery that this worker holds.
    Of(WorkerId),
}

impl Asked {
    /// `true` once its time is over.
    #[must_use]
    pub fn is_late(self) -> bool {
        match self {
            Self::Not => false,
            Self::Waiting { late, .. } | Self::Ended { late, .. } => late,
        }
    }
}

impl Delivery {
    /// `true` while its handler runs, or has run and that is not recorded.
    #[must_use]
    pub fn is_run(&self) -> bool {
        matches!(self.step, Step::Running { .. }) || self.has_unrecorded_effect()
    }

    /// `true` while it was given its claim, as far as it knows.
    #[must_use]
    pub fn has_claim(&self) -> bool {
        let is_given = matches!(
            self.step,
            Step::Claimed {
                claimed: Claimed::Run { .. },
                stale: false,
                ..
            }
        );
        is_given || self.is_run()
    }

    /// `true` if its handler did its work, and that is not recorded.
    #[must_use]
    pub fn has_unrecorded_effect(&self) -> bool {
        matches!(self.step, Step::Ended(ended) if ended.records && !ended.recorded)
    }
}

impl State {
    /// All that are left of a call's messages, in the queue or in somebody's hands, and would come back.
    #[must_use]
    pub fn is_pending(&self, call: Call) -> bool {
        let held = self.workers.iter().filter_map(|worker| worker.holds);
        let held = held.filter(|delivery| delivery.settles && !delivery.is_acknowledged());
        let mut pending = self
            .queue
            .iter()
            .copied()
            .chain(held.map(|delivery| delivery.message));
        pending.any(|message| message.call == call)
    }

    /// `true` if a worker is not done with one of a call's messages, come what may of that message.
    #[must_use]
    pub fn is_in_hands(&self, call: Call) -> bool {
        let mut held = self.workers.iter().filter_map(|worker| worker.holds);
        held.any(|delivery| delivery.message.call == call)
    }

    /// `true` if nothing is under way any more: no message is left, and each caller knows.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let ended = |asked: &Asked| !matches!(asked, Asked::Waiting { .. });
        self.queue.is_empty()
            && self.workers.iter().all(|worker| worker.holds.is_none())
            && self.calls.iter().all(ended)
    }

    /// Puts a message into the queue.
    pub(crate) fn enqueue(&mut self, message: Message) {
        let at = self.queue.partition_point(|other| *other <= message);
        self.queue.insert(at, message);
    }
}

impl Delivery {
    /// `true` if the broker was told that it is done with.
    fn is_acknowledged(&self) -> bool {
        matches!(self.step, Step::Ended(ended) if ended.acknowledged)
    }
}
