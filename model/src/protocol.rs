//! The protocol as a model: where it begins, what can happen, and what that does.

use crate::{
    mistake::Mistake,
    promises,
    state::{
        Asked, Call, Claimed, Conclusion, Key, Known, Owner, Record, State, Step, Worker, WorkerId,
    },
    step::Action,
    store,
};
use stateright::{Model, Property};

/// Callers, workers, one queue and one store, with so many faults.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// The calls that are made.
    pub calls: Vec<CallOf>,
    /// The number of deliveries that are worked on at once, each by a worker of its own.
    pub workers: usize,
    /// The faults that may happen, of whatever kinds.
    pub faults: u8,
    /// The runs that a command has: `ATTEMPTS_MAX` in `bus-core/src/limits.rs`, which is more.
    pub attempts_max: u8,
    /// Workers may refuse for load what they are given, without a look at its record. What they say of
    /// it then is not always true: the message may come again, before it is acknowledged.
    pub refusals: bool,
    /// What is done wrongly, if anything is.
    pub mistake: Option<Mistake>,
}

/// One call that is made.
#[derive(Debug, Clone, Copy)]
pub struct CallOf {
    /// Its idempotency key.
    pub key: Key,
    /// The way it is made.
    pub verb: Verb,
    /// It is made when that one has failed: the retry of a caller, under an id of its own.
    pub after: Option<Call>,
}

/// The way a call is made: `Verb` in `bus-core/src/client/request.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Its caller waits for the reply, until the deadline.
    Call,
    /// Its caller asks for the reply by a ticket, and for longer than it may be started.
    Submit,
    /// There is no reply.
    Send,
}

impl CallOf {
    /// A call under a key.
    #[must_use]
    pub const fn new(verb: Verb, key: Key) -> Self {
        Self {
            key,
            verb,
            after: None,
        }
    }

    /// The same, made when another has failed.
    #[must_use]
    pub const fn after(self, call: Call) -> Self {
        Self {
            after: Some(call),
            ..self
        }
    }
}

impl Protocol {
    /// These calls to two workers, with so many faults.
    #[must_use]
    pub fn new(calls: &[CallOf], faults: u8) -> Self {
        Self {
            calls: calls.to_vec(),
            workers: 2,
            faults,
            attempts_max: 2,
            refusals: false,
            mistake: None,
        }
    }

    /// The same with a mistake in it.
    #[must_use]
    pub fn with(self, mistake: Mistake) -> Self {
        Self {
            mistake: Some(mistake),
            ..self
        }
    }

    fn beginning(&self) -> State {
        let calls = self.calls.len();
        let keys = self
            .calls
            .iter()
            .map(|call| call.key + 1)
            .max()
            .unwrap_or(0);
        State {
            calls: vec![Asked::Not; calls],
            queue: Vec::new(),
            workers: vec![
                Worker {
                    still: false,
                    holds: None,
                };
                self.workers
            ],
            records: vec![Record::Nothing; keys],
            inbox: vec![None; calls],
            letters: vec![false; calls],
            faults_left: self.faults,
            known: Known {
                effects: vec![0; keys],
                excuses: vec![0; keys],
                ran: vec![false; calls],
                acknowledged: vec![false; calls],
                replied: vec![false; calls],
                refused: vec![false; calls],
                left_to_another: vec![false; calls],
                beside: false,
                emptied: false,
            },
        }
    }

    fn actions_of_callers(&self, state: &State, actions: &mut Vec<Action>) {
        for (call, asked) in state.calls.iter().enumerate() {
            if self.may_be_made(state, call) {
                actions.push(Action::Publish(call));
            }
            if !matches!(asked, Asked::Waiting { .. }) {
                continue;
            }
            if state.inbox[call].is_some() {
                actions.push(Action::TakeReply(call));
            } else if !state.is_pending(call) && !state.is_in_hands(call) {
                actions.push(Action::GiveUp(call));
            }
        }
    }

    fn actions_of_worker(&self, state: &State, worker: WorkerId, actions: &mut Vec<Action>) {
        if state.workers[worker].still {
            actions.push(Action::Wake(worker));
            return;
        }
        let Some(delivery) = state.workers[worker].holds else {
            // Of workers that have nothing one is as good as another.
            let is_first = state.workers.iter().position(|other| other.holds.is_none());
            if is_first == Some(worker) {
                let mut queue = state.queue.clone();
                queue.dedup();
                actions.extend(
                    queue
                        .into_iter()
                        .map(|message| Action::Take(worker, message)),
                );
            }
            return;
        };
        let call = delivery.message.call;
        match delivery.step {
            Step::Taken => actions.push(Action::Read(worker)),
            Step::Asking { .. } => {
                actions.push(Action::AskForClaim(worker));
                if self.calls[call].verb == Verb::Call && state.calls[call].is_late() {
                    actions.push(Action::LeaveToAnother(worker));
                }
            }
            Step::Claimed { .. } => actions.push(Action::ReadClaim(worker)),
            Step::Running { .. } => actions.push(Action::Work(worker)),
            Step::Ended(ended) => actions.push(self.next_of(ended, worker)),
        }
        if delivery.is_run() && self.is_to_be_renewed(state, worker, call) {
            actions.push(Action::Renew(worker));
        }
    }

