//! Accounts, whose entries have an order; and events of what was entered.

use replybus::{Bus, Event, Never, queue_handler};
use replybus_sim::{Faults, History, Node, ProcessError, Simulation, Violation, check, invariants};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What an account begins with, in minor units.
const OPENING: i64 = 10_000;
const ACCOUNTS: [&str; 3] = ["ada", "bob", "till"];

#[queue_handler("ledger.requests", partitions = 4, timeout = "60s")]
trait Ledger {
    /// Moves an amount to the till, as the next of an account's entries.
    async fn pay(&self, #[key] account: String, number: u64, amount: i64) -> Result<i64, Never>;
}

#[derive(Event, Serialize, Deserialize)]
#[event("ledger.paid", exchange = "ledger.events")]
struct Paid {
    account: String,
    number: u64,
}

/// The database of the ledger: each write is one transaction, and none is ever lost.
#[derive(Default)]
struct Database {
    balances: BTreeMap<String, i64>,
    /// The balance after each entry, by its key.
    entries: BTreeMap<(String, u64), i64>,
    /// In which order they were made. A worker that stood still may begin one that another has made
    /// meanwhile, and finds its row.
    made: Vec<(String, u64)>,
    /// Somebody listens, who gets whatever is emitted from then on.
    is_heard: bool,
    /// What was heard of.
    heard: BTreeSet<(String, u64)>,
    /// What callers were told that it is made.
    told: BTreeSet<(String, u64)>,
}

type Shared = Arc<Mutex<Database>>;

struct Teller {
    node: Node,
    bus: Bus,
    database: Shared,
}

impl Ledger for Teller {
    async fn pay(&self, account: String, number: u64, amount: i64) -> Result<i64, Never> {
        let key = (account.clone(), number);
        self.node.step("begins an entry").await;
        let balance = {
            let mut database = self.database.lock().unwrap();
            match database.entries.get(&key) {
                Some(balance) => *balance,
                None => {
                    let balance = database.balances[&account] - amount;
                    database.balances.insert(account.clone(), balance);
                    *database.balances.get_mut("till").unwrap() += amount;
                    database.entries.insert(key.clone(), balance);
                    database.made.push(key);
                    balance
                }
            }
        };
        self.node.step("has committed an entry").await;
        while let Err(error) = self
            .bus
            .emit(&Paid {
                account: account.clone(),
                number,
            })
            .await
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(error);
        }
        Ok(balance)
    }
}

async fn serve(node: Node, database: Shared) -> Result<(), ProcessError> {
    let bus = node.connect().await?;
    let teller = Teller {
        node: node.clone(),
        bus: bus.clone(),
        database,
    };
    let serving = bus.serve(LedgerServer::new(teller)).await?;
    node.stopped().await;
    serving.shutdown().await?;
    bus.close(Duration::from_secs(20)).await;
    Ok(())
}

async fn audit(node: Node, database: Shared) -> Result<(), ProcessError> {
    let bus = node.connect().await?;
    let listens = Arc::clone(&database);
    let heard = move |paid: Paid| {
        database
            .lock()
            .unwrap()
            .heard
            .insert((paid.account, paid.number));
        std::future::ready(())
    };
    let hearing = bus.subscribe("audit", heard).await?;
    listens.lock().unwrap().is_heard = true;
    node.stopped().await;
    hearing.shutdown().await?;
    bus.close(Duration::from_secs(20)).await;
    Ok(())
}

/// Pays entry after entry, without waiting for the one before.
async fn pay(
    node: Node,
    account: &'static str,
    history: History,
    database: Shared,
) -> Result<(), ProcessError> {
    let bus = node.connect().await?;
    while !database.lock().unwrap().is_heard {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ledger = LedgerClient::new(&bus);
    let first = u64::from(node.life() - 1) * 10;
    let payments = (first..first + 4).map(|number| {
        let (ledger, history, database) = (&ledger, &history, &database);
        async move {
            tokio::time::sleep(Duration::from_millis(number * 40)).await;
            let what = format!("{account} {number}");
            let asked = history.asks(&*what);
            let amount = i64::try_from(number).unwrap() + 1;
            let told = ledger
                .pay(account.into(), number, amount)
                .wait_for_service()
                .idempotency_key(what)
                .await;
            history.is_told(asked, &told);
            if told.is_ok() {
                let key = (account.to_owned(), number);
                database.lock().unwrap().told.insert(key);
            }
        }
    });
    futures_util::future::join_all(payments).await;
    bus.close(Duration::from_secs(5)).await;
    Ok(())
}

fn scenario(simulation: &mut Simulation) -> Result<(), Violation> {
    let (history, database) = (History::new(), Shared::default());
    for account in ACCOUNTS {
        database
            .lock()
            .unwrap()
            .balances
            .insert(account.into(), OPENING);
    }
    for name in ["teller a", "teller b"] {
        let database = Arc::clone(&database);
        simulation.service(name, move |node| serve(node, Arc::clone(&database)));
    }
    let heard = Arc::clone(&database);
    simulation.service("auditor", move |node| audit(node, Arc::clone(&heard)));
    for account in ["ada", "bob"] {
        let (history, database) = (history.clone(), Arc::clone(&database));
        simulation.caller(account, move |node| {
            pay(node, account, history.clone(), Arc::clone(&database))
        });
    }
    let ended = simulation.run()?;
    let database = database.lock().unwrap();
    for ((account, number), balance) in &database.entries {
        history.did(format!("{account} {number}"), balance);
    }
    // That a call was given up is kept in the store: a service that finds it forgotten runs it.
    if !ended.lost_records {
        invariants::answered_truthfully(&history)?;
    }
    invariants::outcomes_agree(&history)?;
    let opened = OPENING * i64::try_from(ACCOUNTS.len()).unwrap();
    invariants::is_conserved("money", opened, database.balances.values().copied())?;
    // Who lost its call with the queue makes it again, behind later ones.
    if !ended.lost_records && !ended.lost_queues {
        invariants::is_in_order_per_key(database.made.iter().cloned())?;
    }
    // Whoever gave a call up has it begun no more, also if its worker died between an entry and its event.
    let mut told = database.told.iter();
    if !ended.lost_queues
        && let Some(unheard) = told.find(|key| !database.heard.contains(*key))
    {
        return Err(Violation::new(format!("nobody heard of {unheard:?}")));
    }
    invariants::no_message_is_left(&ended)
}

#[test]
fn money_is_conserved_and_entries_are_in_order_whatever_goes_wrong() {
    check(1000, &Faults::all(), scenario);
}
