//! One channel without confirms, for messages whose fate shows by itself: the caller waits for a
//! reply. The broker does not have to say that it has them, which spares a lone call a sixth of its
//! time and a persistent one nearly half, and only what went wrong is told.
//!
//! Without delivery tags to keep in order any thread may write, and the one that calls does: no
//! task stands between it and the socket.

use crate::{
    message::Text,
    transport::{
        Departure, Slip, Verdict,
        amqp::{
            connect::{Failure, Live},
            publish::{
                IN_FLIGHT_MAX,
                complaint::{Complaint, Target},
                job::{Job, Prepared, id_of_returned, write},
                suspects::{Accused, Suspects},
            },
        },
    },
};
use futures_util::{FutureExt, future::BoxFuture};
use lapin::Confirmation;
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};
use tokio::time::Instant;

/// Every so many publishes one is watched until it is written. lapin writes in order: what was
/// published before it is written, too.
const MILESTONE_EVERY: u64 = 64;

/// The time after which a publish on a channel that the broker then closed may have been taken: it
/// looks rights up once, and keeps them until a channel has been idle for a second.
const PERHAPS_TAKEN_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct DirectChannel {
    live: Arc<Live>,
    suspects: Suspects,
    channel: Arc<lapin::Channel>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By what they are known by, those somebody still asks about.
    watched: HashMap<Text, Watched>,
    published: u64,
    first: Option<Instant>,
    /// Somebody asks no more, perhaps because there was a reply; or a message was returned.
    forgotten: bool,
    written: u64,
    milestones: VecDeque<(u64, Write)>,
    /// Those of which somebody wants to know when they are out, each with what wakes it.
    departing: Vec<(u64, Departure, Write)>,
    ended: bool,
}

type Write = BoxFuture<'static, lapin::Result<Confirmation>>;

/// Those who ask about one id: a caller may make several attempts at once. One is the rule, and
/// takes no allocation.
struct Watched {
    target: Target,
    first: Slip,
    more: Vec<Slip>,
}

impl Watched {
    fn fill(self, verdict: Verdict) {
        for slip in self.more {
            slip.fill(verdict.clone());
        }
        self.first.fill(verdict);
    }

    /// Forgets those that nobody asks about any more; `false` if none is left.
    fn is_asked_about(&mut self) -> bool {
        self.more.retain(|slip| !slip.abandoned());
        if !self.first.abandoned() {
            return true;
        }
        match self.more.pop() {
            Some(slip) => {
                self.first = slip;
                true
            }
            None => false,
        }
    }
}

impl DirectChannel {
    pub(crate) async fn open(live: Arc<Live>, suspects: Suspects) -> Result<Self, Failure> {
        Ok(Self {
            channel: Arc::new(live.channel().await?),
            live,
            suspects,
            state: Mutex::default(),
        })
    }

    /// `true` while the broker leaves it open.
    pub(crate) fn is_open(&self) -> bool {
        self.channel.status().connected()
    }

    /// `true` while anybody asks.
    pub(crate) fn is_watched(&self) -> bool {
        !self.state().watched.is_empty()
    }

    /// Writes a message, unless it was withdrawn or does not fit into AMQP. Gives it back if the
    /// channel takes none now. The departure is dropped when the message is out, or is not written.
    pub(crate) fn write(&self, job: Job, departure: Option<Departure>) -> Option<Job> {
        if !self.is_open() || !self.state().has_slot() {
            return Some(job);
        }
        // What can't be written has its verdict, and is done with as well.
        let Prepared {
            id,
            target,
            encoded,
            mandatory,
            slip,
            // It is counted by its caller from here on, who has a slot to wait in.
            permit: _,
        } = job.prepare()?;
        let mut state = self.state();
        if state.ended {
            slip.fill(Verdict::Lost);
            return None;
        }
        state.watch(id, target, slip);
        let write = write(Arc::clone(&self.channel), encoded, mandatory);
        let Some(departure) = departure else {
            state.begin(write);
            return None;
        };
        let out = state.begin_to_depart(write, departure);
        // Whoever is told may have something to write.
        drop(state);
        drop(out);
        None
    }

    /// Takes what the broker returned; lapin tells nobody when it comes.
    pub(crate) fn take_returned(&self) {
        // Ready at once: outside confirm mode there is nothing to wait for.
        let returned = self.channel.wait_for_confirms().now_or_never();
        for message in returned.and_then(Result::ok).into_iter().flatten() {
            let watched = id_of_returned(&message).and_then(|id| self.state().returned(&id));
            if let Some(watched) = watched {
                watched.fill(Verdict::Unroutable);
            }
        }
    }

    /// Forgets those nobody asks about any more: their replies came, or their time was up.
    pub(crate) fn forget_abandoned(&self) {
        let mut state = self.state();
        let before = state.watched.len();
        state.watched.retain(|_, watched| watched.is_asked_about());
        state.forgotten |= state.watched.len() < before;
        state.forget_departed();
    }

