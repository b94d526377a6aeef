//! Commands that were put off, while workers, servers and connections die: none is lost, none runs
//! twice at once, and each has one outcome.

use super::{
    rig::{Rig, Settings, bounded, connect, eventually},
    workers::{journal, served, worker},
};
use replybus::{Bus, Ticket, dead_letters::DeadLetter};
use replybus_testkit::{
    live::unique,
    proxy::{Mode, Proxy},
    servers::Persistence,
};
use replybus_tests::ledger::{Books, Journal, LedgerClient, LedgerServer};
use std::{future::IntoFuture, sync::Arc, time::Duration};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Runs of a command that a handler puts off until its third.
const RUNS: u32 = 3;

type Tickets = Vec<(String, Ticket<Result<u32, String>>)>;

/// Waits until each was run once, and put aside.
async fn are_put_aside(tickets: &Tickets, journal: &Journal) {
    eventually("all are put aside", || async {
        let mut names = tickets.iter().map(|(name, _)| name);
        names.all(|name| journal.page(name).began > 0)
    })
    .await;
}

/// Submits so many commands.
async fn submit(client: &LedgerClient, count: usize) -> Tickets {
    let mut tickets = Vec::new();
    for _ in 0..count {
        let name = unique("entry");
        let ticket = bounded(client.put_off(name.clone(), false).submit()).await;
        tickets.push((name, ticket.unwrap()));
    }
    tickets
}

/// Waits for all of them; each was done, by its third run or one that came after a death.
async fn all_are_done(bus: &Bus, tickets: Tickets, journal: impl Fn() -> Journal) {
    for (name, ticket) in tickets {
        let run = bounded(ticket.wait(bus)).await.unwrap();
        assert!(run >= RUNS, "{name}: {run}");
        let page = journal().page(&name);
        assert!(page.done.contains(&run), "{name}: {run} of {page:?}");
        assert!(page.began >= RUNS, "{name}: {page:?}");
    }
}

async fn letters(bus: &Bus) -> Vec<DeadLetter> {
    let letters = bus.dead_letters("ledger.requests");
    bounded(letters.list(0..1000)).await.unwrap().letters
}

/// The third run has a gate, so that all of them are in hand when workers are killed; before it they
/// are killed whenever it comes: while they run, publish, settle, and hold nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_killed_lose_no_command_that_was_put_off() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("retries");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut workers = vec![worker(rig, &namespace, "closed")];
    served(&client, &mut workers[0]).await;
    let tickets = submit(&client, 40).await;
    for round in 1..6 {
        sleep(Duration::from_millis(700 * round)).await;
        workers.last_mut().unwrap().kill();
        let gate = if round < 5 { "closed" } else { "open" };
        workers.push(worker(rig, &namespace, gate));
    }
    let journal = || journal(&workers);
    all_are_done(&bus, tickets, journal).await;
    rig.queues("nothing is left", |queue, messages| {
        !queue.starts_with(&namespace) || messages == 0
    })
    .await;
    assert!(letters(&bus).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_aside_outlives_a_broker_that_is_killed() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let first = submit(&ledger.client, 1).await;
    all_are_done(&ledger.caller, first, || copy(&ledger.journal)).await;
    rig.writes_down_its_queues().await;
    let tickets = submit(&ledger.client, 40).await;
    are_put_aside(&tickets, &ledger.journal).await;
    rig.rabbit.kill();
    rig.rabbit.restart().await.unwrap();
    all_are_done(&ledger.caller, tickets, || copy(&ledger.journal)).await;
    assert!(letters(&ledger.caller).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_put_aside_needs_nothing_of_redis() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let tickets = submit(&ledger.client, 40).await;
    are_put_aside(&tickets, &ledger.journal).await;
    rig.redis.kill();
    rig.redis.restart().await.unwrap();
    all_are_done(&ledger.caller, tickets, || copy(&ledger.journal)).await;
    rig.drained().await;
    assert!(letters(&ledger.caller).await.is_empty());
}

/// What is acknowledged on a connection that is gone is delivered again, beside its copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_leaves_copies_and_no_second_outcome() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("retries");
    let proxy = Proxy::to(rig.rabbit.address()).await.unwrap();
    let amqp = format!("amqp://guest:guest@{}/%2f", proxy.addr());
    let cut = (amqp, rig.redis.url());
    let caller = connect(&namespace, Settings::default(), &rig.servers()).await;
    let worker = connect(&namespace, Settings::quick(), &cut).await;
    let journal = Arc::new(Journal::default());
    let (books, _gate) = Books::new(Arc::clone(&journal));
    let service = LedgerServer::new(books);
    let _serving = worker.serve(service).await.unwrap();
    let client = LedgerClient::new(&caller);
    let tickets = submit(&client, 60).await;
    for _ in 0..8 {
        sleep(SECOND / 2).await;
        proxy.set(Mode::Cut);
    }
    all_are_done(&caller, tickets, || copy(&journal)).await;
    rig.queues("nothing is left", |queue, messages| {
        !queue.starts_with(&namespace) || messages == 0
    })
    .await;
    assert!(letters(&caller).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_error_is_the_callers_within_its_deadline_and_all_are_in_the_letter() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let put_off = || ledger.client.put_off(unique("entry"), true);
    let last = bounded(put_off().into_future()).await.unwrap_err();
    assert_eq!(last.into_handler().unwrap(), "run 5");
    // Its caller is answered first.
    eventually("it is kept", || async {
        !letters(&ledger.caller).await.is_empty()
    })
    .await;
    let letters = letters(&ledger.caller).await;
    let errors: Vec<_> = letters[0].retry_errors().collect();
    assert_eq!(errors, ["run 1", "run 2", "run 3", "run 4", "run 5"]);
    assert_eq!((letters.len(), letters[0].attempts()), (1, Some(5)));
    // There is time for two runs, or three, and for one.
    let last = put_off().timeout(5 * SECOND).await;
    let last = last.unwrap_err().into_handler().unwrap();
    assert!(["run 2", "run 3"].contains(&last.as_str()), "{last}");
    let last = put_off().timeout(2 * SECOND).await.unwrap_err();
    assert_eq!(last.into_handler().unwrap(), "run 1");
}

/// Where a handler in this process wrote down what it did.
fn copy(journal: &Arc<Journal>) -> Journal {
    journal.clone_pages()
}
