//! What goes wrong, and which of it can.

use crate::{
    Protocol,
    state::{Asked, Claimed, Conclusion, Owner, Record, State, Step, WorkerId},
    step::Fault,
};

impl Protocol {
    /// The faults that can happen at this moment.
    pub(crate) fn faults(&self, state: &State) -> Vec<Fault> {
        let mut faults = Vec::new();
        if state.faults_left == 0 {
            return faults;
        }
        for worker in 0..state.workers.len() {
            self.faults_of_worker(state, worker, &mut faults);
        }
        for (call, asked) in state.calls.iter().enumerate() {
            if matches!(
                asked,
                Asked::Waiting {
                    repeated: false,
                    ..
                }
            ) {
                faults.push(Fault::LoseConfirm(call));
            }
            if state.inbox[call].is_some() {
                faults.push(Fault::LoseReply(call));
            }
            let may_be_late = match asked {
                Asked::Not => false,
                Asked::Waiting { late, .. } => !late,
                Asked::Ended { late, .. } => !late && state.is_pending(call),
            };
            if may_be_late {
                faults.push(Fault::Late(call));
            }
        }
        let mut queue = state.queue.clone();
        queue.dedup();
        faults.extend(queue.into_iter().map(Fault::Duplicate));
        let is_empty = |record: &Record| *record == Record::Nothing;
        if !state.records.iter().all(is_empty) || state.inbox.iter().any(Option::is_some) {
            faults.push(Fault::Empty);
        }
        faults
    }

    fn faults_of_worker(&self, state: &State, worker: WorkerId, faults: &mut Vec<Fault>) {
        let Some(delivery) = state.workers[worker].holds else {
            return;
        };
        faults.push(Fault::Crash(worker));
        let is_acknowledged = matches!(delivery.step, Step::Ended(ended) if ended.acknowledged);
        if delivery.settles && !is_acknowledged {
            faults.push(Fault::LoseConnection(worker));
        }
        if state.workers[worker].still {
            return;
        }
        faults.push(Fault::StandStill(worker));
        match delivery.step {
            Step::Claimed { .. } => faults.push(Fault::LoseAnswer(worker)),
            Step::Running { .. } => faults.push(Fault::Panic(worker)),
            Step::Ended(ended) => {
                if ended.stored && !ended.acknowledged {
                    faults.push(Fault::LoseAnswer(worker));
                }
                if delivery.has_unrecorded_effect() && !ended.acknowledged {
                    faults.push(Fault::Panic(worker));
                }
            }
            Step::Taken => {
                if self.refusals {
                    faults.push(Fault::Refuse(worker));
                }
            }
            Step::Asking { .. } => {}
        }
    }

    /// What a fault does.
    pub(crate) fn happens(&self, state: &mut State, fault: Fault) {
        state.faults_left -= 1;
        match fault {
            Fault::Crash(worker) => self.crash(state, worker),
            Fault::StandStill(worker) => state.workers[worker].still = true,
            Fault::LoseConnection(worker) => {
                if let Some(delivery) = &mut state.workers[worker].holds {
                    delivery.settles = false;
                    let mut message = delivery.message;
                    message.seen_before = true;
                    state.enqueue(message);
                }
            }
            Fault::LoseConfirm(call) => self.publish_again(state, call),
            Fault::Duplicate(mut message) => {
                message.seen_before = true;
                state.enqueue(message);
            }
            Fault::LoseAnswer(worker) => lose_answer(state, worker),
            Fault::LoseReply(call) => state.inbox[call] = None,
            Fault::Empty => empty(state),
            Fault::Panic(worker) => {
                if let Some(delivery) = state.workers[worker].holds {
                    self.panic(state, worker, delivery);
                }
            }
            Fault::Late(call) => self.is_late(state, call),
            Fault::Refuse(worker) => {
                if let Some(delivery) = state.workers[worker].holds {
                    self.refuse(state, worker, delivery);
                }
            }
        }
    }

    /// All that the process had is gone, and the broker gives its message to somebody else.
    fn crash(&self, state: &mut State, worker: WorkerId) {
        if let Some(delivery) = state.workers[worker].holds {
            if delivery.has_unrecorded_effect() && !delivery.overtaken {
                state.known.excuses[self.key(delivery.message.call)] += 1;
            }
            self.let_go(state, worker, delivery);
        }
        state.workers[worker].still = false;
    }
}

/// The answer of a script that was carried out does not come: it is asked for again.
fn lose_answer(state: &mut State, worker: WorkerId) {
    let Some(delivery) = &mut state.workers[worker].holds else {
        return;
    };
    if let Step::Claimed { waited: false, .. } = delivery.step {
        // It was not told that it has to wait.
        delivery.waits_through = false;
    }
    delivery.step = match delivery.step {
        Step::Claimed { waited, .. } => Step::Asking { waited },
        Step::Ended(ended) => Step::Ended(Conclusion {
            stored: false,
            ..ended
        }),
        step => step,
    };
}

/// The store forgets all that it has acknowledged: records, and replies that were not read.
fn empty(state: &mut State) {
    let known = &mut state.known;
    known.emptied = true;
    for (record, excuses) in state.records.iter_mut().zip(&mut known.excuses) {
        let is_given = match record {
            Record::Running {
                owner: Owner::Of(worker),
                ..
            } => state.workers[*worker].holds.is_some_and(|it| !it.is_run()),
            _ => false,
        };
        // A copy that comes later is taken for new. Runs that go on are seen when another begins.
        if is_given || matches!(record, Record::Done(_)) {
            *excuses += 1;
        }
        *record = Record::Nothing;
    }
    state.inbox.fill(None);
    for delivery in state
        .workers
        .iter_mut()
        .filter_map(|worker| worker.holds.as_mut())
    {
        match &mut delivery.step {
            Step::Asking { waited: true }
            | Step::Claimed {
                claimed: Claimed::Running,
                ..
            } => delivery.waits_through = true,
            Step::Ended(ended) if ended.records && !ended.stored => ended.recorded = false,
            _ => {}
        }
    }
}
