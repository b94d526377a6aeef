//! The same promises on a Redis Cluster of three nodes.

use crate::{
    cache, claims, flight,
    opened::{open, to_inbox},
    promises,
};
use replybus::{Bus, transport::memory::MemoryBroker};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::require_or_skip,
    servers::PrivateRedis,
    wait::{bounded, eventually},
};
use std::{collections::HashSet, sync::Arc, time::Duration};

pub(crate) async fn start() -> Option<Vec<PrivateRedis>> {
    require_or_skip(PrivateRedis::cluster(3).await)
}

pub(crate) fn by_url(nodes: &[PrivateRedis]) -> RedisReplies {
    let hosts: Vec<_> = nodes
        .iter()
        .map(|node| node.address().to_string())
        .collect();
    RedisReplies::new(format!("redis+cluster://{}", hosts.join(",")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_in_a_cluster() {
    let Some(mut nodes) = start().await else {
        return;
    };
    promises::all(&by_url(&nodes)).await;
    bounded(claims::table(&by_url(&nodes[..1]))).await;
    bounded(cache::kept_and_invalidated(&by_url(&nodes))).await;
    bounded(flight::recorded_and_read(&by_url(&nodes))).await;

    // Inboxes spread over the nodes; each node finds all of them.
    let mut stores = Vec::new();
    for _ in 0..12 {
        stores.push(open(&by_url(&nodes)).await);
    }
    let inboxes: HashSet<&str> = stores.iter().map(|(store, _)| store.inbox()).collect();
    assert_eq!(inboxes.len(), 12);
    let (worker, _) = open(&by_url(&nodes)).await;
    for (store, heard) in &stores {
        let reply = to_inbox(store, "across");
        worker.store(reply.clone()).await.unwrap();
        assert_eq!(heard.reply(reply.id).await, "across");
    }

    // A node that comes back without its data.
    bounded(async {
        for node in &mut nodes {
            node.restart().await.unwrap();
        }
        for (store, heard) in &stores {
            let reply = to_inbox(store, "after the restart");
            heard.wait_for(reply.id);
            eventually("the reply is stored", || async {
                worker.store(reply.clone()).await.is_ok()
            })
            .await;
            assert_eq!(heard.reply(reply.id).await, "after the restart");
        }
    })
    .await;
}

#[tokio::test]
async fn a_single_address_of_a_cluster_is_refused_with_advice() {
    let Some(nodes) = start().await else { return };
    // Two of three inboxes live elsewhere; some attempt hits one of them.
    let waiters = Arc::new(crate::waiters::Waiters::default());
    let mut advice = None;
    for _ in 0..100 {
        use replybus::reply::ReplyBackend;
        let replies = RedisReplies::new(nodes[0].url()).connect_within(Duration::from_secs(5));
        if let Err(refused) = Box::new(replies).open("", waiters.clone()).await {
            advice = Some(refused.to_string());
            break;
        }
    }
    assert!(advice.is_some_and(|advice| advice.contains("redis+cluster://")));
}

#[replybus::queue_handler("shared.requests", partitions = 16)]
trait SharedWork {
    /// The member that has this key.
    async fn owner(&self, #[key] key: u32) -> Result<u32, replybus::Never>;
}

struct Member(u32);

impl SharedWork for Member {
    async fn owner(&self, _: u32) -> Result<u32, replybus::Never> {
        Ok(self.0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_contract_with_partitions_share_them() {
    let Some(nodes) = start().await else {
        return;
    };
    let broker = MemoryBroker::new();
    let bus = async || Bus::connect(broker.clone(), by_url(&nodes)).await.unwrap();
    let (one, other) = (bus().await, bus().await);
    let first = one.serve(SharedWorkServer::new(Member(1))).await.unwrap();
    let second = other.serve(SharedWorkServer::new(Member(2))).await.unwrap();
    let client = SharedWorkClient::new(&one);
    let owners = async || {
        let owners = replybus::join((0..200).map(|key| client.owner(key))).await;
        owners
            .into_iter()
            .map(Result::unwrap)
            .collect::<HashSet<_>>()
    };
    eventually("each has a part", || async { owners().await.len() == 2 }).await;
    first.shutdown().await.unwrap();
    assert_eq!(owners().await, HashSet::from([2]));
    second.shutdown().await.unwrap();
}
