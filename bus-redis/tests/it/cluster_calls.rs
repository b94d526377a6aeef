//! Streams in both directions, and jobs, of buses whose inboxes, claims and records are spread over
//! the nodes of a Redis Cluster.

use crate::cluster;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use replybus::{
    Bus, Context, Never, TicketStatus, queue_handler, stream::Items,
    transport::memory::MemoryBroker,
};
use replybus_testkit::wait::{bounded, eventually};
use std::{future::IntoFuture, sync::Arc};
use tokio::{sync::watch, task::JoinSet};

#[queue_handler("town.requests", timeout = "10m")]
trait Town {
    #[stream]
    async fn count(&self, end: u64) -> Result<Items<u64, Never>, Never>;

    #[query]
    async fn take(&self, #[stream] numbers: Items<u64>) -> Result<u64, String>;

    /// The same as a command, which is claimed.
    async fn add(&self, #[stream] numbers: Items<u64>) -> Result<u64, String>;

    /// Says that it is half done, and waits for the gate.
    #[command(job = "1h")]
    async fn build(&self) -> Result<u32, Never>;
}

struct Mayor {
    gate: watch::Receiver<bool>,
    /// Streams go this far, and on when it is more.
    let_to: watch::Receiver<u64>,
}

/// Numbers, as far as they are let.
fn numbers(end: u64, let_to: watch::Receiver<u64>) -> BoxStream<'static, u64> {
    let next = stream::unfold((0, let_to), move |(next, mut let_to)| async move {
        if next < end {
            let_to.wait_for(|let_to| next < *let_to).await.ok()?;
        }
        (next < end).then_some((next, (next + 1, let_to)))
    });
    next.boxed()
}

impl Town for Mayor {
    async fn count(&self, end: u64) -> Result<Items<u64, Never>, Never> {
        Ok(Items::new(numbers(end, self.let_to.clone()).map(Ok)))
    }

    async fn take(&self, mut numbers: Items<u64>) -> Result<u64, String> {
        let mut next = 0;
        while let Some(number) = numbers.next().await {
            let number = number.map_err(|failure| failure.to_string())?;
            if number != next {
                return Err(format!("{number} came for {next}"));
            }
            next += 1;
        }
        Ok(next)
    }

    async fn add(&self, numbers: Items<u64>) -> Result<u64, String> {
        self.take(numbers).await
    }

    async fn build(&self) -> Result<u32, Never> {
        Context::current().progress(1, 2, "half of it");
        let _ = self.gate.clone().wait_for(|is_open| *is_open).await;
        Ok(Context::current().attempt())
    }
}

const CALLERS: usize = 6;

async fn read(client: TownClient, end: u64, so_far: watch::Sender<u64>) {
    let mut numbers = client.count(end).await.unwrap();
    for expected in 0..end {
        assert_eq!(numbers.next().await.unwrap().unwrap(), expected);
        so_far.send_replace(expected + 1);
    }
    assert!(numbers.next().await.is_none());
}

/// A stream from each client and one to each, and how far they are.
fn both_ways(
    clients: &[TownClient],
    end: u64,
    let_to: &watch::Sender<u64>,
) -> (JoinSet<()>, Vec<watch::Receiver<u64>>) {
    let (mut calls, mut all_so_far) = (JoinSet::new(), Vec::new());
    for client in clients {
        let (reading, so_far) = watch::channel(0);
        all_so_far.push(so_far);
        calls.spawn(read(client.clone(), end, reading));
        let (sending, so_far) = watch::channel(0);
        all_so_far.push(so_far);
        let sent = numbers(end, let_to.subscribe()).inspect(move |number| {
            sending.send_replace(number + 1);
        });
        let client = client.clone();
        calls.spawn(async move {
            assert_eq!(client.take(sent).await, Ok(end));
        });
    }
    (calls, all_so_far)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_jobs_go_across_the_nodes() {
    let Some(mut nodes) = cluster::start().await else {
        return;
    };
    let broker = MemoryBroker::new();
    let bus = async || {
        let transport = Arc::new(broker.connect());
        Bus::connect(transport, cluster::by_url(&nodes))
            .await
            .unwrap()
    };
    let (gate, opened) = watch::channel(false);
    let (go, let_to) = watch::channel(u64::MAX);
    let worker = bus().await;
    let serving = worker.serve(TownServer::new(Mayor {
        gate: opened,
        let_to,
    }));
    let _serving = serving.await.unwrap();
    let mut buses = Vec::new();
    for _ in 0..CALLERS {
        buses.push(bus().await);
    }
    let clients: Vec<_> = buses.iter().map(TownClient::new).collect();

    bounded(both_ways(&clients, 5_000, &go).0.join_all()).await;
    for client in &clients {
        let added = client.add(stream::iter(0..1_000).boxed());
        assert_eq!(bounded(added.into_future()).await, Ok(1_000));
    }

    // Its record is on whatever node its claim is on.
    let mut tickets = Vec::new();
    for client in &clients {
        tickets.push(client.build().submit().await.unwrap());
    }
    for (ticket, bus) in tickets.iter().zip(&buses) {
        eventually("it says how far it is", || async {
            matches!(
                ticket.status(bus).await,
                Ok(TicketStatus::Running { progress: Some(progress), .. }) if progress.done == 1
            )
        })
        .await;
    }
    gate.send_replace(true);
    for (ticket, bus) in tickets.iter().zip(&buses) {
        assert_eq!(bounded(ticket.wait(bus)).await.unwrap(), 1);
    }

    // Each node comes back without its data, and with it the inboxes that were there. What is under
    // way through all of it are items, which are sent again, and no reply, which is not.
    go.send_replace(1_000);
    let (calls, all_so_far) = both_ways(&clients, 50_000, &go);
    for mut so_far in all_so_far.clone() {
        let begun = so_far.wait_for(|so_far| *so_far == 1_000);
        bounded(begun).await.unwrap();
    }
    go.send_replace(49_999);
    for node in &mut nodes {
        node.restart().await.unwrap();
    }
    for mut so_far in all_so_far {
        let all_but_one = so_far.wait_for(|so_far| *so_far == 49_999);
        bounded(all_but_one).await.unwrap();
    }
    go.send_replace(u64::MAX);
    bounded(calls.join_all()).await;
}
