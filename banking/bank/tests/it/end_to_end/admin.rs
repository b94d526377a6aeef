//! `/api/account/admin`.

use super::expect::{customer, names, ok, refused};
use serde_json::{Value, json};
use town::{ADMIN_SECRET, Answer, Bank, Request, wait::eventually};

const PATHS: [&str; 5] = ["stats", "users", "users/0", "transfers", "notifications"];

fn ask(bank: &Bank, path: &str) -> Request {
    let path = format!("/api/account/admin/{path}");
    bank.client().get(&path)
}

async fn admin(bank: &Bank, path: &str) -> Answer {
    let ask = ask(bank, path).header("X-Admin-Secret", ADMIN_SECRET);
    ask.send().await.unwrap()
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap()
}

pub(crate) async fn nothing_is_told_without_the_secret(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    for path in PATHS {
        let longer = format!("{ADMIN_SECRET}x");
        for secret in ["", "wrong secret", &longer] {
            let ask = ask(bank, path).header("X-Admin-Secret", secret);
            refused(&ask.send().await.unwrap(), 403, "Forbidden");
        }
        refused(&ask(bank, path).send().await.unwrap(), 403, "Forbidden");
        let as_user = ask(bank, path).session(&ada.session).send().await.unwrap();
        refused(&as_user, 403, "Forbidden");
        // It makes up for the wrong ones, which would put the next off.
        ok(admin(bank, "stats").await);
    }
}

pub(crate) async fn totals_count_everything(bank: &Bank) {
    const FIELDS: [&str; 5] = [
        "total_users",
        "total_balance",
        "total_transfers",
        "total_transfer_amount",
        "total_notifications",
    ];
    let totals = async || {
        let stats = ok(admin(bank, "stats").await);
        assert_eq!(stats.as_object().unwrap().len(), FIELDS.len());
        FIELDS.map(|field| stats[field].as_i64().unwrap())
    };
    // Of what tests before this one did, some may still be told of.
    let before = totals().await;
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    ada.transfer(&bob, 250, "key").ok().await.unwrap();
    let deposit = ada
        .post("/api/account/deposit")
        .json(&json!({ "amount": 30 }));
    deposit.ok().await.unwrap();
    eventually("the totals have grown", async || {
        let after = totals().await;
        let grown: Vec<_> = after
            .iter()
            .zip(before)
            .map(|(after, before)| after - before)
            .collect();
        let told = grown[4] >= 3;
        (grown[..4] == [2, 200_030, 1, 250] && told).then_some(())
    })
    .await;
    // Of the transfer both are told, of the deposit one.
    for (customer, count) in [(&ada, 2), (&bob, 1)] {
        let path = format!("notifications?size=1&user_id={}", customer.id);
        eventually("each is told of their own", async || {
            let page = ok(admin(bank, &path).await);
            (page["total"] == json!(count)).then_some(())
        })
        .await;
    }
}

pub(crate) async fn users_are_found_by_name_and_number(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    for search in [
        &ada.username,
        &ada.username.to_uppercase(),
        &ada.account_number,
    ] {
        let found = ok(admin(bank, &format!("users?search={search}")).await);
        assert_eq!(
            (&found["total"], &found["page"], &found["pages"]),
            (&json!(1), &json!(1), &json!(1))
        );
        let [user] = items(&found).as_slice() else {
            panic!("{found}");
        };
        assert_eq!(user["id"], json!(ada.id));
        assert_eq!(user["balance"], json!(100_000));
    }
    for search in ["nobody-has-this-name", "%25", "_____", "%00"] {
        let found = ok(admin(bank, &format!("users?search={search}")).await);
        assert_eq!(found["total"], json!(0), "{search}");
    }
    let page = ok(admin(bank, "users?page=1&size=1").await);
    assert_eq!(items(&page).len(), 1);
    assert_eq!(page["pages"], page["total"]);
    names(&admin(bank, "users?page=zero").await, 400, "page");
}

pub(crate) async fn a_user_is_found_by_id(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let user = ok(admin(bank, &format!("users/{}", ada.id)).await);
    for (field, expected) in [
        ("id", &ada.id),
        ("username", &ada.username),
        ("account_number", &ada.account_number),
    ] {
        assert_eq!(user[field], json!(expected));
    }
    let unknown = admin(bank, "users/00000000-0000-7000-8000-000000000000").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    names(&admin(bank, "users/ada").await, 400, "id");
}

pub(crate) async fn transfers_are_listed_for_all_and_for_one(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let eve = customer(bank, "eve").await;
    ada.transfer(&bob, 1, "first").ok().await.unwrap();
    bob.transfer(&eve, 2, "second").ok().await.unwrap();
    let amounts = async |query: &str| {
        let page = ok(admin(bank, &format!("transfers?{query}")).await);
        let amounts: Vec<_> = items(&page)
            .iter()
            .map(|one| one["amount"].as_i64().unwrap())
            .collect();
        amounts
    };
    assert_eq!(amounts(&format!("user_id={}", ada.id)).await, [1]);
    assert_eq!(amounts(&format!("user_id={}", bob.id)).await, [2, 1]);
    assert_eq!(amounts(&format!("search={}", eve.username)).await, [2]);
    assert_eq!(
        amounts(&format!("search={}", bob.account_number)).await,
        [2, 1]
    );
    let both = format!("user_id={}&search={}", ada.id, eve.username);
    assert!(amounts(&both).await.is_empty());
    assert_eq!(amounts("size=2").await, [2, 1]);
    let page = ok(admin(bank, &format!("transfers?user_id={}", ada.id)).await);
    for (field, expected) in [
        ("from", &ada.username),
        ("to", &bob.username),
        ("from_account_number", &ada.account_number),
        ("to_account_number", &bob.account_number),
        ("status", &"completed".to_owned()),
    ] {
        assert_eq!(items(&page)[0][field], json!(expected));
    }
    names(&admin(bank, "transfers?user_id=ada").await, 400, "user_id");
}

pub(crate) async fn notifications_are_listed_for_all_and_for_one(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    ada.transfer(&bob, 1_234, "key").ok().await.unwrap();
    let path = format!("notifications?user_id={}", bob.id);
    let page = eventually("bob is told", async || {
        let page = ok(admin(bank, &path).await);
        (page["total"] == json!(1)).then_some(page)
    })
    .await;
    let one = &items(&page)[0];
    let message = format!("You received 12.34 from {}", ada.username);
    assert_eq!(
        (&one["user_id"], &one["message"]),
        (&json!(bob.id), &json!(message))
    );
    let newest = ok(admin(bank, "notifications?size=1").await);
    assert_eq!(items(&newest).len(), 1);
    assert!(newest["total"].as_i64().unwrap() >= 2);
}
