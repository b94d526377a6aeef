//! A delivery whose request was run, or refused, on its way to its acknowledgement: put off or
//! answered, its letter kept, its count ended.

use super::{
    conclusion::{Conclusion, Seen, kind_of},
    delivery::RequestProcessor,
    job::HeldJob,
    request::Request,
};
use crate::{
    flight::FlightStep,
    message::Message,
    partition,
    reply::ReplyTarget,
    retry::{Next, Put, Retries},
    trace::{self, Span},
    wire::headers,
    work::{
        Answer, AnswerClass, Begun, Cause, DeliveryKind, Envelope, FinishedRun, Permit, Run,
        RunEnd, command_key,
    },
};
use std::{future::Future, sync::Arc};
use tokio::{sync::oneshot, time::Instant};

/// A delivery that is worked off but for what is told of it.
pub(super) struct Worked<'a> {
    pub(super) processor: &'a RequestProcessor,
    pub(super) message: &'a Message,
    pub(super) envelope: &'a Envelope,
    /// Its message can't be read.
    pub(super) is_malformed: bool,
    pub(super) partition: Option<u16>,
    pub(super) job: Option<&'a HeldJob>,
    pub(super) seen_before: bool,
    pub(super) runs: Runs,
    /// Its delivery, as far as that is counted.
    pub(super) begun: Begun,
    pub(super) traced: &'a mut Span,
}

/// What is known of the runs of a request. The default is that of one that is not run.
#[derive(Default)]
pub(super) struct Runs {
    pub(super) run: Run,
    /// If it may be put off.
    retries: Option<Arc<Retries>>,
}

/// A run that a layer no longer waits for, with the permit that it keeps.
pub(super) type Abandoned = (oneshot::Receiver<FinishedRun>, Option<Permit>);

/// What came of putting a command off.
enum PutOff {
    /// Its handler did not ask for that.
    NotAsked,
    /// It will come again.
    Done,
    /// It can't be run again: no run is left, or there was no way to put it off.
    Exhausted,
    /// The broker may have it, or not.
    Unsure,
}

impl Runs {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            run: request.run.clone(),
            retries: request.retries.clone(),
        }
    }

    /// The number of this run, of which the last was put off or not.
    fn attempt(&self, is_put_off: bool) -> u32 {
        let begun = self.run.attempts().unwrap_or(1);
        let of_retries = self.retries.as_ref().map_or(1, |retries| match is_put_off {
            true => retries.runs(),
            false => retries.runs().saturating_add(1),
        });
        begun.max(of_retries)
    }
}

