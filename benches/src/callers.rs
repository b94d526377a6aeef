//! Many callers, each a bus of its own with connections of its own: what one of them takes in its
//! process, in RabbitMQ and in Redis, what it costs while it does nothing, and whether calls get
//! slower for it.

use crate::{
    cpu::{self, Cpu, Processes},
    echo::{Echo, TEXT_BYTES},
    load::{self, Load},
    path::Site,
    rounds::RAMP,
    service::{EchoServiceClient, EchoServiceServer, Echoes},
    stats,
    worker::{Ready, Worker},
};
use anyhow::{Context, Result, ensure};
use futures_util::{
    StreamExt, TryStreamExt,
    future::{join_all, try_join_all},
    stream,
};
use replybus::{Amqp, Bus};
use replybus_redis::RedisReplies;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use std::{
    collections::HashSet,
    fs,
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

/// What a worker is started as.
pub const WORKER: &str = "callers";

/// Open files of a bus: two connections to RabbitMQ, each of which its client opens twice, and to Redis
/// one that listens and two that write, which are made when they are needed.
const FILES: u32 = 7;

/// In a table of sockets, a connection.
const ESTABLISHED: &str = "01";

/// Open files of a process besides those.
const OTHER_FILES: u64 = 256;
/// Buses that connect at a time.
const CONNECTING: usize = 16;
const CONNECT_WITHIN: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Numbers of callers, the smallest first.
    pub callers: Vec<u32>,
    /// Calls under way at any time, each by the next caller.
    pub at_once: u32,
    /// The time in which a turn counts, and in which nothing is done before it.
    pub seconds: Duration,
}

/// What was measured at one number of callers.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    callers: u32,
    /// Those of their process to both servers.
    connections: usize,
    /// Milliseconds until one more caller was connected, while others were, too.
    connect_ms: f64,
    calls_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    /// Milliseconds until each caller had an answer, when all called at the same time.
    all_at_once_ms: f64,
    /// KiB of memory that a caller takes, beyond those before it: in its process, in RabbitMQ and in
    /// Redis.
    kib_caller: Option<f64>,
    kib_broker: Option<f64>,
    kib_redis: Option<f64>,
    /// Microseconds of a processor that a caller takes in a second in which nobody calls.
    idle_us_caller: Option<f64>,
    idle_us_broker: Option<f64>,
    idle_us_redis: Option<f64>,
}

/// Memory of the processes, in KiB.
#[derive(Debug, Clone, Copy)]
struct Memory {
    caller: Option<f64>,
    broker: Option<f64>,
    redis: Option<f64>,
}

/// The callers that are connected, and the processes that they burden.
struct Crowd<'a> {
    site: &'a Site,
    processes: Processes,
    clients: Vec<EchoServiceClient>,
    buses: Vec<Bus>,
}

/// Answers all of them in this process until it ends.
///
/// # Errors
/// A server can't be reached, refuses, or goes away.
pub async fn serve(site: &Site, ready: Ready) -> Result<()> {
    let bus = bus(site).await?;
    let serving = bus
        .serve(EchoServiceServer::new(Echoes(site.handler)))
        .await?;
    ready.tell()?;
    serving.run_until(pending::<()>()).await?;
    Ok(())
}

/// Connects more and more callers, and measures at each number of them.
///
/// # Errors
/// This process may not open so many files; a server can't be reached or refuses, or a call fails.
pub async fn measure(
    site: &Site,
    wanted: &Wanted,
    mut tell: impl FnMut(&Row) -> Result<()>,
) -> Result<()> {
    let most = wanted.callers.iter().copied().max().unwrap_or_default();
    check_open_files(most)?;
    let worker = Worker::start(WORKER, site).await?;
    let mut crowd = Crowd {
        site,
        processes: Processes {
            caller: cpu::this(),
            worker: Some(vec![worker.id()]),
            broker: cpu::listening_at(&site.amqp_url, 5672),
            redis: cpu::listening_at(&site.redis_url, 6379),
        },
        clients: Vec::new(),
        buses: Vec::new(),
    };
    let mut before = None;
    for callers in &wanted.callers {
        let (row, memory) = crowd.grow_to(*callers, wanted, before).await?;
        tell(&row)?;
        before.get_or_insert((*callers, memory));
    }
    let closing = crowd.buses.iter().map(|bus| bus.close(Duration::ZERO));
    join_all(closing).await;
    worker.stop().await
}

/// Refuses a number of callers whose connections this process may not have.
fn check_open_files(callers: u32) -> Result<()> {
    let needed = u64::from(callers) * u64::from(FILES) + OTHER_FILES;
    let allowed = getrlimit(Resource::Nofile).current;
    ensure!(
        allowed.is_none_or(|allowed| allowed >= needed),
        "{callers} callers take {needed} open files, and a process may have {}: raise that with \
         `ulimit -n`, or measure fewer with --callers",
        allowed.unwrap_or_default()
    );
    Ok(())
}

async fn bus(site: &Site) -> Result<Bus> {
    let connected = Bus::builder().namespace(site.name(WORKER)).connect(
        Amqp::new(&site.amqp_url).connect_within(CONNECT_WITHIN),
        RedisReplies::new(&site.redis_url),
    );
    connected.await.context("a bus could not connect")
}

