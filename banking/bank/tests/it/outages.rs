//! Money, to the unit, while RabbitMQ, Redis and PostgreSQL fail under the bank: killed, cut off,
//! or silent, one after the other, and back again.
//!
//! `OUTAGE_SEED` repeats the plan and the failures, `OUTAGE_REQUESTS` makes it longer. Without
//! servers it is skipped, unless `BUS_REQUIRE_LIVE=1`.

use crate::program;
use town::{
    Bank,
    audit::audit,
    outage::FrailServers,
    trade::{self, plan::Plan},
};

const CUSTOMERS: usize = 10;
const REQUESTS: usize = 400;
/// Errands under way at any time.
const AT_A_TIME: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_neither_made_nor_lost_while_servers_fail() {
    let Some(mut servers) = FrailServers::start().await.unwrap() else {
        return;
    };
    let bank = Bank::live(program(), servers.servers()).await.unwrap();
    bank.lent_to(async |bank| every_unit_is_accounted_for(bank, &mut servers).await)
        .await
        .unwrap();
}

async fn every_unit_is_accounted_for(bank: &Bank, servers: &mut FrailServers) {
    let seed = trade::plan::seed_of_environment("OUTAGE_SEED");
    let requests = trade::plan::number_of_environment("OUTAGE_REQUESTS").unwrap_or(REQUESTS);
    println!("OUTAGE_SEED={seed}");
    let customers = trade::customers(bank, CUSTOMERS).await.unwrap();
    let mut plan = Plan::draw(seed, CUSTOMERS, requests);
    let failing = async |over: &dyn Fn(bool) -> bool| {
        servers.fail(seed, |outages| over(outages.of_each())).await
    };
    let traded = trade::trade_while(bank, &customers, &mut plan, AT_A_TIME, failing);
    let (deals, outages) = traded.await.unwrap();
    bank.ready().await.unwrap();
    let books = audit(bank, &customers, &deals).await.unwrap();
    println!("{} requests, {outages:?}: {books:?}", plan.requests());
    // Else it was no trade, or something never failed.
    assert!(books.transfers > requests / 4 && outages.of_each());
}
