//! `/api/transfer`.

use super::expect::{all, customer, names, ok, refused};
use serde_json::{Value, json};
use town::{Bank, Customer, Request};

fn order(customer: &Customer, body: &Value, key: &str) -> Request {
    customer.post("/api/transfer/transfer").key(key).json(body)
}

fn receipt(from: &Customer, to: &Customer, amount: i64) -> Value {
    json!({
        "ok": true, "from": from.username, "to": to.username,
        "to_account_number": to.account_number, "amount": amount,
    })
}

async fn balances(ada: &Customer, bob: &Customer) -> (i64, i64) {
    (ada.balance().await.unwrap(), bob.balance().await.unwrap())
}

pub(crate) async fn money_moves_by_name_and_by_number(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let by_name = json!({ "to_username": bob.username.to_uppercase(), "amount": 400 });
    let made = order(&ada, &by_name, "by name").ok().await.unwrap();
    assert_eq!(made, receipt(&ada, &bob, 400));
    let by_number = json!({ "to_account_number": ada.account_number, "amount": 150 });
    let made = order(&bob, &by_number, "by number").ok().await.unwrap();
    assert_eq!(made, receipt(&bob, &ada, 150));
    assert_eq!(balances(&ada, &bob).await, (99_750, 100_250));
}

pub(crate) async fn the_same_key_moves_money_once_and_answers_the_same(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let gateways = bank.clients().iter().cycle().take(8);
    let asks = gateways.map(|gateway| ada.at(gateway).transfer(&bob, 100, "once"));
    for answer in all(asks).await {
        assert_eq!(answer.header("idempotency-key"), "once");
        assert_eq!(ok(answer), receipt(&ada, &bob, 100));
    }
    let later = ada.transfer(&bob, 100, "once").ok().await.unwrap();
    assert_eq!(later, receipt(&ada, &bob, 100));
    assert_eq!(balances(&ada, &bob).await, (99_900, 100_100));
    // The same key of another user is another transfer.
    bob.transfer(&ada, 100, "once").ok().await.unwrap();
    assert_eq!(balances(&ada, &bob).await, (100_000, 100_000));
}

pub(crate) async fn the_same_key_for_something_else_is_409(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let eve = customer(bank, "eve").await;
    ada.transfer(&bob, 100, "key").ok().await.unwrap();
    for other in [
        ada.transfer(&bob, 101, "key"),
        ada.transfer(&eve, 100, "key"),
    ] {
        let conflict = "Idempotency-Key was already used for another request";
        refused(&other.send().await.unwrap(), 409, conflict);
    }
    assert_eq!(balances(&ada, &bob).await, (99_900, 100_100));
    assert_eq!(eve.balance().await.unwrap(), 100_000);
}

pub(crate) async fn a_rejection_stays_one(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let too_much = || ada.transfer(&bob, 100_001, "too much").send();
    refused(&too_much().await.unwrap(), 400, "Insufficient balance");
    // Now there would be enough, but the verdict was given.
    bob.transfer(&ada, 50_000, "help").ok().await.unwrap();
    refused(&too_much().await.unwrap(), 400, "Insufficient balance");
    assert_eq!(balances(&ada, &bob).await, (150_000, 50_000));
    ada.transfer(&bob, 100_001, "another key")
        .ok()
        .await
        .unwrap();
    assert_eq!(balances(&ada, &bob).await, (49_999, 150_001));
}

pub(crate) async fn nobody_pays_themselves_or_somebody_who_is_not_there(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    for to in [
        json!({ "to_username": ada.username, "amount": 5 }),
        json!({ "to_username": ada.username.to_uppercase(), "amount": 5 }),
        json!({ "to_account_number": ada.account_number, "amount": 5 }),
    ] {
        let answer = order(&ada, &to, "key").send().await.unwrap();
        refused(&answer, 400, "Cannot transfer to yourself");
    }
    for to in [
        json!({ "to_username": "nobody-has-this-name", "amount": 5 }),
        json!({ "to_username": "' OR 1=1 --", "amount": 5 }),
        json!({ "to_account_number": "9999999999999", "amount": 5 }),
    ] {
        let answer = order(&ada, &to, "key").send().await.unwrap();
        refused(&answer, 404, "Recipient not found");
    }
    assert_eq!(ada.balance().await.unwrap(), 100_000);
    let statement = ada.get("/api/account/statement").ok().await.unwrap();
    assert_eq!(statement["total"], json!(1));
}

