//! A worker's way with a delivery: `bus-core/src/server/delivery.rs`, `work/lease.rs` and
//! `work/command.rs`.

use crate::{
    Protocol, Verb,
    mistake::Mistake,
    state::{
        Answer, Asked, Call, Claimed, Conclusion, Delivery, Key, Message, Owner, Record, State,
        Step, WorkerId,
    },
    store::{self, Finished},
};

/// What a delivery that is not recorded came to.
struct Failed {
    answer: Answer,
    letter: bool,
}

impl Protocol {
    pub(crate) fn key(&self, call: Call) -> Key {
        self.calls[call].key
    }

    fn is_awaited(&self, call: Call) -> bool {
        self.calls[call].verb != Verb::Send
    }

    pub(crate) fn take(&self, state: &mut State, worker: WorkerId, message: Message) {
        state.queue.retain({
            let mut is_first = true;
            move |other| *other != message || !std::mem::replace(&mut is_first, false)
        });
        state.workers[worker].holds = Some(Delivery {
            message,
            settles: true,
            step: Step::Taken,
            overslept: false,
            overtaken: false,
            waits_through: false,
        });
    }

    /// `RequestProcessor::request`: a command that may have been started, or whose reply is looked for
    /// later, is not called late before its claim is asked.
    pub(crate) fn read(&self, state: &mut State, worker: WorkerId, delivery: Delivery) {
        let Message { call, seen_before } = delivery.message;
        let is_told_later = self.calls[call].verb == Verb::Submit;
        let looks = self.mistake != Some(Mistake::RefusedUnasked);
        let asks = seen_before || (is_told_later && looks);
        if !asks && state.calls[call].is_late() {
            let answer = Answer::Not;
            let letter = false;
            self.fail(state, worker, Failed { answer, letter });
        } else {
            self.go_on(state, worker, Step::Asking { waited: false });
        }
    }

    pub(crate) fn ask_for_claim(
        &self,
        state: &mut State,
        worker: WorkerId,
        call: Call,
        waited: bool,
    ) {
        let record = &mut state.records[self.key(call)];
        let claimed = store::claim(record, worker, waited, self.mistake);
        let step = Step::Claimed {
            claimed,
            waited,
            stale: false,
        };
        self.go_on(state, worker, step);
    }

    /// `Lease::take`, once it is answered, and `Command::run`.
    pub(crate) fn read_claim(&self, state: &mut State, worker: WorkerId, delivery: Delivery) {
        let Step::Claimed {
            claimed,
            waited,
            stale,
        } = delivery.step
        else {
            return;
        };
        let begins_anyway = self.mistake == Some(Mistake::BeginsWithStaleClaim);
        match claimed {
            Claimed::Running => self.go_on(state, worker, Step::Asking { waited: true }),
            Claimed::Run { .. } if stale && !begins_anyway => {
                self.go_on(state, worker, Step::Asking { waited });
            }
            Claimed::Run { attempt } => self.begin_unless_refused(state, worker, delivery, attempt),
            Claimed::Done(number) => {
                let answer = Answer::Done(number);
                let letter = false;
                self.fail(state, worker, Failed { answer, letter });
            }
        }
    }

    /// `Command::refusal`, and the table in `work/settlement.rs`.
    fn begin_unless_refused(
        &self,
        state: &mut State,
        worker: WorkerId,
        delivery: Delivery,
        attempt: u8,
    ) {
        let call = delivery.message.call;
        let is_late = state.calls[call].is_late();
        if attempt <= self.attempts_max && !is_late {
            self.begin(state, worker, delivery, attempt);
            return;
        }
        store::release(&mut state.records[self.key(call)], worker);
        // Interrupted or worker_lost, and expired if no run of it was begun.
        let began_before = attempt > 1;
        let answer = if began_before {
            Answer::Perhaps
        } else {
            Answer::Not
        };
        let letter = began_before;
        self.fail(state, worker, Failed { answer, letter });
    }

