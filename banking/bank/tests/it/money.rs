//! Money, to the unit: 10,000 requests of 50 customers at once, on the bank's embedded default and
//! on real servers with each service in processes of its own.
//!
//! `MONEY_SEED` repeats a run, `MONEY_REQUESTS` makes it longer. Without servers the second is
//! skipped, unless `BUS_REQUIRE_LIVE=1`.

use crate::program;
use replybus_testkit::{
    live::require_or_skip,
    servers::{PrivateRabbit, RabbitMq},
};
use serde_json::json;
use town::{
    Bank,
    audit::{Books, audit},
    site::Servers,
    trade::{
        self,
        errand::Deal,
        plan::{Act, Plan},
    },
};

const CUSTOMERS: usize = 50;
const REQUESTS: usize = 10_000;
/// Errands under way at any time.
const AT_A_TIME: usize = 64;

async fn every_unit_is_accounted_for(bank: &Bank) {
    let requests = trade::plan::number_of_environment("MONEY_REQUESTS").unwrap_or(REQUESTS);
    let books = accounted_for(bank, requests).await;
    // So many find an account that has not enough.
    assert!(books.refused > 0 || requests < REQUESTS);
}

async fn accounted_for(bank: &Bank, requests: usize) -> Books {
    let seed = trade::plan::seed_of_environment("MONEY_SEED");
    println!("MONEY_SEED={seed}");
    let customers = trade::customers(bank, CUSTOMERS).await.unwrap();
    let plan = Plan::draw(seed, CUSTOMERS, requests);
    let deals = trade::trade(bank, &customers, &plan, AT_A_TIME)
        .await
        .unwrap();
    let books = audit(bank, &customers, &deals).await.unwrap();
    println!("{} requests: {books:?}", plan.requests());
    // Else it was no trade.
    assert!(books.transfers > requests / 4);
    books
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_neither_made_nor_lost_in_one_process() {
    let bank = Bank::embedded(program()).await.unwrap();
    bank.lent_to(every_unit_is_accounted_for).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_neither_made_nor_lost_on_real_servers() {
    let Some(servers) = Servers::found().await else {
        return;
    };
    let bank = Bank::live(program(), servers).await.unwrap();
    bank.lent_to(every_unit_is_accounted_for).await.unwrap();
}

/// As RabbitMQ 4.3 does by itself, for the most part. An older one than RabbitMQ 4 has nothing to deny.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_is_counted_on_a_broker_that_denies_all_that_is_deprecated() {
    let Some(shared) = Servers::found().await else {
        return;
    };
    let rabbit = PrivateRabbit::set_up_4(RabbitMq::without_deprecated_features).await;
    let Some(rabbit) = require_or_skip(rabbit) else {
        return;
    };
    let servers = shared.with_amqp(rabbit.url());
    let bank = Bank::live(program(), servers).await.unwrap();
    let some = async |bank: &Bank| {
        accounted_for(bank, 1_000).await;
    };
    bank.lent_to(some).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_notices_one_unit_that_nobody_ordered_and_one_order_that_was_lost() {
    let bank = Bank::embedded(program()).await.unwrap();
    bank.lent_to(async |bank: &Bank| {
        let customers = trade::customers(bank, 4).await.unwrap();
        let plan = Plan::draw(7, customers.len(), 100);
        let deals = trade::trade(bank, &customers, &plan, 8).await.unwrap();
        audit(bank, &customers, &deals).await.unwrap();

        // Each is missed where it should be, a transfer at once by the totals.
        for kind in [is_transfer as fn(&Deal) -> bool, |deal| !is_transfer(deal)] {
            let mut lost = deals.clone();
            let place = lost.iter().position(|deal| deal.done && kind(deal));
            lost.swap_remove(place.unwrap());
            assert!(audit(bank, &customers, &lost).await.is_err());
        }
        let one = customers.first().unwrap().post("/api/account/deposit");
        one.json(&json!({ "amount": 1 })).ok().await.unwrap();
        let noticed = audit(bank, &customers, &deals).await.unwrap_err();
        let noticed = format!("{noticed:#}");
        // By what its owner is told, if that is there already, or else by the statement.
        let signs = [
            "times was somebody to be told, and the bank says",
            "entries of the statement: 1 too many",
        ];
        assert!(signs.iter().any(|sign| noticed.contains(sign)), "{noticed}");
    })
    .await
    .unwrap();
}

fn is_transfer(deal: &Deal) -> bool {
    matches!(deal.order.act, Act::Transfer { .. })
}
