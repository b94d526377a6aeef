//! A service of commands in two processes, and callers, under every fault.

use replybus::{Bus, Context, Never, queue_handler};
use replybus_sim::{
    Ended, Faults, History, Node, ProcessError, Simulation, Violation, check, invariants,
};
use std::time::Duration;

#[queue_handler("counter.requests", timeout = "20s")]
pub(crate) trait Counter {
    /// Notes that it ran, and returns who ran it.
    async fn count(&self, what: String) -> Result<String, Never>;

    /// Refuses, which becomes a dead letter if nobody waits for it.
    async fn refuse(&self, what: String) -> Result<(), String>;
}

/// A handler that takes a while, and whose effect is a row with a unique key.
struct Counting {
    node: Node,
    history: History,
}

impl Counter for Counting {
    async fn count(&self, what: String) -> Result<String, Never> {
        let run = format!("{}.{}", self.node.name(), self.node.life());
        self.node.step("begins").await;
        tokio::time::sleep(Duration::from_millis(self.node.chance(300))).await;
        let run = format!("{run} {}", Context::current().attempt());
        self.history.did(what, &run);
        self.node.step("has its effect").await;
        Ok(run)
    }

    async fn refuse(&self, what: String) -> Result<(), String> {
        self.node.step("refuses").await;
        Err(format!("not {what}"))
    }
}

pub(crate) async fn serve(node: Node, bus: Bus, history: History) -> Result<(), ProcessError> {
    let counting = Counting {
        node: node.clone(),
        history,
    };
    let serving = bus.serve(CounterServer::new(counting)).await?;
    node.stopped().await;
    serving.shutdown().await?;
    bus.close(Duration::from_secs(20)).await;
    Ok(())
}

/// Calls one after the other, each with a key of its own.
async fn call(node: Node, history: History, calls: u32) -> Result<(), ProcessError> {
    let bus = node.connect().await?;
    let counter = CounterClient::new(&bus);
    for number in 0..calls {
        let what = format!("{}.{}.{number}", node.name(), node.life());
        let asked = history.asks(&*what);
        let told = counter.count(what.clone()).idempotency_key(&*what).await;
        history.is_told(asked, &told);
        tokio::time::sleep(Duration::from_millis(node.chance(300))).await;
    }
    bus.close(Duration::from_secs(5)).await;
    Ok(())
}

/// Two workers and two callers.
pub(crate) fn counters(simulation: &mut Simulation, history: &History) -> Result<Ended, Violation> {
    for name in ["worker a", "worker b"] {
        let history = history.clone();
        simulation.service(name, move |node| {
            let history = history.clone();
            async move { serve(node.clone(), node.connect().await?, history).await }
        });
    }
    for name in ["caller a", "caller b"] {
        let history = history.clone();
        simulation.caller(name, move |node| call(node, history.clone(), 4));
    }
    simulation.run()
}

pub(crate) fn scenario(simulation: &mut Simulation) -> Result<(), Violation> {
    let history = History::new();
    let ended = counters(simulation, &history)?;
    // That a call was given up is kept in the store: a service that finds it forgotten runs it.
    if !ended.lost_records {
        invariants::answered_truthfully(&history)?;
    }
    // Nor is it known there that a command was done, or while the store is away: one that comes again
    // is in doubt once more.
    let known = match ended.was_without_store {
        true => History::new(),
        false => history,
    };
    invariants::only_what_is_in_doubt_is_left(&known, &ended, |message| {
        let key = message.properties.header("idempotency-key");
        key.map(str::to_owned)
    })
}

#[test]
fn callers_are_told_the_truth_whatever_goes_wrong() {
    check(1000, &Faults::all(), scenario);
}