    /// The next step of a delivery that has ended, in the order that is the heart of it all.
    fn next_of(&self, ended: Conclusion, worker: WorkerId) -> Action {
        let mut steps = [
            (ended.stored, Action::Store(worker)),
            (ended.kept, Action::KeepLetter(worker)),
            (ended.acknowledged, Action::Acknowledge(worker)),
        ];
        match self.mistake {
            Some(Mistake::ReplyAfterAck) => steps.rotate_left(1),
            Some(Mistake::LetterAfterAck) => steps.swap(1, 2),
            _ => {}
        }
        let next = steps.into_iter().find(|(is_done, _)| !is_done);
        next.map_or(Action::Acknowledge(worker), |(_, action)| action)
    }

    /// A renewal that changes nothing but the time is left out: it is why `LeaseOver` can't happen.
    fn is_to_be_renewed(&self, state: &State, worker: WorkerId, call: Call) -> bool {
        match state.records[self.key(call)] {
            Record::Nothing | Record::Released => true,
            Record::Running { owner, lapsed, .. } => {
                owner == Owner::Absent || (owner == Owner::Of(worker) && lapsed)
            }
            Record::Done(_) => false,
        }
    }

    fn renew(&self, state: &mut State, worker: WorkerId, call: Call) {
        store::renew(&mut state.records[self.key(call)], worker);
        if let Some(delivery) = &mut state.workers[worker].holds {
            delivery.overslept = false;
        }
    }

    /// `true` if the lease on a key can come to its end: nobody has it, or who has it stands still. All
    /// others renew it in time, or ask for it again.
    fn may_lapse(&self, state: &State, key: Key) -> bool {
        let Record::Running {
            owner,
            lapsed: false,
            ..
        } = state.records[key]
        else {
            return false;
        };
        match owner {
            Owner::Of(worker) => state.workers[worker].still,
            Owner::Absent => !state.workers.iter().any(|worker| {
                let delivery = worker.holds.filter(|_| !worker.still);
                delivery.is_some_and(|it| it.has_claim() && self.key(it.message.call) == key)
            }),
            Owner::Nobody | Owner::Gone => self.mistake != Some(Mistake::LeaseForEver),
        }
    }

    fn lapses(&self, state: &mut State, key: Key) {
        let Record::Running { owner, lapsed, .. } = &mut state.records[key] else {
            return;
        };
        *lapsed = true;
        let owner = *owner;
        for (worker, it) in state.workers.iter_mut().enumerate() {
            let is_held = owner == Owner::Of(worker) || owner == Owner::Absent;
            let Some(delivery) = it.holds.as_mut().filter(|_| is_held) else {
                continue;
            };
            if self.key(delivery.message.call) != key {
                continue;
            }
            if let Step::Claimed {
                claimed: Claimed::Run { .. },
                stale,
                ..
            } = &mut delivery.step
            {
                *stale = true;
            }
            delivery.overslept |= delivery.is_run();
        }
    }

    fn act_of_worker(&self, state: &mut State, worker: WorkerId, action: Action) {
        let Some(delivery) = state.workers[worker].holds else {
            return;
        };
        let call = delivery.message.call;
        match (action, delivery.step) {
            (Action::Read(_), _) => self.read(state, worker, delivery),
            (Action::AskForClaim(_), Step::Asking { waited }) => {
                self.ask_for_claim(state, worker, call, waited);
            }
            (Action::ReadClaim(_), _) => self.read_claim(state, worker, delivery),
            (Action::LeaveToAnother(_), _) => self.leave_to_another(state, worker, delivery),
            (Action::Renew(_), _) => self.renew(state, worker, call),
            (Action::Work(_), _) => self.work(state, worker, call),
            (Action::Store(_), Step::Ended(ended)) => self.store(state, worker, delivery, ended),
            (Action::KeepLetter(_), Step::Ended(ended)) => {
                self.keep_letter(state, worker, call, ended);
            }
            (Action::Acknowledge(_), Step::Ended(ended)) => {
                self.acknowledge(state, worker, delivery, ended);
            }
            _ => {}
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.beginning()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.actions_of_callers(state, actions);
        for worker in 0..state.workers.len() {
            self.actions_of_worker(state, worker, actions);
        }
        let keys = 0..state.records.len();
        actions.extend(
            keys.filter(|key| self.may_lapse(state, *key))
                .map(Action::LeaseOver),
        );
        actions.extend(self.faults(state).into_iter().map(Action::Fault));
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Publish(call) => self.publish(&mut state, call),
            Action::TakeReply(call) => self.take_reply(&mut state, call),
            Action::GiveUp(call) => self.give_up(&mut state, call),
            Action::Take(worker, message) => self.take(&mut state, worker, message),
            Action::Wake(worker) => state.workers[worker].still = false,
            Action::LeaseOver(key) => self.lapses(&mut state, key),
            Action::Fault(fault) => self.happens(&mut state, fault),
            Action::Read(worker)
            | Action::AskForClaim(worker)
            | Action::ReadClaim(worker)
            | Action::LeaveToAnother(worker)
            | Action::Renew(worker)
            | Action::Work(worker)
            | Action::Store(worker)
            | Action::KeepLetter(worker)
            | Action::Acknowledge(worker) => self.act_of_worker(&mut state, worker, action),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all()
    }
}