    fn begin(&self, state: &mut State, worker: WorkerId, delivery: Delivery, attempt: u8) {
        let call = delivery.message.call;
        let key = self.key(call);
        self.look_for_runs_beside(state, worker, &delivery);
        state.known.ran[call] = true;
        if self.mistake == Some(Mistake::RecordBeforeWork) {
            state.records[key] = Record::Done(state.known.effects[key] + 1);
        }
        self.go_on(state, worker, Step::Running { attempt });
    }

    /// Notes whether a run that begins does so beside another of its key, and whether it may: the other
    /// one's worker stood still for longer than its lease, or the store was emptied and this one had
    /// not been told before that another runs.
    fn look_for_runs_beside(&self, state: &mut State, worker: WorkerId, begun: &Delivery) {
        let key = self.key(begun.message.call);
        let State { workers, known, .. } = state;
        let others = workers.iter_mut().enumerate();
        let others = others.filter(|(other, _)| *other != worker);
        for other in others.filter_map(|(_, other)| other.holds.as_mut()) {
            if !other.is_run() || other.overtaken || self.key(other.message.call) != key {
                continue;
            }
            if other.overslept || (known.emptied && !begun.waits_through) {
                other.overtaken = true;
                known.excuses[key] += 1;
            } else {
                known.beside = true;
            }
        }
    }

    /// `Command::run_claimed`: the handler does its work, and its answer is handed over.
    pub(crate) fn work(&self, state: &mut State, worker: WorkerId, call: Call) {
        let key = self.key(call);
        state.known.effects[key] += 1;
        let conclusion = Conclusion {
            answer: Answer::Done(state.known.effects[key]),
            records: true,
            recorded: false,
            letter: false,
            stored: false,
            kept: true,
            acknowledged: false,
        };
        self.go_on(state, worker, Step::Ended(conclusion));
    }

    /// What is refused may have been run by somebody else, if it was delivered or published before.
    pub(crate) fn refuse(&self, state: &mut State, worker: WorkerId, delivery: Delivery) {
        let Message { call, seen_before } = delivery.message;
        let answer = if seen_before {
            Answer::Perhaps
        } else {
            Answer::Not
        };
        let letter = seen_before || !self.is_awaited(call);
        self.fail(state, worker, Failed { answer, letter });
    }

    /// A handler that panics: `Lease::lapse`, and what it did was done.
    pub(crate) fn panic(&self, state: &mut State, worker: WorkerId, delivery: Delivery) {
        let call = delivery.message.call;
        if delivery.has_unrecorded_effect() && !delivery.overtaken {
            state.known.excuses[self.key(call)] += 1;
        }
        store::lapse(&mut state.records[self.key(call)], worker);
        let answer = Answer::Perhaps;
        let letter = true;
        self.fail(state, worker, Failed { answer, letter });
    }

    /// `Lease::take`, when no time is left.
    pub(crate) fn leave_to_another(&self, state: &mut State, worker: WorkerId, delivery: Delivery) {
        let Message { call, seen_before } = delivery.message;
        let is_elsewhere = matches!(delivery.step, Step::Asking { waited: true });
        let may_have_run = is_elsewhere || seen_before;
        let answer = if may_have_run {
            Answer::Perhaps
        } else {
            Answer::Not
        };
        // The table: a repetition is answered for by the other.
        let is_repetition = is_elsewhere && !seen_before;
        let is_unseen = !self.is_awaited(call);
        let letter = is_unseen || (may_have_run && !is_repetition);
        state.known.left_to_another[call] |= is_repetition && !letter;
        self.fail(state, worker, Failed { answer, letter });
    }

    fn fail(&self, state: &mut State, worker: WorkerId, failed: Failed) {
        let Failed { answer, letter } = failed;
        let conclusion = Conclusion {
            answer,
            records: false,
            recorded: false,
            letter,
            stored: false,
            kept: !letter,
            acknowledged: false,
        };
        self.go_on(state, worker, Step::Ended(conclusion));
    }

    fn go_on(&self, state: &mut State, worker: WorkerId, step: Step) {
        if let Some(delivery) = &mut state.workers[worker].holds {
            delivery.step = step;
        }
    }

