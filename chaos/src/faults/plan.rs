//! Which faults strike, in which order and for how long: all of it drawn from a seed.

use crate::site::{Server, SystemName};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::{
    fmt::{self, Write as _},
    time::Duration,
};

/// The peace before a step.
const PEACE_MS: std::ops::Range<u64> = 500..4_000;
/// The time for which something is away, or is as it must not be.
const AWAY_MS: std::ops::Range<u64> = 300..6_000;
/// A program that is frozen has lost its claims when it goes on: their lease is 3 s.
const FROZEN_MS: std::ops::Range<u64> = 4_000..9_000;
/// One of four has lost the orders that it was at work on, too: 20 s.
const FROZEN_LONG_MS: std::ops::Range<u64> = 21_000..25_000;
/// The delay of a slow link, each way.
const SLOW_MS: std::ops::Range<u64> = 20..400;
/// One step of so many has two faults at once.
const PAIR_OF: u32 = 4;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// To a server, for all who use it.
    Server(Server, ServerFault),
    /// RabbitMQ says that it has no memory left, and blocks who publishes.
    MemoryAlarm,
    /// All that Redis holds is gone (FLUSHALL).
    Emptied,
    /// Redis is killed and comes back without its data.
    Forgetful,
    /// A queue of requests is deleted, with what is in it.
    QueueDeleted(RequestQueue),
    /// What is in a queue of requests is thrown away.
    QueuePurged(RequestQueue),
    /// To a program.
    Program(usize, ProgramFault),
    /// To the connections between one program and one server.
    Link(usize, Server, LinkFault),
}

/// What can go wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerFault {
    /// SIGKILL, and it comes back.
    Killed,
    /// It ends in good order, and comes back.
    Restarted,
    /// SIGSTOP: connections stay open and nothing answers.
    Frozen,
    /// All connections to it are reset.
    Cut,
    /// All connections to it are reset, and new ones refused.
    Refused,
    /// Nothing reaches it, and nobody says so.
    Silent,
}

/// What can go wrong with a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgramFault {
    /// SIGKILL, and it is started again.
    Killed,
    /// SIGSTOP, for longer than its leases last.
    Frozen,
    /// SIGTERM, and it is started again when it has ended.
    Stopped,
}

/// What can go wrong with the connections of one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkFault {
    /// Every packet takes this long, each way.
    Slow(Duration),
    /// Every packet is lost.
    Lossy,
    /// Those that are open are forgotten by a firewall on the way; new ones work.
    Forgotten,
    /// Those that are open are reset.
    Cut,
}

/// A queue of requests. Those of events are spared: what is in them is nowhere else, and no program
/// can bring back what its broker threw away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestQueue(pub(crate) SystemName, pub(crate) &'static str);

const REQUEST_QUEUES: [RequestQueue; 6] = [
    RequestQueue(SystemName::Bank, "account.requests"),
    RequestQueue(SystemName::Bank, "transfer.requests"),
    RequestQueue(SystemName::Bank, "auth.requests"),
    RequestQueue(SystemName::Bank, "notification.requests"),
    RequestQueue(SystemName::Shop, "product.requests"),
    RequestQueue(SystemName::Shop, "user.requests"),
];

/// A fault, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Struck {
    pub(crate) fault: Fault,
    pub(crate) lasts: Duration,
}

impl Struck {
    /// As a line says it, with the names of the programs.
    pub(crate) fn told(self, programs: &[String]) -> String {
        let mut told = self.fault.told(programs);
        if self.fault.lasts() {
            let seconds = self.lasts.as_secs_f64();
            // A string takes all that is written to it.
            let _ = write!(told, ", {seconds:.1} s");
        }
        told
    }
}

/// Some peace, and then one fault, or two at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) peace: Duration,
    pub(crate) faults: Vec<Struck>,
}

/// Steps without an end. Every fault of the list comes before one comes again.
#[derive(Debug)]
pub(crate) struct Plan {
    dice: StdRng,
    programs: usize,
    next: Vec<Fault>,
}

impl Plan {
    /// The plan of a seed, for so many programs.
    pub(crate) fn of(seed: u64, programs: usize) -> Self {
        Self {
            dice: StdRng::seed_from_u64(seed),
            programs,
            next: Vec::new(),
        }
    }

    fn fault(&mut self) -> Fault {
        if self.next.is_empty() {
            self.next = all(&mut self.dice, self.programs);
            self.next.shuffle(&mut self.dice);
        }
        // There are some, always: the list is not empty.
        self.next.pop().unwrap_or(Fault::Emptied)
    }

    fn struck(&mut self, fault: Fault) -> Struck {
        let range = match fault {
            Fault::Program(_, ProgramFault::Frozen) if self.dice.random_ratio(1, 4) => {
                FROZEN_LONG_MS
            }
            Fault::Program(_, ProgramFault::Frozen) => FROZEN_MS,
            _ => AWAY_MS,
        };
        let lasts = Duration::from_millis(self.dice.random_range(range));
        Struck { fault, lasts }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let peace = Duration::from_millis(self.dice.random_range(PEACE_MS));
        let first = self.fault();
        let mut faults = vec![self.struck(first)];
        if self.dice.random_ratio(1, PAIR_OF) {
            let second = self.fault();
            if second.subject() == first.subject() {
                // Later, by itself.
                self.next.insert(0, second);
            } else {
                faults.push(self.struck(second));
            }
        }
        Some(Step { peace, faults })
    }
}

/// What a fault is done to. Faults at the same time have different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Server(Server),
    Program(usize),
    Link(usize, Server),
}

