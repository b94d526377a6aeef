//! `/api/account`.

use super::expect::{all, customer, names, ok, refused};
use serde_json::{Value, json};
use std::collections::HashSet;
use town::{Bank, Customer, Request};

fn pay(customer: &Customer, path: &str, amount: &Value, key: &str) -> Request {
    let ask = customer.post(&format!("/api/account/{path}")).key(key);
    ask.json(&json!({ "amount": amount }))
}

pub(crate) async fn me_and_balance_are_the_users_own(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let me = ada.get("/api/account/me").ok().await.unwrap();
    let expected = json!({
        "id": ada.id, "phone": null, "username": ada.username,
        "account_number": ada.account_number, "balance": 100_000,
    });
    assert_eq!(me, expected);
    let balance = ada.get("/api/account/balance").ok().await.unwrap();
    assert_eq!(balance, json!({ "balance": 100_000 }));
}

pub(crate) async fn an_account_number_tells_its_holders_name(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let lookup = async |number: &str| {
        let path = format!("/api/account/lookup?account_number={number}");
        ada.get(&path).send().await.unwrap()
    };
    let holder = ok(lookup(&bob.account_number).await);
    let expected = json!({ "account_number": bob.account_number, "username": bob.username });
    assert_eq!(holder, expected);
    let mut unknown = bob.account_number.clone();
    // One digit more is nobody's: the bank gives out 12.
    unknown.push('0');
    assert_eq!(lookup(&unknown).await.status, 404);
    for wrong in ["", "12345", "12345x", "1%27%20OR%201=1"] {
        names(&lookup(wrong).await, 400, "account_number");
    }
}

pub(crate) async fn a_deposit_and_a_withdrawal_answer_with_the_new_balance(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let paid_in = pay(&ada, "deposit", &json!(500), "in").ok().await.unwrap();
    assert_eq!(paid_in, json!({ "balance": 100_500 }));
    let paid_out = pay(&ada, "withdraw", &json!(100_500), "out")
        .ok()
        .await
        .unwrap();
    assert_eq!(paid_out, json!({ "balance": 0 }));
    assert_eq!(ada.balance().await.unwrap(), 0);
    // Without a key each request is another.
    for balance in [7, 14] {
        let ask = ada
            .post("/api/account/deposit")
            .json(&json!({ "amount": 7 }));
        let answer = ask.send().await.unwrap();
        assert!(!answer.header("idempotency-key").is_empty());
        assert_eq!(ok(answer), json!({ "balance": balance }));
    }
}

pub(crate) async fn nobody_withdraws_what_they_do_not_have(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let answer = pay(&ada, "withdraw", &json!(100_001), "key")
        .send()
        .await
        .unwrap();
    refused(&answer, 400, "Insufficient balance");
    // Ten at once, of which three fit.
    let keys: Vec<_> = (0..10).map(|number| format!("at once {number}")).collect();
    let asks = keys
        .iter()
        .map(|key| pay(&ada, "withdraw", &json!(30_000), key));
    let answers = all(asks).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(made, 3);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        refused(answer, 400, "Insufficient balance");
    }
    assert_eq!(ada.balance().await.unwrap(), 10_000);
}

pub(crate) async fn the_same_key_pays_once(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    for (path, balance) in [("deposit", 101_000), ("withdraw", 100_000)] {
        let key = format!("{path} once");
        let answers = all((0..8).map(|_| pay(&ada, path, &json!(1_000), &key))).await;
        for answer in answers {
            assert_eq!(ok(answer), json!({ "balance": balance }));
        }
        assert_eq!(ada.balance().await.unwrap(), balance);
        let other = pay(&ada, path, &json!(1_001), &key).send().await.unwrap();
        let conflict = "Idempotency-Key was already used for another request";
        refused(&other, 409, conflict);
    }
    let other_way = pay(&ada, "withdraw", &json!(1_000), "deposit once");
    assert_eq!(other_way.send().await.unwrap().status, 409);
    assert_eq!(ada.balance().await.unwrap(), 100_000);
    // An answer that came before is given again, though the balance has moved on.
    let again = pay(&ada, "deposit", &json!(1_000), "deposit once")
        .ok()
        .await;
    assert_eq!(again.unwrap(), json!({ "balance": 101_000 }));
    for wrong in ["x".repeat(129), String::new()] {
        let answer = pay(&ada, "deposit", &json!(1_000), &wrong)
            .send()
            .await
            .unwrap();
        names(&answer, 400, "Idempotency-Key");
    }
}