pub(crate) async fn an_order_that_makes_no_sense_is_400(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    for (field, body) in [
        ("to_username", json!({ "amount": 5 })),
        ("to_username", json!({ "to_username": 7, "amount": 5 })),
        (
            "to_username",
            json!({ "to_username": bob.username, "to_account_number": bob.account_number, "amount": 5 }),
        ),
        (
            "to_account_number",
            json!({ "to_account_number": "12ab", "amount": 5 }),
        ),
        (
            "to_account_number",
            json!({ "to_account_number": 123_456, "amount": 5 }),
        ),
        ("amount", json!({ "to_username": bob.username })),
    ] {
        let answer = order(&ada, &body, "key").send().await.unwrap();
        names(&answer, 400, field);
    }
    assert_eq!(balances(&ada, &bob).await, (100_000, 100_000));
}

pub(crate) async fn both_sides_see_a_transfer(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    ada.transfer(&bob, 1, "first").ok().await.unwrap();
    bob.transfer(&ada, 2, "second").ok().await.unwrap();
    let rejected = ada.transfer(&bob, 900_000, "third").send().await.unwrap();
    assert_eq!(rejected.status, 400);

    let seen = async |customer: &Customer| {
        let list = customer
            .get("/api/transfer/transactions")
            .ok()
            .await
            .unwrap();
        let items = list["items"].as_array().unwrap().clone();
        assert_eq!(list["total"], json!(items.len()));
        items
    };
    let (adas, bobs) = (seen(&ada).await, seen(&bob).await);
    let brief = |items: &[Value]| -> Vec<_> {
        let brief = items.iter().map(|item| {
            let text = |field: &str| item[field].as_str().unwrap().to_owned();
            (
                text("direction"),
                text("status"),
                item["amount"].as_i64().unwrap(),
            )
        });
        brief.collect()
    };
    let expect = |items: &[(&str, &str, i64)]| -> Vec<_> {
        let owned = |(way, status, amount): &(&str, &str, i64)| {
            ((*way).to_owned(), (*status).to_owned(), *amount)
        };
        items.iter().map(owned).collect()
    };
    let received = ("received", "completed", 2);
    let sent = ("sent", "completed", 1);
    let expected = expect(&[("sent", "rejected", 900_000), received, sent]);
    assert_eq!(brief(&adas), expected);
    // What was rejected never reached him.
    let expected = expect(&[("sent", "completed", 2), ("received", "completed", 1)]);
    assert_eq!(brief(&bobs), expected);
    assert_eq!(adas[2]["id"], bobs[1]["id"]);
    for (field, expected) in [
        ("from", &ada.username),
        ("from_account_number", &ada.account_number),
        ("to", &bob.username),
        ("to_account_number", &bob.account_number),
    ] {
        assert_eq!(bobs[1][field], json!(expected));
    }
    let page = "/api/transfer/transactions?page=2&size=2";
    let page = ada.get(page).ok().await.unwrap();
    assert_eq!(
        (&page["items"][0]["id"], &page["pages"]),
        (&adas[2]["id"], &json!(2))
    );
}

pub(crate) async fn crossing_transfers_all_get_through(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let keys: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let there = keys.iter().map(|key| ada.transfer(&bob, 3, key));
    let back = keys.iter().map(|key| bob.transfer(&ada, 2, key));
    for answer in all(there.chain(back)).await {
        ok(answer);
    }
    assert_eq!(balances(&ada, &bob).await, (99_980, 100_020));
}
