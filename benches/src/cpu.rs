//! The processor time of processes of this machine, as `/proc` tells it.

use crate::load::Load;
use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fs, process, thread,
    time::{Duration, Instant},
};
use tokio::task::spawn_blocking;
use url::{Host, Url};

/// In `/proc/net/tcp`, a socket that listens.
const LISTENS: &str = "0A";

/// The processes that a call passes through, by what they are. `None` if they are not on this
/// machine, no process if there are none.
#[derive(Debug, Clone, Default)]
pub struct Processes {
    /// The one that calls.
    pub caller: Option<Vec<u32>>,
    /// Those that answer.
    pub worker: Option<Vec<u32>>,
    /// RabbitMQ, or NATS.
    pub broker: Option<Vec<u32>>,
    /// Redis.
    pub redis: Option<Vec<u32>>,
}

/// Processor time by the processes that a call passes through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    /// Of the one that calls.
    pub caller: Option<Duration>,
    /// Of those that answer.
    pub worker: Option<Duration>,
    /// Of RabbitMQ or NATS.
    pub broker: Option<Duration>,
    /// Of Redis.
    pub redis: Option<Duration>,
}

impl Processes {
    /// What they take while the load counts.
    ///
    /// # Errors
    /// The thread that looks fails.
    pub async fn over(&self, load: Load) -> Result<Cpu> {
        let processes = self.clone();
        // A thread of its own: the runtime's may be late, and then looks at another time than it
        // says.
        let watched = spawn_blocking(move || {
            thread::sleep(load.ramp);
            let (begun, before) = (Instant::now(), processes.now());
            thread::sleep(load.length);
            let (lasted, after) = (begun.elapsed(), processes.now());
            let share = load.length.as_secs_f64() / lasted.as_secs_f64();
            let took = |before: Option<Duration>, after: Option<Duration>| {
                Some(after?.saturating_sub(before?).mul_f64(share))
            };
            Cpu {
                caller: took(before.caller, after.caller),
                worker: took(before.worker, after.worker),
                broker: took(before.broker, after.broker),
                redis: took(before.redis, after.redis),
            }
        });
        watched.await.context("could not watch the processes")
    }

    fn now(&self) -> Cpu {
        let sum = |processes: &Option<Vec<u32>>| -> Option<Duration> {
            processes.as_ref()?.iter().map(|id| of(*id)).sum()
        };
        Cpu {
            caller: sum(&self.caller),
            worker: sum(&self.worker),
            broker: sum(&self.broker),
            redis: sum(&self.redis),
        }
    }
}

/// This process.
#[must_use]
pub fn this() -> Option<Vec<u32>> {
    Some(vec![process::id()])
}

/// What this process has taken so far.
#[must_use]
pub fn taken() -> Duration {
    let taken = clock_gettime(ClockId::ProcessCPUTime);
    // A clock that is before its beginning is at it.
    Duration::try_from(taken).unwrap_or_default()
}

/// The process that listens at an address, if it is on this machine and may be looked at. A
/// container's is not: what listens for it only passes on.
#[must_use]
pub fn listening_at(url: &str, default_port: u16) -> Option<Vec<u32>> {
    let url = Url::parse(url).ok()?;
    let is_here = match url.host()? {
        // Of a scheme that it does not know, the parser takes an address for a name.
        Host::Domain(name) => matches!(name, "localhost" | "127.0.0.1"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let port = url.port().unwrap_or(default_port);
    let process = is_here.then(|| listening_on(port)).flatten()?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    (!name.starts_with("docker")).then(|| vec![process])
}

fn listening_on(port: u16) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    let sockets: Vec<String> = tables
        .filter_map(|table| socket_in(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find(|process: &u32| {
            let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter();
            open.flatten().flatten().any(|file| {
                fs::read_link(file.path()).is_ok_and(|target| {
                    sockets.iter().any(|socket| target.as_os_str() == &**socket)
                })
            })
        })
}

/// The inode of the socket that listens on a port, in a table of sockets.
fn socket_in(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (_, local) = words.next()?.rsplit_once(':')?;
        let state = words.nth(1)?;
        let listens = state == LISTENS && u16::from_str_radix(local, 16) == Ok(port);
        listens.then(|| words.nth(5)?.parse().ok()).flatten()
    })
}

/// What a process has taken so far, all its threads together.
fn of(process: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let ticks = u32::try_from(ticks_in(&stat)?).ok()?;
    let in_a_second = u32::try_from(rustix::param::clock_ticks_per_second()).ok()?;
    Some(Duration::from_secs(1) * ticks / in_a_second)
}

/// User's and system's ticks in a line of `/proc/PID/stat`. The name, in parentheses, can hold
/// anything.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_ascii_whitespace().skip(11);
    let user: u64 = words.next()?.parse().ok()?;
    let system: u64 = words.next()?.parse().ok()?;
    user.checked_add(system)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 10 0 0 0 120 34 5 6 20 0 1 0 4711 0";
        assert_eq!(ticks_in(stat), Some(154));
        assert_eq!(ticks_in("7 (a) S 1 7"), None);
        assert_eq!(ticks_in(""), None);
    }

    #[test]
    fn a_listening_socket_is_told_from_a_connected_one() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1628 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  110        0 11111 1 0
   1: 0100007F:1628 00000000:0000 0A 00000000:00000000 00:00000000 00000000  110        0 22222 1 0
";
        assert_eq!(socket_in(table, 5672), Some(22222));
        assert_eq!(socket_in(table, 5673), None);
    }

    #[test]
    fn this_process_is_found_by_its_port_and_has_taken_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = listening_at(&format!("redis://127.0.0.1:{port}/0"), 6379);
        assert_eq!(found, this());
        assert_eq!(listening_at("redis://192.0.2.1/0", 6379), None);
        assert!(of(process::id()).is_some());
        assert!(taken() > Duration::ZERO);
        assert_eq!(of(u32::MAX), None);
    }
}
