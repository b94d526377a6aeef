//! A simulation under way: time goes by in strides, in each of which every process and both servers
//! run until they have nothing to do; what they send one another is under way in between.

mod faults;

use crate::{
    chance::Chance,
    fault::Fault,
    flights::{Flight, Flights, Up},
    process::{Life, Process},
    servers::{Reached, Servers},
    session::Session,
    simulation::{Ended, Simulation, Violation},
    trace::{Happened, Trace},
    wire::{Back, Lane, Link, Sent},
};
use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

/// The least time that goes by at once, and the least that a message takes.
const STRIDE: Duration = Duration::from_millis(1);

/// The most, when nothing has happened for a while: what happens then takes that much longer to
/// reach others.
const STRIDE_MAX: Duration = Duration::from_millis(128);

/// The time that callers are given in all.
const CALLERS_WITHIN: Duration = Duration::from_secs(30 * 60);

/// The time that services are given to end.
const END_WITHIN: Duration = Duration::from_secs(60);

/// The time in which what was told to end comes to its end after that.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// The silence after which the broker gives a process up.
const HEARTBEATS_MISSED: Duration = Duration::from_secs(10);

/// The time after which a process gives up a confirm.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);

/// The time in which a process finds a connection again.
const RECONNECTS_WITHIN: u64 = 200;

/// What is to happen at its time.
enum Event {
    Start(usize),
    /// The broker forgets the connections of a life.
    Disconnect(Arc<Session>),
    /// Both servers do.
    EndSession(Arc<Session>),
    LinkUp {
        process: usize,
        life: u32,
        number: u64,
    },
    /// A process has been silent for too long.
    Silent {
        process: usize,
        life: u32,
    },
    Fault(usize, Fault),
    BrokerUp,
    StoreUp,
}

pub(crate) struct Run {
    seed: u64,
    servers: Servers,
    processes: Vec<Process>,
    flights: Flights,
    timetable: BTreeMap<(Duration, u64), Event>,
    scheduled: u64,
    /// The faults at steps that are still to come.
    pending: Vec<(usize, Fault)>,
    struck: Vec<usize>,
    chance: Chance,
    now: Duration,
    stride: Duration,
    drain: Duration,
    /// When none of those stands still any more that did so far.
    all_go_on_at: Duration,
    is_stopping: bool,
    broker_is_up: bool,
    store_is_up: bool,
    lost_queues: bool,
    was_without_store: bool,
    lost_records: bool,
    trace: Trace,
}

impl Run {
    pub(crate) fn new(simulation: &mut Simulation) -> io::Result<Self> {
        let seed = simulation.seed;
        let mut run = Self {
            seed,
            servers: Servers::start(Chance::new(seed).of_part(2).next())?,
            processes: std::mem::take(&mut simulation.processes),
            flights: Flights::default(),
            timetable: BTreeMap::new(),
            scheduled: 0,
            pending: Vec::new(),
            struck: Vec::new(),
            chance: Chance::new(seed).of_part(3),
            now: Duration::ZERO,
            stride: STRIDE,
            drain: simulation.drain,
            all_go_on_at: Duration::ZERO,
            is_stopping: false,
            broker_is_up: true,
            store_is_up: true,
            lost_queues: false,
            was_without_store: false,
            lost_records: false,
            trace: Trace::new(simulation.keeps_trace),
        };
        for (number, fault) in &simulation.faults {
            match fault {
                Fault::RestartBroker { at, .. } | Fault::RestartStore { at, .. } => {
                    run.schedule(*at, Event::Fault(*number, fault.clone()));
                }
                Fault::Clock { .. } => run.struck.push(*number),
                _ => run.pending.push((*number, fault.clone())),
            }
        }
        run.pending
            .sort_by_key(|(number, fault)| (fault.step(), *number));
        for process in 0..run.processes.len() {
            run.schedule(Duration::ZERO, Event::Start(process));
        }
        Ok(run)
    }

    pub(crate) fn into_happened(self) -> Vec<Happened> {
        self.trace.into_happened()
    }

