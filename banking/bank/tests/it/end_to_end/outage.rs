//! A service is stopped, and started again without any other.

use super::{
    expect::{customer, ok},
    live_bank,
};
use serde_json::{Value, json};
use town::{Answer, Bank, Client, Customer, PASSWORD, Service, wait::eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_service_is_missed_by_those_who_need_it_and_comes_back() {
    let Some(bank) = live_bank().await else {
        return;
    };
    bank.lent_to(async |bank: &Bank| {
        for service in [Service::Auth, Service::Notification] {
            others_go_on_without(bank, service).await;
        }
        transfers_wait_for_their_service(bank).await;
        a_transfer_outlives_the_ledgers_absence(bank).await;
        what_was_done_meanwhile_is_told_later(bank).await;
        one_gateway_is_enough(bank).await;
    })
    .await
    .unwrap();
}

/// Asserts that nobody is there, and that the answer says when to come back.
#[track_caller]
fn missed(answer: &Answer) {
    assert!(
        matches!(answer.status, 503 | 504),
        "{}: {}",
        answer.status,
        answer.text
    );
    assert!(!answer.detail().is_empty());
    assert_eq!(
        answer.status == 503,
        !answer.header("retry-after").is_empty()
    );
}

/// Kills a service; returns when its health says so.
async fn down(bank: &Bank, service: Service) {
    bank.kill_all(service);
    let answer = bank.client().get(service.health()).send().await.unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text);
    missed(&answer);
}

/// Starts it again; returns when all say that they are up.
async fn up(bank: &Bank, service: Service) {
    bank.start_all(service).unwrap();
    bank.ready().await.unwrap();
}

async fn others_go_on_without(bank: &Bank, service: Service) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    down(bank, service).await;
    for other in Service::ALL.into_iter().filter(|other| *other != service) {
        bank.client().get(other.health()).ok().await.unwrap();
    }
    let missing = match service {
        Service::Auth => {
            let who = json!({ "username": ada.username, "password": PASSWORD });
            bank.client().post("/api/auth/login").json(&who)
        }
        _ => ada.get("/api/notifications/notifications"),
    };
    missed(&missing.send().await.unwrap());
    // Sessions go on, and so does money.
    ada.transfer(&bob, 5, "meanwhile").ok().await.unwrap();
    assert_eq!(ada.balance().await.unwrap(), 99_995);
    let dashboard = ok(ada.get("/api/dashboard").send().await.unwrap());
    assert_eq!(dashboard["account"]["balance"], json!(99_995));
    let told = &dashboard["notifications"];
    let is_marked = told["error"]
        .as_str()
        .is_some_and(|error| !error.is_empty());
    assert_eq!(is_marked, service == Service::Notification, "{told}");
    up(bank, service).await;
    customer(bank, "eve").await;
    ada.get("/api/notifications/notifications")
        .ok()
        .await
        .unwrap();
}

async fn transfers_wait_for_their_service(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    down(bank, Service::Transfer).await;
    missed(&ada.transfer(&bob, 70, "key").send().await.unwrap());
    assert_eq!(ada.balance().await.unwrap(), 100_000);
    up(bank, Service::Transfer).await;
    ada.transfer(&bob, 70, "key").ok().await.unwrap();
    assert_eq!(ada.balance().await.unwrap(), 99_930);
}

async fn a_transfer_outlives_the_ledgers_absence(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    down(bank, Service::Account).await;
    missed(&ada.get("/api/account/balance").send().await.unwrap());
    missed(&ada.transfer(&bob, 80, "key").send().await.unwrap());
    let dashboard = ok(ada.get("/api/dashboard").send().await.unwrap());
    assert!(dashboard["account"]["error"].is_string(), "{dashboard}");
    assert!(dashboard["transactions"]["items"].is_array(), "{dashboard}");
    up(bank, Service::Account).await;
    assert_eq!(ada.balance().await.unwrap(), 100_000);
    ada.transfer(&bob, 80, "key").ok().await.unwrap();
    assert_eq!(ada.balance().await.unwrap(), 99_920);
    assert_eq!(bob.balance().await.unwrap(), 100_080);
}

async fn what_was_done_meanwhile_is_told_later(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    down(bank, Service::Notification).await;
    for key in ["first", "second", "third"] {
        ada.transfer(&bob, 5, key).ok().await.unwrap();
    }
    up(bank, Service::Notification).await;
    for customer in [&ada, &bob] {
        eventually("all that was missed is told", async || {
            let list = customer.get("/api/notifications/notifications").ok().await;
            let told = list.unwrap().as_array().map(Vec::len);
            assert!(told <= Some(3));
            (told == Some(3)).then_some(())
        })
        .await;
    }
}

async fn one_gateway_is_enough(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let gateways = bank.replicas_of(Service::Gateway);
    for (gateway, client) in gateways.into_iter().zip(bank.clients()) {
        bank.kill(gateway);
        assert!(ada.at(client).balance().await.is_err());
        let others = bank
            .clients()
            .iter()
            .filter(|other| other.url() != client.url());
        for other in others {
            assert_eq!(ada.at(other).balance().await.unwrap(), 100_000);
        }
        bank.start(gateway).unwrap();
        came_back(&ada, client).await;
    }
}

async fn came_back(ada: &Customer, client: &Client) {
    let balance: Value = eventually("the gateway is back", async || {
        ada.at(client).get("/api/account/balance").ok().await.ok()
    })
    .await;
    assert_eq!(balance, json!({ "balance": 100_000 }));
}
