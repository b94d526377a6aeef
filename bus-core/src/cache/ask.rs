//! A query whose answers are kept for others: looked for, computed by one of those who want it, and
//! kept, unless something that it depends on was invalidated meanwhile.

use super::{
    CacheStatus, count, count_kept,
    flights::{Boarding, Landing, Leader},
    key,
    turn::Turn,
};
use crate::{
    bus::BusInner,
    client::{CallRequest, CallResponse},
    contract::CachePolicy,
    error::CallFailure,
    limits::{CACHE_ANSWER_BYTES_MAX, CACHE_LOOK_MAX, CACHE_LOOK_MIN},
    reply::{CacheFound, CacheLookup},
    wire::ReplyFrame,
    work::Pauses,
};
use bytes::Bytes;
use std::{
    convert::Infallible,
    future::{Future, pending},
};
use tokio::time::{Instant, sleep_until};

type Answered = Result<CallResponse, CallFailure>;

/// Answers a query out of the cache, or by the call that `make` makes.
pub(crate) async fn ask<F>(
    bus: &BusInner,
    request: &CallRequest,
    policy: &'static CachePolicy,
    make: impl Fn() -> F,
) -> Answered
where
    F: Future<Output = Answered>,
{
    let asked = Asked {
        bus,
        request,
        policy,
        make,
    };
    let (status, answered) = asked.answer().await;
    count(request, status);
    answered.map(|response| response.cached(status))
}

struct Asked<'a, M> {
    bus: &'a BusInner,
    request: &'a CallRequest,
    policy: &'static CachePolicy,
    make: M,
}

/// What a look comes to.
enum Looked {
    Done(CacheStatus, Answered),
    /// The turn is this call's.
    Turn(Turn),
    /// Another computes it.
    Awaited,
}

impl<M, F> Asked<'_, M>
where
    M: Fn() -> F,
    F: Future<Output = Answered>,
{
    async fn answer(&self) -> (CacheStatus, Answered) {
        let request = self.request;
        let key = match key::of(request, self.policy) {
            Ok(key) => key,
            Err(error) => {
                let (service, method) = (request.service(), request.method());
                tracing::warn!(service, method, %error, "an answer can't be kept");
                return self.alone().await;
            }
        };
        let owner = request.id().to_text();
        let mut lookup = CacheLookup::new(key, owner, self.policy.ttl);
        lookup.anew = request.anew;
        let mut pauses = Pauses::new(CACHE_LOOK_MIN, CACHE_LOOK_MAX);
        // Of several that wait here for what another process computes, one looks for it.
        let mut leader: Option<Leader> = None;
        let mut was_outdated = false;
        loop {
            if let Some(leader) = &leader {
                leader.is_at_work();
            }
            match self.look(&lookup).await {
                Looked::Done(status, answered) => {
                    if let (Some(leader), CacheStatus::Bypassed) = (leader, status) {
                        leader.land(Landing::Alone);
                    }
                    return (status, answered);
                }
                Looked::Turn(turn) => {
                    let leader = leader.or_else(|| self.bus.cache.flights.lead(&lookup.key));
                    return self.compute(turn, leader).await;
                }
                Looked::Awaited => {}
            }
            if leader.is_none() {
                match self.bus.cache.flights.board(&lookup.key) {
                    Boarding::Leads(first) => leader = Some(first),
                    Boarding::Waits(passenger) => {
                        match self.in_time(passenger.landing()).await {
                            Ok(Landing::Shared(response)) => {
                                return (CacheStatus::Shared, Ok(response));
                            }
                            Ok(Landing::Alone) => return self.alone().await,
                            // It changes faster than it is computed: what each has computed for
                            // itself is true for it.
                            Ok(Landing::Outdated) if was_outdated => return self.alone().await,
                            Ok(Landing::Outdated) => was_outdated = true,
                            Ok(Landing::Again) => {}
                            Err(ended) => return ended,
                        }
                        continue;
                    }
                }
            }
            let pause = sleep_until(Instant::now() + pauses.next());
            if let Err(ended) = self.in_time(pause).await {
                return ended;
            }
        }
    }

    /// Makes the call as if there were no cache.
    async fn alone(&self) -> (CacheStatus, Answered) {
        (CacheStatus::Bypassed, (self.make)().await)
    }

    async fn look(&self, lookup: &CacheLookup) -> Looked {
        let began = Instant::now();
        let store = &self.bus.replies;
        let deadline = self.request.deadline();
        let found = self.bus.cache.within(deadline, store.look_up(lookup)).await;
        match found {
            Some(CacheFound::Answer(answer)) => {
                let reply = (self.request.content_type, ReplyFrame::Ok(answer));
                Looked::Done(CacheStatus::Hit, Ok(CallResponse::replied(reply)))
            }
            Some(CacheFound::Missing { versions }) => {
                Looked::Turn(Turn::new(store, lookup.clone(), versions, began))
            }
            Some(CacheFound::Awaited) => Looked::Awaited,
            Some(CacheFound::Unsupported) | None => {
                let (status, answered) = self.alone().await;
                Looked::Done(status, answered)
            }
        }
    }

    /// Waits for something until the call's time is over.
    async fn in_time<T>(
        &self,
        awaited: impl Future<Output = T>,
    ) -> Result<T, (CacheStatus, Answered)> {
        tokio::select! {
            biased;
            came = awaited => Ok(came),
            () = sleep_until(self.request.deadline()) => {
                Err((CacheStatus::Shared, Err(self.request.never_sent())))
            }
            // The call says so.
            () = self.bus.closed.cancelled() => Err(self.alone().await),
        }
    }

    /// Has the answer computed, and keeps it. Those who wait for it get it if it is true for them,
    /// who may have come after something that it depends on was changed.
    async fn compute(&self, mut turn: Turn, leader: Option<Leader>) -> (CacheStatus, Answered) {
        let status = if self.request.anew {
            CacheStatus::Refreshed
        } else {
            CacheStatus::Miss
        };
        let answered = tokio::select! {
            biased;
            answered = (self.make)() => answered,
            never = turn.hold() => match never {},
            never = works(leader.as_ref()) => match never {},
        };
        // Who comes once that is judged may come after a change.
        if let Some(leader) = &leader {
            leader.close();
        }
        let answer = answered.as_ref().ok().and_then(|it| self.to_keep(it));
        let is_kept = answer.is_some();
        let deadline = self.request.deadline();
        let valid = self.bus.cache.within(deadline, turn.end(answer)).await;
        if let (true, Some(valid)) = (is_kept, valid) {
            count_kept(self.request, valid);
        }
        let landing = match (&answered, valid) {
            (Ok(response), Some(true)) if response.reply().is_some() => {
                Landing::Shared(response.clone())
            }
            (Ok(_), Some(false)) => Landing::Outdated,
            _ => Landing::Alone,
        };
        if let Some(leader) = leader {
            leader.land(landing);
        }
        (status, answered)
    }

    /// The part of a response that is kept: the value of the handler, if it is in the encoding that
    /// was asked for, and not too large.
    fn to_keep(&self, response: &CallResponse) -> Option<Bytes> {
        match response.reply()? {
            (content_type, ReplyFrame::Ok(answer))
                if content_type == self.request.content_type
                    && answer.len() <= CACHE_ANSWER_BYTES_MAX =>
            {
                Some(answer.clone())
            }
            _ => None,
        }
    }
}

/// Says that a leader is at work, if there is one, for as long as it is polled.
async fn works(leader: Option<&Leader>) -> Infallible {
    match leader {
        Some(leader) => leader.works().await,
        None => pending().await,
    }
}
