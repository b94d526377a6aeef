//! `/api/notifications` and `/ws`.

use super::expect::{customer, names, ok};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};
use town::{
    Bank, Client, Customer,
    wait::{eventually, soon},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn list(customer: &Customer) -> Vec<Value> {
    let list = customer.get("/api/notifications/notifications").ok().await;
    list.unwrap().as_array().unwrap().clone()
}

/// Waits until a customer has so many notifications.
async fn told(customer: &Customer, count: usize) -> Vec<Value> {
    eventually("a notification is stored", async || {
        let list = list(customer).await;
        assert!(list.len() <= count, "{list:?}");
        (list.len() == count).then_some(list)
    })
    .await
}

async fn connect(client: &Client, query: &str) -> Socket {
    let url = client.url().as_str().replacen("http", "ws", 1);
    let connected = connect_async(format!("{url}ws{query}")).await;
    connected.unwrap().0
}

/// What comes next over a socket, but for its signs of life.
async fn next(socket: &mut Socket) -> Message {
    loop {
        let message = soon("a message over the socket", socket.next()).await;
        match message.unwrap().unwrap() {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

async fn closed_with_1008(mut socket: Socket) {
    match next(&mut socket).await {
        Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::Policy),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn both_sides_are_told_once(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    assert!(list(&ada).await.is_empty());
    for amount in [1_500, 7] {
        let key = format!("transfer of {amount}");
        ada.transfer(&bob, amount, &key).ok().await.unwrap();
        // Asked again, nobody is told again.
        ada.transfer(&bob, amount, &key).ok().await.unwrap();
    }
    let rejected = ada
        .transfer(&bob, 900_000, "too much")
        .send()
        .await
        .unwrap();
    assert_eq!(rejected.status, 400);
    let (adas, bobs) = (told(&ada, 2).await, told(&bob, 2).await);
    let messages = |list: &[Value]| {
        let mut messages: Vec<_> = list.iter().map(|one| one["message"].clone()).collect();
        messages.sort_by_key(ToString::to_string);
        messages
    };
    let (to, from) = (&bob.username, &ada.username);
    let sent = [
        format!("You sent 0.07 to {to}"),
        format!("You sent 15.00 to {to}"),
    ];
    assert_eq!(messages(&adas), sent.map(Value::from));
    let received = [
        format!("You received 0.07 from {from}"),
        format!("You received 15.00 from {from}"),
    ];
    assert_eq!(messages(&bobs), received.map(Value::from));
    let moments: Vec<_> = bobs
        .iter()
        .map(|one| one["created_at"].as_str().unwrap())
        .collect();
    assert!(
        moments[0] >= moments[1],
        "the newest is not the first: {moments:?}"
    );
    for one in adas.iter().chain(&bobs) {
        assert_eq!(one["is_read"], json!(false));
        assert_eq!(one.as_object().unwrap().len(), 4);
    }
}

pub(crate) async fn a_deposit_and_a_withdrawal_are_told_once_and_live(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let mut sockets = Vec::new();
    for client in bank.clients() {
        let query = format!("?session={}", ada.session);
        sockets.push(connect(client, &query).await);
    }
    // All that is known by other names is known by these as well.
    let pay = async |kind: &str, amount: i64| {
        let body = json!({ "type": kind, "amount": amount });
        let ask = || {
            let ask = ada.post("/api/transactions").json(&body);
            ask.header("Idempotency-Key", kind).ok()
        };
        let (first, again) = (ask().await.unwrap(), ask().await.unwrap());
        assert_eq!(first, again);
        first
    };
    assert_eq!(pay("withdraw", 30_000).await, json!({ "balance": 70_000 }));
    let paid_out = "Withdrawal of 300.00 completed. New balance: 700.00";
    assert_eq!(told(&ada, 1).await[0]["message"], paid_out);
    assert_eq!(pay("deposit", 20_000).await, json!({ "balance": 90_000 }));
    let paid_in = "Deposit of 200.00 completed. New balance: 900.00";
    let list = told(&ada, 2).await;
    assert_eq!(list[0]["message"], paid_in);
    for socket in &mut sockets {
        for expected in [paid_out, paid_in] {
            let Message::Text(text) = next(socket).await else {
                panic!("a notification was to come");
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(message["type"], "notification");
            assert_eq!(message["message"], expected);
        }
    }
    let short = ada.get("/api/notifications").ok().await.unwrap();
    assert_eq!(short.as_array().unwrap(), &list);
    let entries = ada.get("/api/transactions?size=2").ok().await.unwrap();
    let statement = ada.get("/api/account/statement?size=2").ok().await.unwrap();
    assert_eq!(entries, statement);
    assert_eq!(entries["items"][0]["kind"], "deposit");
    // A rejection moves nothing, and is nothing to tell.
    let body = json!({ "type": "withdraw", "amount": 900_000 });
    let rejected = ada.post("/api/transactions").json(&body).send().await;
    assert_eq!(rejected.unwrap().status, 400);
    for (body, field) in [
        (json!({ "type": "gift", "amount": 1 }), "type"),
        (json!({ "amount": 1 }), "type"),
        (json!({ "type": "deposit", "amount": "1" }), "amount"),
    ] {
        let answer = ada.post("/api/transactions").json(&body).send().await;
        names(&answer.unwrap(), 400, field);
    }
    told(&ada, 2).await;
}

pub(crate) async fn what_was_read_is_marked(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    for key in ["first", "second", "third"] {
        ada.transfer(&bob, 5, key).ok().await.unwrap();
    }
    let bobs = told(&bob, 3).await;
    let mark = async |customer: &Customer, body: Value| {
        let ask = customer.post("/api/notifications/read").json(&body);
        ask.send().await.unwrap()
    };
    let one = json!({ "ids": [bobs[0]["id"]] });
    // Another's are left alone.
    assert_eq!(ok(mark(&ada, one.clone()).await), json!({ "marked": 0 }));
    for marked in [1, 0] {
        assert_eq!(
            ok(mark(&bob, one.clone()).await),
            json!({ "marked": marked })
        );
    }
    let read = |list: Vec<Value>| -> Vec<_> {
        list.iter()
            .map(|one| one["is_read"].as_bool().unwrap())
            .collect()
    };
    assert_eq!(read(list(&bob).await), [true, false, false]);
    assert_eq!(ok(mark(&bob, json!({})).await), json!({ "marked": 2 }));
    assert_eq!(read(list(&bob).await), [true; 3]);
    assert_eq!(read(told(&ada, 3).await), [false; 3]);
    names(&mark(&bob, json!({ "ids": "all" })).await, 400, "ids");
}

pub(crate) async fn a_notification_arrives_live_at_every_gateway(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let mut sockets = Vec::new();
    for client in bank.clients() {
        for customer in [&ada, &bob] {
            let query = format!("?session={}", customer.session);
            sockets.push((customer, connect(client, &query).await));
        }
    }
    for amount in [11, 12] {
        ada.transfer(&bob, amount, &amount.to_string())
            .ok()
            .await
            .unwrap();
        for (customer, socket) in &mut sockets {
            let message = if customer.id == ada.id {
                format!("You sent 0.{amount} to {}", bob.username)
            } else {
                format!("You received 0.{amount} from {}", ada.username)
            };
            let arrived = next(socket).await.into_text().unwrap();
            let arrived: Value = serde_json::from_str(&arrived).unwrap();
            assert_eq!(arrived["type"], json!("notification"));
            assert_eq!(arrived["message"], json!(message));
        }
    }
    for (_, mut socket) in sockets {
        socket.close(None).await.unwrap();
    }
}

pub(crate) async fn nobody_hears_what_is_not_for_them(bank: &Bank) {
    let (ada, bob) = (customer(bank, "ada").await, customer(bank, "bob").await);
    let eve = customer(bank, "eve").await;
    let query = format!("?session={}", eve.session);
    let mut eves = connect(bank.client(), &query).await;
    ada.transfer(&bob, 5, "a secret").ok().await.unwrap();
    told(&bob, 1).await;
    ada.transfer(&eve, 6, "for eve").ok().await.unwrap();
    // The first that she hears is her own.
    let heard = next(&mut eves).await.into_text().unwrap();
    assert!(heard.contains("You received 0.06 from"), "{heard}");
    assert_eq!(told(&eve, 1).await.len(), 1);
    eves.send(Message::Close(None)).await.unwrap();
}

pub(crate) async fn a_socket_without_a_good_session_closes_with_1008(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let forged = format!("?session={}x", ada.session);
    for query in ["", "?session=", "?session=a.b.c", &forged] {
        closed_with_1008(connect(bank.client(), query).await).await;
    }
    let answer = bank.client().get("/ws").send().await.unwrap();
    assert!((400..500).contains(&answer.status), "{}", answer.text);
    assert!(!answer.detail().is_empty());
}

pub(crate) async fn a_socket_closes_with_1008_when_its_session_ends(bank: &Bank) {
    let ada = customer(bank, "ada").await;
    let query = format!("?session={}", ada.session);
    let socket = connect(bank.client(), &query).await;
    ok(ada.post("/api/auth/logout").send().await.unwrap());
    closed_with_1008(socket).await;
    closed_with_1008(connect(bank.client(), &query).await).await;
}
