//! Jobs that run while servers restart and workers are killed.

use super::{
    rig::{Rig, Settings, connect, until},
    workers::{journal, served, worker},
};
use replybus::{Ticket, TicketStatus};
use replybus_testkit::{live::unique, servers::Persistence};
use replybus_tests::ledger::LedgerClient;
use std::{future::IntoFuture, time::Duration};
use tokio::task::JoinSet;

const JOBS: usize = 8;

/// Waits until the broker has the messages of all jobs once more, and their worker none.
async fn handed_back(rig: &Rig, namespace: &str) {
    let queue = format!("{namespace}.ledger.requests");
    rig.queues("the worker holds none", |name, messages| {
        name != queue || messages == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_outlive_their_worker_and_both_servers() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let namespace = unique("jobs");
    let bus = connect(&namespace, Settings::quick(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut first = worker(&rig, &namespace, "closed");
    served(&client, &mut first).await;

    let mut calls = JoinSet::new();
    let mut tickets: Vec<Ticket<_>> = Vec::new();
    for number in 0..JOBS {
        calls.spawn(client.copy(format!("call-{number}")).into_future());
        let call = client.copy(format!("ticket-{number}"));
        tickets.push(call.submit().await.unwrap());
    }
    until("they run", || async {
        let begun = journal([&first]).begun();
        if begun == 2 * JOBS {
            Ok(())
        } else {
            Err(begun)
        }
    })
    .await;
    handed_back(&rig, &namespace).await;
    rig.writes_down_its_queues().await;

    // Redis forgets everything, and is told by those who run.
    rig.redis.restart().await.unwrap();
    for ticket in &tickets {
        until("its record is there again", || async {
            match ticket.status(&bus).await {
                Ok(TicketStatus::Running { is_alive: true, .. }) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }
    rig.rabbit.restart().await.unwrap();
    until("calls are answered", || {
        client.echo(7).timeout(Duration::from_secs(1)).into_future()
    })
    .await;

    // Nobody runs one that somebody runs, or that has ended.
    let mut second = worker(&rig, &namespace, "open");
    served(&client, &mut second).await;
    assert_eq!(journal([&second]).begun(), 0);
    first.kill();
    for call in calls.join_all().await {
        assert_eq!(call.unwrap(), 2);
    }
    for ticket in &tickets {
        assert_eq!(ticket.wait(&bus).await.unwrap(), 2);
    }
    // Each message comes once more, and ends.
    rig.drained().await;
    let (before, after) = (journal([&first]), journal([&second]));
    for number in 0..JOBS {
        for kind in ["call", "ticket"] {
            let name = format!("{kind}-{number}");
            assert_eq!(before.page(&name).began, 1, "{name}");
            assert!(before.page(&name).done.is_empty(), "{name}");
            assert_eq!(after.page(&name).began, 1, "{name}");
            assert_eq!(after.page(&name).done, [2], "{name}");
        }
    }
    let dead = bus.inspect("ledger.requests.dead").await.unwrap();
    assert_eq!(dead.unwrap().waiting, 0);
}
