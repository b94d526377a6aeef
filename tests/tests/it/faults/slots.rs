//! A Redis Cluster under load: slots move from one master to another, and masters change places with
//! their replicas, in good order and killed.

use super::{
    load::{Kind, Load},
    rig::{Ledger, Settings, drained, until},
};
use replybus_testkit::{
    live::require_or_skip,
    servers::{PrivateRabbit, PrivateRedis},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const MASTERS: usize = 3;

/// The slots that a master keeps when all others move. One without any has no say in who takes the
/// place of a master that is gone, and of two left the one that lives is no majority.
const KEPT: u32 = 50;

/// Longer than it takes a cluster to put a replica in the place of a master that is gone, on a
/// machine that does much else.
const PATIENT: Duration = Duration::from_secs(100);

/// The deadline of calls of which some are not answered: their replies went with a master.
const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_and_masters_change_places() {
    let (cluster, rabbit) = tokio::join!(
        PrivateRedis::cluster_with_replicas(MASTERS),
        PrivateRabbit::start()
    );
    let (Some(mut cluster), Some(rabbit)) = (require_or_skip(cluster), require_or_skip(rabbit))
    else {
        return;
    };
    let ledger = ledger(&cluster, &rabbit).await;

    let load = Load::start(&ledger.client, PATIENT);
    load.flows().await;
    slots_move(&cluster, &ledger, &load).await;
    replicas_take_over(&cluster, &load).await;
    let account = load.stop().await;
    account.all_went_well();
    drained(&rabbit).await;
    account.is_true_of(&ledger.journal);

    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    a_master_is_killed(&mut cluster, &ledger, &load).await;
    let mut account = load.stop().await;
    drained(&rabbit).await;
    // What a master had not passed on when it was killed is forgotten, and with it that a key was
    // used: its second call can be run like a first.
    account.0.retain(|one| one.kind != Kind::KeyedCommand);
    account.is_true_of(&ledger.journal);

    ledger.comes_up().await;
    assert_eq!(ledger.caller.health().calls_waiting, 0);
}

/// A caller and a worker that know all nodes.
async fn ledger(cluster: &[PrivateRedis], rabbit: &PrivateRabbit) -> Ledger {
    let nodes = cluster.iter().map(|node| node.address().to_string());
    let nodes = nodes.collect::<Vec<_>>().join(",");
    let servers = (rabbit.url(), format!("redis+cluster://{nodes}"));
    Ledger::open(Settings::default(), servers.clone(), servers).await
}

/// A node, as it sees itself.
#[derive(Debug)]
struct Seen {
    id: String,
    is_master: bool,
    slots: u32,
}

async fn seen(node: &PrivateRedis) -> Result<Seen, String> {
    let listed = node.cli(&["cluster", "nodes"]).await;
    let listed = listed.map_err(|error| error.to_string())?;
    let own = listed.lines().find(|line| line.contains("myself"));
    let words: Vec<&str> = own.ok_or_else(|| listed.clone())?.split(' ').collect();
    let ranges = words.get(8..).unwrap_or_default().iter();
    // A slot that is on its way is in brackets.
    let slots = ranges.filter(|range| !range.starts_with('[')).map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        last.parse::<u32>().unwrap() - first.parse::<u32>().unwrap() + 1
    });
    Ok(Seen {
        id: words[0].to_owned(),
        is_master: words[2].contains("master"),
        slots: slots.sum(),
    })
}

/// The masters that have inboxes of this ledger.
async fn of_inboxes(cluster: &[PrivateRedis], ledger: &Ledger) -> Vec<usize> {
    let pattern = format!("*{}.inbox:*", ledger.namespace);
    let mut masters = Vec::new();
    for (number, node) in cluster.iter().enumerate() {
        let has_some = !node
            .cli(&["--scan", "--pattern", &pattern])
            .await
            .unwrap()
            .is_empty();
        if has_some && seen(node).await.unwrap().is_master {
            masters.push(number);
        }
    }
    assert!(!masters.is_empty());
    masters
}

/// Nearly all that one of the masters has that have the inboxes goes to another, while it is read and
/// written.
async fn slots_move(cluster: &[PrivateRedis], ledger: &Ledger, load: &Load) {
    let number = of_inboxes(cluster, ledger).await[0];
    let (from, to) = (&cluster[number], &cluster[(number + 1) % MASTERS]);
    let [leaving, taking] = [seen(from).await.unwrap(), seen(to).await.unwrap()];
    let moved = [
        "--cluster",
        "reshard",
        &from.address().to_string(),
        "--cluster-from",
        &leaving.id,
        "--cluster-to",
        &taking.id,
        "--cluster-slots",
        &(leaving.slots - KEPT).to_string(),
        "--cluster-yes",
    ];
    from.cli(&moved).await.unwrap();
    assert_eq!(seen(from).await.unwrap().slots, KEPT);
    load.flows().await;
}

/// Each replica asks its master for its place, and is given it with all that the master has.
async fn replicas_take_over(cluster: &[PrivateRedis], load: &Load) {
    for replica in &cluster[MASTERS..] {
        until("the replica is the master", || async {
            // Refused while it does not follow yet. What has not come about in 5 s is given up.
            let asked = replica.cli(&["cluster", "failover"]).await;
            let end = Instant::now() + Duration::from_secs(6);
            while !seen(replica).await?.is_master {
                if Instant::now() > end {
                    return Err(format!("{asked:?}"));
                }
                sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        })
        .await;
        load.flows().await;
    }
}

/// A master that has inboxes dies, and comes back as the replica of its replica, with nothing of what
/// it had.
async fn a_master_is_killed(cluster: &mut [PrivateRedis], ledger: &Ledger, load: &Load) {
    let killed = of_inboxes(cluster, ledger).await[0];
    cluster[killed].kill();
    load.flows().await;
    cluster[killed].restart().await.unwrap();
    until("it follows", || async {
        let info = cluster[killed].cli(&["info", "replication"]).await;
        let info = info.map_err(|error| error.to_string())?;
        let follows = info.contains("master_link_status:up");
        follows.then_some(()).ok_or(info)
    })
    .await;
    load.flows().await;
}
