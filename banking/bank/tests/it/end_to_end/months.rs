//! `/api/account/statements`: statements of months.

use super::{
    expect::{customer, names, ok, refused},
    live_bank,
};
use crate::program;
use jiff::Timestamp;
use serde_json::{Value, json};
use town::{Bank, Customer, Service, database::on_sqlite, wait::eventually};

const PATH: &str = "/api/account/statements";
/// Entries of a long history: some seconds of work.
const LONG: i64 = 200_000;

/// Has the statement of this month made.
async fn begin(ada: &Customer, key: &str) -> Value {
    let month = Timestamp::now().to_string()[..7].to_owned();
    let begun = ada.post(PATH).key(key).json(&json!({ "month": month }));
    ok(begun.send().await.unwrap())
}

fn path_of(statement: &Value) -> String {
    format!("{PATH}/{}", statement["id"].as_str().unwrap())
}

/// Waits until it is made. While its service is away nothing is known of it.
async fn made(ada: &Customer, statement: &Value) -> Value {
    let path = path_of(statement);
    let made = eventually("it is made", async || {
        let looked = ada.get(&path).send().await.ok()?;
        (looked.status == 200 && looked.body["state"] == "made").then_some(looked.body)
    });
    made.await
}

pub(crate) async fn a_statement_of_a_month_is_made_for_its_user_alone(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    ada.transfer(&bob, 1_234, "rent").ok().await.unwrap();
    let begun = begin(&ada, "a month").await;
    let made = made(&ada, &begun).await;
    let result = &made["result"];
    for (field, expected) in [
        ("opening_balance", json!(0)),
        ("paid_in", json!(100_000)),
        ("paid_out", json!(1_234)),
        ("closing_balance", json!(98_766)),
        ("entries", json!(2)),
        ("is_whole", json!(false)),
    ] {
        assert_eq!(result[field], expected, "{field}");
    }
    assert_eq!(begin(&ada, "a month").await["id"], begun["id"]);
    let all = ada.get(PATH).ok().await.unwrap();
    assert_eq!(all, json!([made]));
    let path = path_of(&begun);
    let file = ada
        .get(&format!("{path}/entries.csv"))
        .send()
        .await
        .unwrap();
    assert_eq!((file.status, file.text.lines().count()), (200, 3));

    for rest in ["", "/entries.csv"] {
        let his = bob.get(&format!("{path}{rest}")).send().await.unwrap();
        refused(&his, 404, "Statement not found");
    }
    let his = bob.post(&format!("{path}/cancel")).send().await.unwrap();
    refused(&his, 404, "Statement not found");
    let other = json!({ "month": "2026-01" });
    let other = ada.post(PATH).key("a month").json(&other);
    assert_eq!(other.send().await.unwrap().status, 409);
    let wrong = ada.post(PATH).json(&json!({ "month": "0000-13" }));
    names(&wrong.send().await.unwrap(), 400, "month");
    let ahead = ada.post(PATH).json(&json!({ "month": "2999-01" }));
    names(&ahead.send().await.unwrap(), 400, "month");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_statement_is_made_by_a_bank_in_one_process() {
    on_sqlite(async |url| {
        let bank = Bank::embedded_on(program(), url).await.unwrap();
        bank.lent_to(async |bank: &Bank| {
            let ada = customer(bank, "ada").await;
            super::export::deposit(url, &ada, LONG / 10).await;
            let begun = begin(&ada, "a month").await;
            let made = made(&ada, &begun).await;
            assert_eq!(made["result"]["entries"], LONG / 10 + 1);
        })
        .await
        .unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_whose_service_is_killed_is_made_once_with_the_right_sums() {
    let Some(bank) = live_bank().await else {
        return;
    };
    bank.lent_to(async |bank: &Bank| {
        let database = bank.site().unwrap().database_url();
        let ada = customer(bank, "ada").await;
        super::export::deposit(database, &ada, LONG).await;
        let begun = begin(&ada, "a month").await;
        let path = path_of(&begun);
        eventually("it is under way", async || {
            let looked = ada.get(&path).send().await.ok()?.body;
            (looked["done"].as_i64() > Some(0)).then_some(())
        })
        .await;
        bank.kill_all(Service::Account);
        bank.start_all(Service::Account).unwrap();
        bank.ready().await.unwrap();
        let made = made(&ada, &begun).await;
        let result = &made["result"];
        assert_eq!(result["entries"], LONG + 1);
        assert_eq!(result["paid_in"], 100_000 + LONG);
        assert_eq!(result["closing_balance"], ada.balance().await.unwrap());
        assert_eq!(begin(&ada, "a month").await["result"], *result);
        let all = ada.get(PATH).ok().await.unwrap();
        assert_eq!(all.as_array().unwrap().len(), 1);
    })
    .await
    .unwrap();
}