    /// Runs until everything is over.
    pub(crate) fn finish(&mut self) -> Result<Ended, Violation> {
        let are_done = |run: &Self| {
            run.processes
                .iter()
                .all(|one| !one.is_caller || one.is_done)
        };
        self.until(CALLERS_WITHIN, "callers are not done", are_done)?;
        let done = self.now;
        let is_drained = |run: &Self| run.now >= done.max(run.all_go_on_at) + run.drain;
        self.until(CALLERS_WITHIN, "", is_drained)?;
        self.is_stopping = true;
        for process in &self.processes {
            if let Some(life) = &process.life {
                life.stop.cancel();
            }
        }
        let are_over = |run: &Self| run.processes.iter().all(|one| one.is_done);
        self.until(END_WITHIN, "was told to end, and does not", are_over)?;
        let settled = self.now + SETTLE_WITHIN;
        self.until(CALLERS_WITHIN, "", |run| run.now >= settled)?;
        for process in &self.processes {
            let tasks = process.life.as_ref().map_or(0, Life::tasks);
            if tasks > 0 {
                let name = &process.name;
                return Err(Violation::new(format!(
                    "{name} has ended, and left {tasks} tasks"
                )));
            }
        }
        self.struck.sort_unstable();
        Ok(Ended {
            digest: self.trace.digest(),
            steps: self.trace.steps(),
            lasted: self.now,
            struck: std::mem::take(&mut self.struck),
            lost_queues: self.lost_queues,
            was_without_store: self.was_without_store,
            lost_records: self.lost_records,
            left: self.servers.left(),
        })
    }

    fn until(
        &mut self,
        within: Duration,
        otherwise: &str,
        is_over: impl Fn(&Self) -> bool,
    ) -> Result<(), Violation> {
        let end = self.now + within;
        while !is_over(self) {
            if self.now >= end {
                let mut late = self.processes.iter().filter(|process| !process.is_done);
                let name = late.next().map_or("nobody", |process| &process.name);
                return Err(Violation::new(format!(
                    "{otherwise}: {name}, within {within:?}"
                )));
            }
            self.step()?;
        }
        Ok(())
    }

    /// One stride of time.
    fn step(&mut self) -> Result<(), Violation> {
        while let Some(due) = self
            .timetable
            .first_entry()
            .filter(|due| due.key().0 <= self.now)
        {
            let event = due.remove();
            self.happen(event)?;
        }
        while let Some(flight) = self.flights.next_down(self.now) {
            self.arrive(flight);
        }
        let until = self.now + self.next_stride();
        let mut is_busy = false;
        for index in 0..self.processes.len() {
            let Some(life) = self.life(index) else {
                continue;
            };
            let sent = life.run(until);
            is_busy |= !sent.is_empty();
            self.now = until;
            self.take(index, sent);
            self.see_the_end(index)?;
        }
        self.now = until;
        is_busy |= self.serve(until);
        self.stride = if is_busy {
            STRIDE
        } else {
            (self.stride * 4).min(STRIDE_MAX)
        };
        Ok(())
    }

    /// As long as nothing is to arrive or to happen within it.
    fn next_stride(&self) -> Duration {
        let next = self.timetable.keys().next().map(|(at, _)| *at);
        let next = next.into_iter().chain(self.flights.next_due()).min();
        let left = next.map_or(STRIDE_MAX, |at| at.saturating_sub(self.now));
        self.stride.min(left).max(STRIDE)
    }

    fn life(&mut self, process: usize) -> Option<&mut Life> {
        self.processes.get_mut(process)?.life.as_mut()
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.timetable.insert((at, self.scheduled), event);
    }

    fn note(&mut self, process: usize, what: std::fmt::Arguments<'_>) {
        if let Some(process) = self.processes.get(process) {
            self.trace.note(self.now, &process.name, what);
        }
    }

    fn latency(&mut self) -> Duration {
        STRIDE * u32::try_from(self.chance.between(1, 3)).unwrap_or(1)
    }

