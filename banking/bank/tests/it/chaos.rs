//! Money, to the unit, while processes of all five services are killed (SIGKILL) and started again
//! at random moments.
//!
//! `CHAOS_SEED` repeats the plan and the choice of victims, `CHAOS_REQUESTS` makes it longer.
//! Without servers it is skipped, unless `BUS_REQUIRE_LIVE=1`.

use crate::program;
use town::{
    Bank,
    audit::audit,
    nemesis,
    site::Servers,
    trade::{self, plan::Plan},
};

const CUSTOMERS: usize = 50;
const REQUESTS: usize = 3_000;
/// Fewer would be no chaos: it goes on until there were as many.
const KILLED_MIN: usize = 11;
/// Errands under way at any time.
const AT_A_TIME: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_neither_made_nor_lost_while_services_are_killed() {
    let Some(servers) = Servers::found().await else {
        return;
    };
    let bank = Bank::live(program(), servers).await.unwrap();
    bank.lent_to(every_unit_is_accounted_for).await.unwrap();
}

async fn every_unit_is_accounted_for(bank: &Bank) {
    let seed = trade::plan::seed_of_environment("CHAOS_SEED");
    let requests = trade::plan::number_of_environment("CHAOS_REQUESTS").unwrap_or(REQUESTS);
    println!("CHAOS_SEED={seed}");
    let customers = trade::customers(bank, CUSTOMERS).await.unwrap();
    let mut plan = Plan::draw(seed, CUSTOMERS, requests);
    let raging = async |over: &dyn Fn(bool) -> bool| {
        let stop = |killed| over(killed >= KILLED_MIN);
        nemesis::rage(bank, seed, stop).await
    };
    let traded = trade::trade_while(bank, &customers, &mut plan, AT_A_TIME, raging);
    let (deals, killed) = traded.await.unwrap();
    bank.ready().await.unwrap();
    let books = audit(bank, &customers, &deals).await.unwrap();
    println!("{} requests, {killed} killed: {books:?}", plan.requests());
    // Else it was no trade, or no chaos.
    assert!(books.transfers > requests / 4 && killed >= KILLED_MIN);
}