impl Crowd<'_> {
    /// Measures with so many callers. `before` is the memory at the first number of them.
    async fn grow_to(
        &mut self,
        callers: u32,
        wanted: &Wanted,
        before: Option<(u32, Memory)>,
    ) -> Result<(Row, Memory)> {
        let connect_ms = self.connect(usize::try_from(callers)?).await?;
        let load = Load {
            callers: wanted.at_once,
            ramp: RAMP,
            length: wanted.seconds,
        };
        let idle = self.processes.over(load).await?;
        let clients: Arc<[EchoServiceClient]> = self.clients.clone().into();
        let turn = load::closed_loop(load, move |number| {
            let clients = Arc::clone(&clients);
            async move { call(&clients, number).await }
        });
        let turn = turn.await?;
        let all_at_once_ms = self.all_at_once().await?;
        let memory = Memory::of(&self.processes);
        let more = |of: fn(&Memory) -> Option<f64>| {
            let (before_them, then) = before?;
            let grown = of(&memory)? - of(&then)?;
            Some(stats::round(grown / f64::from(callers - before_them), 1.0))
        };
        let idle_us = |of: fn(&Cpu) -> Option<Duration>| {
            let second = of(&idle)?.div_f64(wanted.seconds.as_secs_f64());
            let micros = second.as_secs_f64() * 1e6 / f64::from(callers);
            Some(stats::round(micros, 10.0))
        };
        let row = Row {
            callers,
            connections: connections()?,
            connect_ms: stats::round(connect_ms, 10.0),
            calls_per_s: stats::round(turn.calls_per_s, 1.0),
            p50_us: stats::round(turn.p50_us, 1.0),
            p99_us: stats::round(turn.p99_us, 1.0),
            all_at_once_ms: stats::round(all_at_once_ms, 10.0),
            kib_caller: more(|memory| memory.caller),
            kib_broker: more(|memory| memory.broker),
            kib_redis: more(|memory| memory.redis),
            idle_us_caller: idle_us(|cpu| cpu.caller),
            idle_us_broker: idle_us(|cpu| cpu.broker),
            idle_us_redis: idle_us(|cpu| cpu.redis),
        };
        Ok((row, memory))
    }

    /// Connects callers until there are so many; returns the milliseconds that one of them took, if
    /// there were any to connect.
    async fn connect(&mut self, callers: usize) -> Result<f64> {
        let more = callers.saturating_sub(self.buses.len());
        let begun = Instant::now();
        let connecting = stream::iter(0..more).map(|_| bus(self.site));
        let buses: Vec<Bus> = connecting
            .buffer_unordered(CONNECTING)
            .try_collect()
            .await?;
        let took = begun.elapsed().as_secs_f64() * 1e3;
        self.clients
            .extend(buses.iter().map(EchoServiceClient::new));
        self.buses.extend(buses);
        // The connections that are made when they are first needed.
        self.all_at_once().await?;
        Ok(took / f64::from(u32::try_from(more.max(1))?))
    }

    /// Has each caller call at the same time; returns the milliseconds until all were answered.
    async fn all_at_once(&self) -> Result<f64> {
        let begun = Instant::now();
        let calls = (0..)
            .zip(&self.clients)
            .map(|(number, client)| async move { ask(client, number).await });
        try_join_all(calls).await?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }
}

/// Makes a call of this number by the next caller.
async fn call(clients: &[EchoServiceClient], number: u64) -> Result<()> {
    let place = usize::try_from(number)? % clients.len();
    ask(clients.get(place).context("there are no callers")?, number).await
}

async fn ask(client: &EchoServiceClient, number: u64) -> Result<()> {
    let echo = Echo::numbered(number, usize::try_from(TEXT_BYTES)?);
    let reply = client.ask(echo.clone()).await?;
    ensure!(reply == echo, "a caller got the reply to another call");
    Ok(())
}

impl Memory {
    fn of(processes: &Processes) -> Self {
        let sum = |processes: &Option<Vec<u32>>| -> Option<f64> {
            processes.as_ref()?.iter().map(|id| resident_kib(*id)).sum()
        };
        Self {
            caller: sum(&processes.caller),
            broker: sum(&processes.broker),
            redis: sum(&processes.redis),
        }
    }
}

/// KiB of a process that are in memory.
fn resident_kib(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The TCP connections of this process.
fn connections() -> Result<usize> {
    let table = fs::read_to_string("/proc/self/net/tcp").context("could not look at sockets")?;
    let established: HashSet<_> = established_in(&table).collect();
    let open = fs::read_dir("/proc/self/fd").context("could not look at the open files")?;
    let targets = open
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    let inodes = targets.filter_map(|target| {
        let inode = target.to_str()?.strip_prefix("socket:[")?;
        established.get(inode.trim_end_matches(']')).copied()
    });
    // One that is open twice is one connection.
    Ok(inodes.collect::<HashSet<_>>().len())
}

/// The inodes of the connections in a table of sockets.
fn established_in(table: &str) -> impl Iterator<Item = &str> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(3);
        (words.next()? == ESTABLISHED).then(|| words.nth(5))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn connections_are_counted_and_what_listens_is_none() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1628 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  110        0 11111 1 0
   1: 0100007F:1628 00000000:0000 0A 00000000:00000000 00:00000000 00000000  110        0 22222 1 0
";
        assert_eq!(established_in(table).collect::<Vec<_>>(), ["11111"]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(connections().unwrap() >= 1);
    }

    #[test]
    fn more_callers_than_files_are_refused() {
        let refused = check_open_files(u32::MAX).unwrap_err().to_string();
        assert!(refused.contains("ulimit -n"), "{refused}");
        check_open_files(1).unwrap();
    }
}