    /// Ends the channel: nobody knows what became of what was written to it.
    pub(crate) fn give_up(&self) {
        let mut state = self.state();
        state.ended = true;
        state.milestones.clear();
        let departing = std::mem::take(&mut state.departing);
        let complaint = self.live.close_of(&self.channel).and_then(Complaint::of);
        if let Some(complaint) = &complaint {
            self.suspects.remember(complaint.clone());
        }
        let alone = state.published == 1;
        let allowed = state.may_have_been_taken();
        let watched: Vec<_> = state.watched.drain().collect();
        // What comes of it may be another write.
        drop(state);
        drop(departing);
        for (id, watched) in watched {
            let verdict = complaint.as_ref().map(|complaint| {
                let accused = Accused {
                    id: &id,
                    target: &watched.target,
                    alone,
                    allowed,
                };
                self.suspects.judge(complaint, &accused)
            });
            watched.fill(verdict.unwrap_or(Verdict::Lost));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DirectChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectChannel")
            .field("watched", &self.state().watched.len())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Takes those who ask about a message that the broker returned.
    fn returned(&mut self, id: &str) -> Option<Watched> {
        let watched = self.watched.remove(id);
        self.forgotten |= watched.is_some();
        watched
    }

    /// `true` unless the broker surely took nothing on this channel.
    fn may_have_been_taken(&self) -> bool {
        let since = self.first.map(|first| first.elapsed());
        self.forgotten || since.is_some_and(|since| since > PERHAPS_TAKEN_AFTER)
    }

    fn watch(&mut self, id: Text, target: Target, slip: Slip) {
        self.first.get_or_insert_with(Instant::now);
        match self.watched.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(Watched {
                    target,
                    first: slip,
                    more: Vec::new(),
                });
            }
            Entry::Occupied(entry) => entry.into_mut().more.push(slip),
        }
    }

    /// Begins a publish: the first poll queues the frames, and there is no more to it but to learn
    /// when they are out.
    fn begin(&mut self, write: impl Future<Output = lapin::Result<Confirmation>> + Send + 'static) {
        self.published += 1;
        let number = self.published;
        if !number.is_multiple_of(MILESTONE_EVERY) {
            let _ = write.now_or_never();
            return;
        }
        let mut write = write.boxed();
        if write.as_mut().now_or_never().is_none() {
            self.milestones.push_back((number, write));
        } else {
            self.is_out(number);
        }
    }

    /// Begins a publish, and tells when it is out. Gives back the departure of one that is already.
    fn begin_to_depart(
        &mut self,
        write: impl Future<Output = lapin::Result<Confirmation>> + Send + 'static,
        departure: Departure,
    ) -> Option<Departure> {
        self.published += 1;
        let number = self.published;
        let mut write: Write = write.boxed();
        let waker = departure.waker();
        let out = write.as_mut().poll(&mut Context::from_waker(&waker));
        if out.is_ready() {
            self.is_out(number);
            return Some(departure);
        }
        self.forget_departed();
        self.departing.push((number, departure, write));
        None
    }

    /// Forgets those of which it was told that they are out.
    fn forget_departed(&mut self) {
        let departed = |(_, departure, _): &(u64, Departure, Write)| departure.is_told();
        let last = self.departing.iter().filter(|write| departed(write));
        if let Some(number) = last.map(|(number, ..)| *number).max() {
            self.departing.retain(|write| !departed(write));
            self.is_out(number);
        }
    }

    /// Notes that a publish is out, and with it all before it.
    fn is_out(&mut self, number: u64) {
        self.written = self.written.max(number);
        self.milestones.retain(|(milestone, _)| *milestone > number);
    }

    /// `true` if lapin holds few enough unwritten messages to take another.
    fn has_slot(&mut self) -> bool {
        if self.ended {
            return false;
        }
        if self.unwritten() >= IN_FLIGHT_MAX / 2 {
            self.forget_departed();
        }
        while self.unwritten() >= IN_FLIGHT_MAX / 2
            && let Some((number, write)) = self.milestones.front_mut()
            && write.as_mut().now_or_never().is_some()
        {
            let number = *number;
            self.is_out(number);
        }
        self.unwritten() < IN_FLIGHT_MAX
    }

    /// Publishes that lapin may hold unwritten.
    fn unwritten(&self) -> usize {
        usize::try_from(self.published - self.written).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    #[test]
    fn what_is_written_at_once_takes_up_no_slot() {
        let mut state = State::default();
        for _ in 0..4 * IN_FLIGHT_MAX {
            assert!(state.has_slot());
            state.begin(ready(Ok(Confirmation::NotRequested)));
        }
    }

    #[test]
    fn no_more_than_512_are_unwritten() {
        let mut state = State::default();
        for _ in 0..IN_FLIGHT_MAX {
            assert!(state.has_slot());
            state.begin(pending());
        }
        assert!(!state.has_slot());
    }
}