impl Worked<'_> {
    /// Takes it to its end, with its answer and the end of its run; `false` if its message must go
    /// back to the queue.
    pub(super) async fn conclude(
        &mut self,
        answer: Answer,
        end: RunEnd,
        abandoned: Option<Abandoned>,
    ) -> bool {
        let put_off = match abandoned {
            None if matches!(AnswerClass::of(&answer), AnswerClass::HandlerError) => {
                self.put_off().await
            }
            _ => PutOff::NotAsked,
        };
        match put_off {
            PutOff::Done => {
                self.end_count().await;
                return true;
            }
            // Nobody may be told that it failed: its copy may yet succeed.
            PutOff::Unsure => return false,
            PutOff::NotAsked | PutOff::Exhausted => {}
        }
        let exhausted = matches!(put_off, PutOff::Exhausted);
        let elsewhere = match end {
            RunEnd::Elsewhere if self.partition.is_some() => Some(self.claim_key()),
            _ => None,
        };
        trace::concluded(self.traced, &answer);
        let mut conclusion = self.conclusion(answer, end, exhausted);
        let attempt = self.runs.attempt(exhausted);
        let (processor, message, envelope) = (self.processor, self.message, self.envelope);
        processor.count(message, &conclusion.answer, envelope, attempt);
        let target = envelope.target.clone();
        if !self.answer(&mut conclusion, target).await {
            // Another worker may reach the store.
            return false;
        }
        if let Some(abandoned) = abandoned {
            match Box::pin(self.recorded(abandoned)).await {
                Some(recorded) => conclusion = recorded,
                None => return false,
            }
        }
        // A job's message that the broker has once more says so when it comes again.
        let is_ours = self.job.is_none_or(|job| !job.is_handed_back());
        if conclusion.settlement.dead_letter && is_ours {
            // Boxed, like what follows an abandoned run: rare, and larger than all the rest.
            Box::pin(self.keep_letter(&conclusion.answer)).await;
        }
        self.end_count().await;
        if let Some(key) = elsewhere {
            // What comes after it waits for the run that goes on.
            let store = self.processor.store.as_ref();
            Box::pin(partition::ended_elsewhere(store, &key)).await;
        }
        true
    }

    /// Puts a command off whose handler asked for that.
    async fn put_off(&mut self) -> PutOff {
        let Some(retries) = self.runs.retries.clone() else {
            return PutOff::NotAsked;
        };
        match retries.next() {
            Next::Nothing => PutOff::NotAsked,
            Next::Exhausted => PutOff::Exhausted,
            Next::Due(due) => Box::pin(self.put_aside(&retries, due)).await,
        }
    }

    /// Puts it aside until its next run is due.
    async fn put_aside(&mut self, retries: &Retries, due: Instant) -> PutOff {
        let (processor, envelope) = (self.processor, self.envelope);
        let Some(aside) = &processor.aside else {
            return PutOff::Exhausted;
        };
        let mut message = self.message.clone();
        envelope.note_start_by(&mut message.properties);
        match aside.put(message, envelope.id, retries, due).await {
            Put::Done => {}
            Put::Refused => return PutOff::Exhausted,
            Put::Unsure => return PutOff::Unsure,
        }
        processor.count_as(self.message, "put_off", envelope, self.runs.attempt(true));
        self.traced.set("replybus.outcome", "put_off");
        processor.flights.note(envelope.id, || FlightStep::PutOff {
            runs: retries.runs(),
        });
        PutOff::Done
    }

    fn conclusion(&self, answer: Answer, end: RunEnd, exhausted: bool) -> Conclusion {
        let kind = DeliveryKind {
            exhausted,
            ..kind_of(self.message, self.envelope, self.is_malformed)
        };
        let retries = self.runs.retries.as_ref();
        let seen = Seen {
            seen_before: self.seen_before,
            has_run: retries.is_some_and(|retries| retries.has_run()),
        };
        Conclusion::of(answer, end, seen, kind)
    }

    /// Stores its reply and its record, as far as there are such; `false` if it must go back.
    fn answer(
        &self,
        conclusion: &mut Conclusion,
        target: ReplyTarget,
    ) -> impl Future<Output = bool> + Send {
        let (message, envelope) = (self.message, self.envelope);
        self.processor
            .answer(conclusion, message, envelope, target, self.traced)
    }

    /// Waits for a command that a layer gave up on. Its caller has an answer; what it came to is
    /// recorded, and says what becomes of the message. `None` if that must go back.
    async fn recorded(&self, abandoned: Abandoned) -> Option<Conclusion> {
        let (finished, permit) = abandoned;
        // An error: it was not started because this worker is told to stop.
        let FinishedRun { answer, end } = self.begun.during(finished).await.ok()?;
        drop(permit);
        let mut conclusion = self.conclusion(answer, end, false);
        let is_stored = self.answer(&mut conclusion, ReplyTarget::None).await;
        is_stored.then_some(conclusion)
    }

    /// Keeps its message as a dead letter.
    async fn keep_letter(&self, answer: &Answer) {
        let (processor, envelope) = (self.processor, self.envelope);
        let mut message = self.message.clone();
        let mut attempts = self.runs.run.attempts();
        let retries = self.runs.retries.as_ref();
        if let Some(retries) = retries.filter(|retries| retries.runs() > 0) {
            retries.note_in(&mut message.properties);
            attempts = attempts.max(Some(retries.runs()));
        }
        let cause = Cause {
            answer,
            known_until: processor.known_until(&message, envelope),
            attempts,
            malformed: self.is_malformed,
            partition: self.partition,
        };
        let keeping = processor.keep_letter(envelope.id, message, &cause);
        self.traced.within(keeping).await;
    }

    /// Ends the count of a delivery that is not the first.
    async fn end_count(&self) {
        if self.begun.is_counted() {
            Box::pin(self.begun.end()).await;
        }
    }

    /// What the claim of a command is found under.
    fn claim_key(&self) -> String {
        let properties = &self.message.properties;
        let name = properties.kind.as_deref().unwrap_or_default();
        let key = properties.header(headers::IDEMPOTENCY_KEY);
        command_key(&self.processor.queue, name, key, self.envelope.id)
    }
}
