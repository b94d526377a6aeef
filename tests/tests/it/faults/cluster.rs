//! A RabbitMQ cluster of three nodes with quorum queues: its nodes are killed, frozen and restarted
//! and its policies change while calls go on.
//!
//! One cluster for all of it, since it takes so long to start. `CLUSTER_ROUNDS=1` restarts all nodes, too.

use super::{
    load::{Kind, Load, call},
    rig::{Ledger, Settings, connect_by, drained, eventually, until},
};
use replybus::{Amqp, Bus, contract::QueueType};
use replybus_testkit::{
    live::{allow, require_or_skip, unique},
    servers::{Persistence, PrivateRabbit, PrivateRedis},
};
use std::time::Duration;

/// The variable with the times that all nodes are restarted one by one, and the leader of the queue is
/// killed again: without it none, since each takes a minute.
const ROUNDS: &str = "CLUSTER_ROUNDS";

/// The deadline of callers who see what happens, and of those who do not.
const WITHIN: Duration = Duration::from_secs(10);
const PATIENT: Duration = Duration::from_secs(300);

/// The deadline of a call that is not to be answered.
const SHORT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_a_cluster_come_and_go() {
    let (cluster, redis) = tokio::join!(
        PrivateRabbit::cluster(3),
        PrivateRedis::start(Persistence::None)
    );
    let Some(mut cluster) = require_or_skip(cluster) else {
        return;
    };
    let Some(redis) = require_or_skip(redis) else {
        return;
    };
    let rounds: u32 = std::env::var(ROUNDS).map_or(0, |rounds| rounds.parse().unwrap());
    allow(Duration::from_secs(900) * (rounds + 1));
    let ledger = ledger(&cluster, &redis.url()).await;

    policies_change(&cluster, &ledger).await;
    the_leader_is_killed(&mut cluster, &ledger).await;
    for _ in 0..rounds {
        all_are_restarted(&mut cluster, &ledger).await;
        the_leader_is_killed(&mut cluster, &ledger).await;
    }
    the_majority_freezes(&cluster, &ledger).await;

    ledger.comes_up().await;
    assert_eq!(ledger.caller.health().calls_waiting, 0);
}

/// A caller and a worker who know all nodes, and begin with different ones.
async fn ledger(cluster: &[PrivateRabbit], redis: &str) -> Ledger {
    let settings = Settings {
        queue_type: QueueType::Quorum,
        ..Settings::quick()
    };
    let namespace = unique("cluster");
    let bus = async |first: usize| -> Bus {
        let urls = cluster.iter().map(PrivateRabbit::url);
        let mut urls = urls.cycle().skip(first).take(cluster.len());
        let amqp = Amqp::new(urls.next().unwrap());
        let amqp = urls.fold(amqp, Amqp::address);
        connect_by(&namespace, settings, amqp, redis).await
    };
    let (caller, worker) = (bus(0).await, bus(1).await);
    let ledger = Ledger::between(namespace, settings, caller, worker).await;
    let (members, _) = places(&cluster[0], &ledger.queue()).await.unwrap();
    assert_eq!(members.split(',').count(), 3, "{members}");
    ledger
}

/// The nodes that have a quorum queue, and the one that leads it.
async fn places(node: &PrivateRabbit, queue: &str) -> Result<(String, String), String> {
    let listed = node
        .ctl(&["list_queues", "name", "members", "leader"])
        .await;
    let listed = listed.map_err(|error| error.to_string())?;
    let of_queue = listed.lines().find_map(|line| {
        let (members, leader) = line.strip_prefix(queue)?.trim().rsplit_once('\t')?;
        Some((members.to_owned(), leader.to_owned()))
    });
    of_queue.ok_or(listed)
}

/// Whoever operates the cluster changes what its queues may hold and how often they deliver.
async fn policies_change(cluster: &[PrivateRabbit], ledger: &Ledger) {
    let load = Load::start(&ledger.client, PATIENT);
    load.flows().await;
    let pattern = format!("^{}", ledger.namespace.replace('.', "\\."));
    for (node, definition) in [
        (0, r#"{"delivery-limit":50,"max-length":1000000}"#),
        (1, r#"{"max-in-memory-length":0,"max-length":2000000}"#),
    ] {
        let policy = ["set_policy", "rolling", &pattern, definition];
        cluster[node].ctl(&policy).await.unwrap();
        load.flows().await;
    }
    cluster[2].ctl(&["clear_policy", "rolling"]).await.unwrap();
    load.flows().await;
    let account = load.stop().await;
    account.all_went_well();
    drained(&cluster[0]).await;
    account.is_true_of(&ledger.journal);
}

async fn the_leader_is_killed(cluster: &mut [PrivateRabbit], ledger: &Ledger) {
    let load = Load::start(&ledger.client, PATIENT);
    load.flows().await;
    let (_, leader) = places(&cluster[0], &ledger.queue()).await.unwrap();
    let killed = cluster.iter().position(|node| node.node() == leader);
    let killed = killed.unwrap();
    cluster[killed].kill();
    // By the two that are left, with another leader.
    load.flows().await;
    let left = &cluster[(killed + 1) % cluster.len()];
    until("another node leads", || async {
        let (_, now) = places(left, &ledger.queue()).await?;
        (now != leader && !now.is_empty()).then_some(()).ok_or(now)
    })
    .await;
    cluster[killed].restart().await.unwrap();
    load.flows().await;
    let account = load.stop().await;
    account.all_went_well();
    drained(&cluster[killed]).await;
    account.is_true_of(&ledger.journal);
}

/// As for an upgrade: one after the other, each in good order.
async fn all_are_restarted(cluster: &mut [PrivateRabbit], ledger: &Ledger) {
    let load = Load::start(&ledger.client, PATIENT);
    for node in &mut *cluster {
        load.flows().await;
        node.stop().await;
        load.flows().await;
        node.restart().await.unwrap();
    }
    load.flows().await;
    let account = load.stop().await;
    account.all_went_well();
    drained(&cluster[0]).await;
    account.is_true_of(&ledger.journal);
}

/// Two of three nodes do nothing any more, and the third is not enough: nobody is told that it has
/// taken anything.
async fn the_majority_freezes(cluster: &[PrivateRabbit], ledger: &Ledger) {
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    let [frozen @ .., _] = cluster else {
        panic!("a cluster has nodes");
    };
    frozen.iter().for_each(PrivateRabbit::freeze);
    // A signal takes a moment to be heard by all threads of a node.
    eventually("a message is not confirmed", || async {
        let sent = call(&ledger.client, Kind::Send, SHORT).await;
        sent.outcome.is_err()
    })
    .await;
    let mut told = Vec::new();
    for kind in [Kind::Query, Kind::Command, Kind::Send] {
        told.push(call(&ledger.client, kind, SHORT));
    }
    let told = futures_util::future::join_all(told).await;
    frozen.iter().for_each(PrivateRabbit::thaw);
    for one in &told {
        assert!(one.outcome.is_err(), "nobody can have taken it: {one:?}");
    }
    load.flows().await;
    let mut account = load.stop().await;
    account.0.extend(told);
    drained(&cluster[0]).await;
    account.is_true_of(&ledger.journal);
}