    /// Lets the servers carry out what has reached them. Returns whether anything has.
    fn serve(&mut self, until: Duration) -> bool {
        let mut reached = Vec::new();
        let mut asked = BTreeMap::new();
        while let Some((number, up, session)) = self.next_reached(until) {
            let Up { sent, times, .. } = up;
            let Sent {
                lane,
                link,
                what,
                about,
                act,
                ..
            } = sent;
            self.trace.note(
                until,
                "servers",
                format_args!("{} of {}: {what} {about}", up.step, up.process),
            );
            asked.insert(number, (up.process, up.life, lane, link, up.answer_lost));
            reached.push(Reached {
                number,
                session,
                act,
                times,
            });
        }
        let mut is_busy = !reached.is_empty();
        for (number, back) in self.servers.run(until, reached) {
            let Some((process, life, lane, link, lost)) = asked.remove(&number) else {
                continue;
            };
            let flight = |back| Flight {
                process,
                life,
                lane,
                link,
                is_reply: false,
                back,
            };
            match lost {
                None => {
                    let due = until + self.latency();
                    self.flights.send_down(due, flight(back));
                }
                Some(after) => {
                    let lost: Back = Box::new(move || drop(back));
                    self.flights.lose_down(until + after, flight(lost));
                }
            }
        }
        for arrival in self.servers.arrivals() {
            is_busy = true;
            self.note(
                arrival.process,
                format_args!("{} {}", arrival.what, arrival.about),
            );
            let due = until + self.latency();
            self.flights.send_down(due, Flight::of(arrival));
        }
        is_busy
    }

    /// The next request that reaches its server, with the session it belongs to.
    fn next_reached(&mut self, until: Duration) -> Option<(u64, Up, Arc<Session>)> {
        loop {
            let (number, up) = self.flights.next_up(until)?;
            if up.sent.lane == Lane::Store && !self.store_is_up {
                continue;
            }
            if let Some(session) = self.flights.session(up.process, up.life) {
                return Some((number, up, session));
            }
        }
    }

    /// Lets something reach a process, if that is still there.
    fn arrive(&mut self, flight: Flight) {
        let Flight {
            process,
            life: number,
            lane,
            link,
            back,
            ..
        } = flight;
        let Some(life) = self.life(process) else {
            return;
        };
        let is_of_it = life.session.life == number;
        if is_of_it && (!lane.is_broker() || link == life.link.number) {
            life.receive(back);
        }
    }

    fn see_the_end(&mut self, index: usize) -> Result<(), Violation> {
        let is_stopping = self.is_stopping;
        let Some(process) = self.processes.get_mut(index) else {
            return Ok(());
        };
        let Some(life) = &mut process.life else {
            return Ok(());
        };
        match life.ended() {
            None => Ok(()),
            Some(Ok(())) if process.is_caller || is_stopping => {
                process.is_done = true;
                Ok(())
            }
            Some(Ok(())) => Err(Violation::new(format!(
                "{} ended before it was told to",
                process.name
            ))),
            Some(Err(error)) => Err(Violation::new(format!("{} failed: {error}", process.name))),
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Start(process) => self.start(process)?,
            Event::Disconnect(session) => self.servers.within(session.disconnect(None)),
            Event::EndSession(session) => {
                self.servers.within(session.end());
                self.flights.forget(session.process, session.life);
            }
            Event::LinkUp {
                process,
                life: number,
                number: link,
            } => {
                let is_up = self.broker_is_up;
                if let Some(life) = self.life(process)
                    && is_up
                    && life.session.life == number
                    && life.link.number == link
                {
                    life.link.is_up = true;
                    life.tell_link(life.link);
                }
            }
            Event::Silent { process, life } => self.give_up(process, life),
            Event::Fault(number, fault) => self.restart(number, &fault),
            Event::BrokerUp => {
                self.broker_is_up = true;
                self.trace.note(self.now, "broker", format_args!("is up"));
                for process in 0..self.processes.len() {
                    self.link_up_after(process, Duration::ZERO);
                }
            }
            Event::StoreUp => {
                self.store_is_up = true;
                self.trace.note(self.now, "store", format_args!("is up"));
            }
        }
        Ok(())
    }

    fn start(&mut self, index: usize) -> Result<(), Violation> {
        let (now, is_up) = (self.now, self.broker_is_up);
        let Some(process) = self.processes.get_mut(index) else {
            return Ok(());
        };
        process.lives += 1;
        let session = Session::new(index, process.lives, Arc::clone(&self.servers.shared));
        self.flights.know(Arc::clone(&session));
        let part = u64::try_from(index).unwrap_or_default() << 32 | u64::from(process.lives);
        let seed = Chance::new(self.seed).of_part(part + 16).next();
        let link = Link { number: 1, is_up };
        let life = Life::begin(process, session, seed, now, link);
        let life = life.map_err(|error| Violation::new(error.to_string()))?;
        if self.is_stopping {
            life.stop.cancel();
        }
        process.life = Some(life);
        self.note(index, format_args!("starts"));
        Ok(())
    }
}
