//! Calls of contracts with one, four and sixteen partitions, which workers in processes of their own
//! share: what order by key costs, and what more queues are worth.

use crate::{
    load::{self, Load},
    path::Site,
    paths::{amqp, redis_connection},
    rounds::RAMP,
    stats,
    worker::{Ready, Worker},
};
use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use replybus::{
    Amqp, Bus, Never,
    client::ServiceClient,
    contract::{MethodContract, MethodKind, ServeDefaults, ServiceContract},
    queue_handler,
    server::{AnswerFuture, Payload, Service},
};
use replybus_redis::RedisReplies;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::sleep;

/// What a worker is started as.
pub const WORKER: &str = "partitions";

/// The time that workers have to share the partitions.
const SHARED_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The member that answers is named in each reply.
#[queue_handler("member.requests", partitions = 1)]
trait Members {
    #[query]
    async fn member(&self, #[key] key: u64) -> Result<u32, Never>;
}

struct Member;

impl Members for Member {
    async fn member(&self, _: u64) -> Result<u32, Never> {
        Ok(std::process::id())
    }
}

/// The same service by other partitions.
struct Divided(MembersServer<Member>, &'static ServiceContract);

impl Service for Divided {
    fn contract(&self) -> &'static ServiceContract {
        self.1
    }

    fn dispatch(&self, method: usize, payload: Payload) -> AnswerFuture {
        self.0.dispatch(method, payload)
    }
}

const METHODS: &[MethodContract] = &[MethodContract::new("member", MethodKind::Query)];

const fn divided(queue: &'static str, partitions: u16) -> ServiceContract {
    let defaults = ServeDefaults::new().concurrency(64);
    let contract = ServiceContract::new("Members", queue, METHODS);
    contract.defaults(defaults).partitions(partitions)
}

static CONTRACTS: [ServiceContract; 3] = [
    divided("by_1.requests", 1),
    divided("by_4.requests", 4),
    divided("by_16.requests", 16),
];

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Calls under way at any time, each caller's of a key of its own.
    pub callers: u32,
    /// Processes that serve.
    pub workers: u32,
    /// Rounds, in each of which every number of partitions has its turn.
    pub rounds: u32,
    /// The time in which a turn counts.
    pub seconds: Duration,
}

/// What was measured of one number of partitions.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    partitions: u16,
    callers: u32,
    workers: u32,
    /// The median over the rounds.
    calls_per_s: f64,
    /// Microseconds, likewise.
    p50_us: f64,
    p99_us: f64,
    /// `calls_per_s` as a multiple of one partition's in the same round, then the median.
    ratio_to_one: f64,
}

fn namespace(site: &Site) -> String {
    site.name("partitions")
}

async fn bus(site: &Site) -> Result<Bus> {
    let connected = Bus::builder().namespace(namespace(site)).connect(
        Amqp::new(&site.amqp_url),
        RedisReplies::new(&site.redis_url),
    );
    connected.await.context("the bus could not connect")
}

/// Serves all of them in this process until it ends.
///
/// # Errors
/// A server can't be reached, refuses, or goes away.
pub async fn serve(site: &Site, ready: Ready) -> Result<()> {
    let bus = bus(site).await?;
    let mut serving = Vec::new();
    for contract in &CONTRACTS {
        let members = Divided(MembersServer::new(Member), contract);
        serving.push(bus.serve(members).await?);
    }
    ready.tell()?;
    for serving in serving {
        serving.run_until(std::future::pending::<()>()).await?;
    }
    Ok(())
}

/// Measures each number of partitions in each round, and removes what was left on the servers.
///
/// # Errors
/// A worker or a server can't be reached, or a call fails.
pub async fn measure(site: &Site, wanted: Wanted) -> Result<Vec<Row>> {
    let workers = (0..wanted.workers).map(|_| Worker::start(WORKER, site));
    let workers = try_join_all(workers).await?;
    let measured = rounds(site, wanted).await;
    for worker in workers {
        worker.stop().await?;
    }
    remove(site).await?;
    measured
}

async fn rounds(site: &Site, wanted: Wanted) -> Result<Vec<Row>> {
    let bus = bus(site).await?;
    let clients = CONTRACTS
        .each_ref()
        .map(|contract| ServiceClient::new(&bus, contract));
    let mut turns = [const { Vec::new() }; 3];
    for (client, contract) in clients.iter().zip(&CONTRACTS) {
        // Of one partition there is one owner; sixteen have one in common once in 32,768 runs.
        let owners = if contract.partitions == Some(16) {
            wanted.workers.min(2)
        } else {
            1
        };
        shared(client, wanted, owners).await?;
    }
    // The first warms up. Who is first in a round is another each time.
    for round in 0..=wanted.rounds {
        for place in 0..clients.len() {
            let place = (place + usize::try_from(round)?) % clients.len();
            let (Some(client), Some(turns)) = (clients.get(place), turns.get_mut(place)) else {
                continue;
            };
            let load = Load {
                callers: wanted.callers,
                ramp: RAMP,
                length: wanted.seconds,
            };
            let client = client.clone();
            let callers = u64::from(wanted.callers);
            let turn = load::closed_loop(load, move |number| {
                let client = client.clone();
                async move { member(&client, number % callers).await.map(drop) }
            });
            let turn = turn.await?;
            if round > 0 {
                turns.push(turn);
            }
        }
    }
    bus.close(Duration::from_secs(5)).await;
    let [one, ..] = &turns;
    let rows = CONTRACTS.iter().zip(&turns).map(|(contract, turns)| {
        let middle = |figure: fn(&load::Slice) -> f64| {
            stats::round(stats::median(turns.iter().map(figure)), 1.0)
        };
        let ratios = turns.iter().zip(one);
        let ratios = ratios.map(|(turn, one)| turn.calls_per_s / one.calls_per_s);
        Row {
            partitions: contract.partitions.unwrap_or_default(),
            callers: wanted.callers,
            workers: wanted.workers,
            calls_per_s: middle(|turn| turn.calls_per_s),
            p50_us: middle(|turn| turn.p50_us),
            p99_us: middle(|turn| turn.p99_us),
            ratio_to_one: stats::round(stats::median(ratios), 1000.0),
        }
    });
    Ok(rows.collect())
}

/// Waits until so many workers have a part of the partitions.
async fn shared(client: &ServiceClient, wanted: Wanted, owners: u32) -> Result<()> {
    let mut left = SHARED_WITHIN;
    loop {
        let mut members = BTreeSet::new();
        for key in 0..u64::from(wanted.callers) {
            members.insert(member(client, key).await?);
        }
        if u32::try_from(members.len())? >= owners {
            return Ok(());
        }
        ensure!(left > LOOK_AGAIN, "the workers do not share the partitions");
        left -= LOOK_AGAIN;
        sleep(LOOK_AGAIN).await;
    }
}

async fn member(client: &ServiceClient, key: u64) -> Result<u32> {
    let arguments = BTreeMap::from([("key", key)]);
    let call = client.call_by_key::<_, Result<u32, Never>, _>(0, &arguments, &key);
    Ok(call.await?)
}

async fn remove(site: &Site) -> Result<()> {
    let namespace = namespace(site);
    redis_connection::remove_all(site, &namespace).await?;
    for contract in &CONTRACTS {
        for queue in contract.queues() {
            amqp::delete(site, &format!("{namespace}.{queue}")).await?;
        }
        amqp::delete(site, &format!("{namespace}.{}.dead", contract.queue)).await?;
    }
    Ok(())
}