impl Fault {
    /// What it is done to.
    pub(crate) fn subject(self) -> Subject {
        match self {
            Self::Server(server, _) => Subject::Server(server),
            Self::MemoryAlarm | Self::QueueDeleted(_) | Self::QueuePurged(_) => {
                Subject::Server(Server::Rabbit)
            }
            Self::Emptied | Self::Forgetful => Subject::Server(Server::Redis),
            Self::Program(number, _) => Subject::Program(number),
            Self::Link(number, server, _) => Subject::Link(number, server),
        }
    }

    /// `true` if it lasts; others are over at once.
    fn lasts(self) -> bool {
        match self {
            Self::Server(_, fault) => fault != ServerFault::Cut,
            Self::Link(_, _, fault) => fault != LinkFault::Cut,
            Self::MemoryAlarm | Self::Forgetful | Self::Program(..) => true,
            Self::Emptied | Self::QueueDeleted(_) | Self::QueuePurged(_) => false,
        }
    }

    fn told(self, programs: &[String]) -> String {
        let program = |number: usize| programs.get(number).map_or("", String::as_str);
        match self {
            Self::Server(server, fault) => format!("{server}: {fault}"),
            Self::MemoryAlarm => format!("{}: memory alarm", Server::Rabbit),
            Self::Emptied => format!("{}: emptied", Server::Redis),
            Self::Forgetful => format!("{}: killed, back without data", Server::Redis),
            Self::QueueDeleted(queue) => format!("{queue}: deleted"),
            Self::QueuePurged(queue) => format!("{queue}: purged"),
            Self::Program(number, fault) => format!("{}: {fault}", program(number)),
            Self::Link(number, server, fault) => {
                format!("{} to {server}: {fault}", program(number))
            }
        }
    }
}

/// Each fault once; of links one of each kind, somewhere.
fn all(dice: &mut StdRng, programs: usize) -> Vec<Fault> {
    let mut faults = vec![Fault::MemoryAlarm, Fault::Emptied, Fault::Forgetful];
    for server in Server::ALL {
        let kinds = [
            ServerFault::Killed,
            ServerFault::Restarted,
            ServerFault::Frozen,
            ServerFault::Cut,
            ServerFault::Refused,
            ServerFault::Silent,
        ];
        faults.extend(kinds.map(|kind| Fault::Server(server, kind)));
    }
    for number in 0..programs {
        let kinds = [
            ProgramFault::Killed,
            ProgramFault::Frozen,
            ProgramFault::Stopped,
        ];
        faults.extend(kinds.map(|kind| Fault::Program(number, kind)));
    }
    for server in Server::ALL {
        let slow = LinkFault::Slow(Duration::from_millis(dice.random_range(SLOW_MS)));
        for kind in [slow, LinkFault::Lossy, LinkFault::Forgotten, LinkFault::Cut] {
            faults.push(Fault::Link(dice.random_range(0..programs), server, kind));
        }
    }
    for queue in REQUEST_QUEUES {
        faults.push(if dice.random_bool(0.5) {
            Fault::QueueDeleted(queue)
        } else {
            Fault::QueuePurged(queue)
        });
    }
    faults
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Restarted => "restarted",
            Self::Frozen => "frozen",
            Self::Cut => "connections cut",
            Self::Refused => "connections refused",
            Self::Silent => "silent",
        })
    }
}

impl fmt::Display for ProgramFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Frozen => "frozen",
            Self::Stopped => "stopped",
        })
    }
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(by) => write!(f, "slower by {} ms", by.as_millis()),
            Self::Lossy => f.write_str("every packet lost"),
            Self::Forgotten => f.write_str("connections forgotten"),
            Self::Cut => f.write_str("connections cut"),
        }
    }
}

impl fmt::Display for RequestQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.namespace(), self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAMS: usize = 12;

    #[test]
    fn a_seed_gives_the_same_faults_and_another_one_others() {
        let steps = |seed| Plan::of(seed, PROGRAMS).take(200).collect::<Vec<_>>();
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn every_fault_comes_before_one_comes_again() {
        let mut dice = StdRng::seed_from_u64(7);
        let kinds = all(&mut dice, PROGRAMS).len();
        let faults = Plan::of(7, PROGRAMS).flat_map(|step| step.faults);
        let first: Vec<Fault> = faults.take(kinds).map(|struck| struck.fault).collect();
        for server in Server::ALL {
            for kind in [
                ServerFault::Killed,
                ServerFault::Frozen,
                ServerFault::Silent,
            ] {
                assert!(
                    first.contains(&Fault::Server(server, kind)),
                    "{server} {kind}"
                );
            }
        }
        for number in 0..PROGRAMS {
            assert!(first.contains(&Fault::Program(number, ProgramFault::Killed)));
        }
        assert!(first.contains(&Fault::Forgetful) && first.contains(&Fault::MemoryAlarm));
    }

    #[test]
    fn two_at_once_strike_different_things() {
        let pairs: Vec<Step> = Plan::of(7, PROGRAMS)
            .take(500)
            .filter(|step| step.faults.len() == 2)
            .collect();
        assert!(pairs.len() > 50);
        for step in pairs {
            let [one, other] = [step.faults[0], step.faults[1]];
            assert_ne!(one.fault.subject(), other.fault.subject());
        }
    }

    #[test]
    fn a_frozen_program_outlasts_its_leases() {
        for struck in Plan::of(7, PROGRAMS).take(500).flat_map(|step| step.faults) {
            if matches!(struck.fault, Fault::Program(_, ProgramFault::Frozen)) {
                assert!(struck.lasts > Duration::from_secs(3));
            }
        }
    }
}