pub(crate) async fn a_key_belongs_to_its_user(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    for customer in [&ada, &bob] {
        let paid_in = pay(customer, "deposit", &json!(5), "mine")
            .ok()
            .await
            .unwrap();
        assert_eq!(paid_in, json!({ "balance": 100_005 }));
    }
}

pub(crate) async fn an_amount_that_is_none_is_400_and_moves_nothing(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    for amount in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1.0),
        json!(1e3),
        json!("5"),
        json!(""),
        json!(null),
        json!(true),
        json!([5]),
        json!({ "value": 5 }),
        json!(1_000_000_000_001_i64),
        json!(u64::MAX),
        json!(1e300),
    ] {
        for path in ["deposit", "withdraw"] {
            let answer = pay(&ada, path, &amount, "key").send().await.unwrap();
            names(&answer, 400, "amount");
        }
        let order = json!({ "to_username": bob.username, "amount": amount });
        let ask = ada.post("/api/transfer/transfer").key("key").json(&order);
        names(&ask.send().await.unwrap(), 400, "amount");
    }
    assert_eq!(ada.balance().await.unwrap(), 100_000);
    assert_eq!(bob.balance().await.unwrap(), 100_000);
    // The key was not used.
    ok(pay(&ada, "deposit", &json!(5), "key").send().await.unwrap());
}

pub(crate) async fn a_statement_lists_the_newest_first_by_pages(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    pay(&ada, "deposit", &json!(50), "in").ok().await.unwrap();
    pay(&ada, "withdraw", &json!(20), "out").ok().await.unwrap();
    ada.transfer(&bob, 30, "away").ok().await.unwrap();
    let statement = ada.get("/api/account/statement").ok().await.unwrap();
    let numbers = ["total", "page", "size", "pages"].map(|field| statement[field].as_u64());
    assert_eq!(numbers, [Some(4), Some(1), Some(20), Some(1)]);
    let entries = statement["items"].as_array().unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| {
            let fields = ["number", "amount", "balance"];
            let [number, amount, balance] = fields.map(|field| entry[field].as_i64().unwrap());
            assert!(entry["created_at"].as_str().unwrap().contains('T'));
            (number, entry["kind"].as_str().unwrap(), amount, balance)
        })
        .collect();
    let expected = [
        (4, "transfer", -30, 100_000),
        (3, "withdrawal", -20, 100_030),
        (2, "deposit", 50, 100_050),
        (1, "opening", 100_000, 100_000),
    ];
    assert_eq!(seen, expected);
    assert_eq!(entries[0]["counterparty"], json!(bob.account_number));
    assert_eq!(entries[0]["counterparty_username"], json!(bob.username));
    assert_eq!(entries[1]["counterparty"], json!(null));

    let bobs = bob.get("/api/account/statement").ok().await.unwrap();
    assert_eq!(bobs["items"][0]["amount"], json!(30));
    assert_eq!(
        bobs["items"][0]["counterparty_username"],
        json!(ada.username)
    );

    let mut numbers = HashSet::new();
    for page in 1..=2 {
        let path = format!("/api/account/statement?page={page}&size=3");
        let part = ada.get(&path).ok().await.unwrap();
        assert_eq!(
            (part["total"].as_u64(), part["pages"].as_u64()),
            (Some(4), Some(2))
        );
        let items = part["items"].as_array().unwrap().iter();
        numbers.extend(items.map(|entry| entry["number"].as_i64().unwrap()));
    }
    assert_eq!(numbers, HashSet::from([1, 2, 3, 4]));
    for wrong in ["page=0", "page=x", "size=-1", "size=1.5"] {
        let field = wrong.split('=').next().unwrap();
        let ask = ada.get(&format!("/api/account/statement?{wrong}"));
        names(&ask.send().await.unwrap(), 400, field);
    }
}