    /// `RequestProcessor::answer`.
    pub(crate) fn store(
        &self,
        state: &mut State,
        worker: WorkerId,
        delivery: Delivery,
        mut ended: Conclusion,
    ) {
        let call = delivery.message.call;
        let key = self.key(call);
        if let (true, Answer::Done(outcome)) = (ended.records, ended.answer) {
            match store::finish(&mut state.records[key], worker, outcome, self.mistake) {
                Finished::Recorded(first) => {
                    self.loses_to(state, &delivery, &ended, first);
                    ended.answer = Answer::Done(first);
                    ended.recorded = true;
                }
                Finished::TakenOver => {
                    self.is_taken_over(state, worker, delivery, ended);
                    return;
                }
            }
        }
        ended.stored = true;
        self.reply(state, call, ended.answer);
        self.end(state, worker, ended);
    }

    /// Notes a run whose outcome is not the one that was recorded: another did the work as well.
    fn loses_to(&self, state: &mut State, delivery: &Delivery, ended: &Conclusion, first: u8) {
        if ended.answer != Answer::Done(first) {
            self.is_lost(state, delivery);
        }
    }

    /// Notes that what a run did is not recorded, and why that may be.
    fn is_lost(&self, state: &mut State, delivery: &Delivery) {
        if !delivery.overtaken {
            let is_allowed = delivery.overslept || state.known.emptied;
            state.known.beside |= !is_allowed;
            state.known.excuses[self.key(delivery.message.call)] += 1;
        }
    }

    /// Its outcome is not recorded. The run that took over knows only its own delivery: this one goes
    /// back to the queue, and is answered from that run's record.
    fn is_taken_over(
        &self,
        state: &mut State,
        worker: WorkerId,
        delivery: Delivery,
        mut ended: Conclusion,
    ) {
        self.is_lost(state, &delivery);
        if self.is_awaited(delivery.message.call) && self.mistake != Some(Mistake::AckWhenTakenOver)
        {
            self.let_go(state, worker, delivery);
            return;
        }
        ended.stored = true;
        ended.recorded = true;
        self.end(state, worker, ended);
    }

    fn reply(&self, state: &mut State, call: Call, answer: Answer) {
        state.known.refused[call] |= answer == Answer::Not;
        if !self.is_awaited(call) {
            return;
        }
        state.known.replied[call] = true;
        // Of one that nobody waits for any more it is passed over.
        if matches!(state.calls[call], Asked::Waiting { .. }) {
            state.inbox[call].get_or_insert(answer);
        }
    }

    pub(crate) fn keep_letter(
        &self,
        state: &mut State,
        worker: WorkerId,
        call: Call,
        mut ended: Conclusion,
    ) {
        state.letters[call] = true;
        ended.kept = true;
        self.end(state, worker, ended);
    }

    pub(crate) fn acknowledge(
        &self,
        state: &mut State,
        worker: WorkerId,
        delivery: Delivery,
        mut ended: Conclusion,
    ) {
        // On a connection that is lost it does nothing.
        state.known.acknowledged[delivery.message.call] |= delivery.settles;
        ended.acknowledged = true;
        self.end(state, worker, ended);
    }

    /// Ends a delivery of which nothing is left to do.
    fn end(&self, state: &mut State, worker: WorkerId, ended: Conclusion) {
        if ended.stored && ended.kept && ended.acknowledged {
            self.forget(state, worker);
        } else {
            self.go_on(state, worker, Step::Ended(ended));
        }
    }

    /// A settler is dropped: the message goes back to its queue, if its connection is still there.
    pub(crate) fn let_go(&self, state: &mut State, worker: WorkerId, delivery: Delivery) {
        let is_acknowledged = matches!(delivery.step, Step::Ended(ended) if ended.acknowledged);
        if delivery.settles && !is_acknowledged {
            state.enqueue(Message {
                seen_before: true,
                ..delivery.message
            });
        }
        self.forget(state, worker);
    }

    /// A worker has a delivery no more, and with it the name that owns its claim.
    fn forget(&self, state: &mut State, worker: WorkerId) {
        state.workers[worker].holds = None;
        for record in &mut state.records {
            if let Record::Running { owner, .. } = record
                && *owner == Owner::Of(worker)
            {
                *owner = Owner::Gone;
            }
        }
    }
}
