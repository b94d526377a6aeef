//! `/api/auth`.

use super::expect::{customer, names, ok, refused};
use serde_json::{Value, json};
use town::{Answer, Bank, PASSWORD};
use uuid::Uuid;

fn new_name() -> String {
    let unique = Uuid::new_v4().simple().to_string();
    format!("Ada.{}", &unique[..12])
}

/// Digits that no other test has.
fn new_phone() -> String {
    let number = Uuid::new_v4().as_u128() % 10_u128.pow(11);
    format!("49{number:011}")
}

async fn post(bank: &Bank, path: &str, body: Value) -> Answer {
    bank.client().post(path).json(&body).send().await.unwrap()
}

async fn register(bank: &Bank, body: Value) -> Answer {
    post(bank, "/api/auth/register", body).await
}

async fn login(bank: &Bank, body: Value) -> Answer {
    post(bank, "/api/auth/login", body).await
}

pub(crate) async fn a_registration_answers_with_the_new_account(bank: &Bank) {
    let (name, phone) = (new_name(), new_phone());
    let body = json!({ "username": name, "password": PASSWORD, "phone": phone });
    let registered = ok(register(bank, body).await);
    assert!(Uuid::parse_str(registered["id"].as_str().unwrap()).is_ok());
    let masked = format!("49*********{}", &phone[11..]);
    assert_eq!(registered["phone"], json!(masked));
    assert_eq!(registered["username"], json!(name));
    let number = registered["account_number"].as_str().unwrap();
    assert!(number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(registered["balance"], json!(100_000));
    assert_eq!(registered.as_object().unwrap().len(), 5);

    let body = json!({ "username": new_name(), "password": PASSWORD });
    let without_phone = ok(register(bank, body).await);
    assert_eq!(without_phone["phone"], json!(null));
}

pub(crate) async fn a_name_or_phone_that_is_taken_is_409(bank: &Bank) {
    let (name, phone) = (new_name(), new_phone());
    let body = json!({ "username": name, "password": PASSWORD, "phone": phone });
    ok(register(bank, body.clone()).await);
    // Who registered a minute ago gets no second account either.
    refused(&register(bank, body).await, 409, "Username already taken");
    let other_case = json!({ "username": name.to_uppercase(), "password": "another password" });
    refused(
        &register(bank, other_case).await,
        409,
        "Username already taken",
    );
    let same_phone = json!({ "username": new_name(), "password": PASSWORD, "phone": phone });
    refused(
        &register(bank, same_phone).await,
        409,
        "Phone already registered",
    );
}

pub(crate) async fn a_registration_with_a_wrong_field_is_400_and_names_it(bank: &Bank) {
    let good = json!({ "username": new_name(), "password": PASSWORD, "phone": new_phone() });
    for (field, wrong) in [
        ("username", json!("ab")),
        ("username", json!("a".repeat(33))),
        ("username", json!("with space")),
        ("username", json!("<script>")),
        ("username", json!(7)),
        ("username", json!(null)),
        ("password", json!("short")),
        ("password", json!("a".repeat(129))),
        ("password", json!(["secret"])),
        ("password", json!(null)),
        ("phone", json!("123")),
        ("phone", json!("+4915112345678")),
        ("phone", json!(4_915_112_345_678_i64)),
    ] {
        let mut body = good.clone();
        body[field] = wrong;
        names(&register(bank, body).await, 400, field);
    }
    // None of them reserved the name.
    ok(register(bank, good).await);
}

pub(crate) async fn a_login_by_name_or_phone_begins_a_session(bank: &Bank) {
    let (name, phone) = (new_name(), new_phone());
    let body = json!({ "username": name, "password": PASSWORD, "phone": phone });
    let registered = ok(register(bank, body).await);
    for who in [
        json!({ "username": name, "password": PASSWORD }),
        json!({ "username": name.to_lowercase(), "password": PASSWORD }),
        json!({ "phone": phone, "password": PASSWORD }),
    ] {
        let session = ok(login(bank, who).await);
        for field in ["username", "phone", "account_number", "balance"] {
            assert_eq!(session[field], registered[field]);
        }
        assert_eq!(session.as_object().unwrap().len(), 5);
        let token = session["session"].as_str().unwrap();
        // Good at every gateway.
        for client in bank.clients() {
            let me = client.get("/api/account/me").session(token).ok().await;
            assert_eq!(me.unwrap(), registered);
        }
    }
}

pub(crate) async fn wrong_credentials_are_all_the_same_401(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    for who in [
        json!({ "username": ada.username, "password": "not the password" }),
        json!({ "username": new_name(), "password": PASSWORD }),
        json!({ "phone": new_phone(), "password": PASSWORD }),
    ] {
        refused(&login(bank, who).await, 401, "Invalid credentials");
    }
    names(
        &login(bank, json!({ "username": ada.username })).await,
        400,
        "password",
    );
    names(
        &login(bank, json!({ "password": PASSWORD })).await,
        400,
        "username",
    );
    let wrong_type = json!({ "username": { "$ne": null }, "password": PASSWORD });
    names(&login(bank, wrong_type).await, 400, "username");
}

pub(crate) async fn a_logout_ends_the_session_everywhere_and_no_other(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let who = json!({ "username": ada.username, "password": PASSWORD });
    let other = ok(login(bank, who).await);
    let other = other["session"].as_str().unwrap();

    ok(ada.post("/api/auth/logout").send().await.unwrap());
    for client in bank.clients() {
        let ada = ada.at(client);
        for path in [
            "/api/account/me",
            "/api/account/balance",
            "/api/account/statement",
            "/api/transfer/transactions",
            "/api/notifications/notifications",
            "/api/dashboard",
        ] {
            let answer = ada.get(path).send().await.unwrap();
            refused(&answer, 401, "Not authenticated");
        }
        let again = ada.post("/api/auth/logout").send().await.unwrap();
        refused(&again, 401, "Not authenticated");
        let me = client.get("/api/account/me").session(other).ok().await;
        assert_eq!(me.unwrap()["username"], json!(ada.username));
    }
}
