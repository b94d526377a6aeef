//! `/api/transfer/standing-orders`.

use super::expect::{customer, names, ok, refused};
use jiff::Timestamp;
use serde_json::{Value, json};
use town::{Bank, Customer, wait::eventually};

const PATH: &str = "/api/transfer/standing-orders";

fn order(to: &Customer, amount: i64) -> Value {
    json!({
        "to_username": to.username, "amount": amount, "every": "month", "reference": "rent",
        "first_at": Timestamp::now().to_string(),
    })
}

pub(crate) async fn a_standing_order_moves_money_when_its_time_comes(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let first = order(&bob, 1_234);
    let ordered = ok(ada
        .post(PATH)
        .key("rent")
        .json(&first)
        .send()
        .await
        .unwrap());
    let path = format!("{PATH}/{}", ordered["id"].as_str().unwrap());
    let made = eventually("it is made", async || {
        let all = ada.get(PATH).ok().await.ok()?;
        let order = all["items"][0].clone();
        (order["occurrences"] == 1).then_some(order)
    })
    .await;
    assert_eq!(made["last"]["made"], true);
    assert_eq!(made["state"], "active");
    assert_eq!(ada.balance().await.unwrap(), 100_000 - 1_234);
    assert_eq!(bob.balance().await.unwrap(), 100_000 + 1_234);
    let again = ok(ada
        .post(PATH)
        .key("rent")
        .json(&first)
        .send()
        .await
        .unwrap());
    assert_eq!(again, made);
    let other = ada.post(PATH).key("rent").json(&order(&bob, 1));
    assert_eq!(other.send().await.unwrap().status, 409);

    let his = bob.post(&format!("{path}/cancel")).send().await.unwrap();
    refused(&his, 404, "Standing order not found");
    let cancelled = ada.post(&format!("{path}/cancel")).ok().await.unwrap();
    assert_eq!(
        (&cancelled["state"], &cancelled["next_at"]),
        (&json!("cancelled"), &Value::Null)
    );
    let mut wrong = order(&bob, 1);
    wrong["first_at"] = json!("2000-01-01T00:00:00Z");
    let wrong = ada.post(PATH).json(&wrong).send().await.unwrap();
    names(&wrong, 400, "first_at");
}
