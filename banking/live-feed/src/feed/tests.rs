//! Over Redis.

use super::*;
use crate::{
    testing::{Client, HOUR, SOON, feed, identity, notification, serve},
    ws::SocketLimits,
};
use axum::extract::ws::close_code::RESTART;
use chassis::Identity;
use contracts::UserId;
use redis::AsyncCommands as _;
use replybus_testkit::{
    live::{self, require_or_skip, unique},
    redis::connect,
    servers::{Persistence, PrivateRedis},
};
use std::net::SocketAddr;

/// Two processes: one has sockets, the other stores.
struct Bank {
    identity: Identity,
    sockets: Feed,
    address: SocketAddr,
    stores: Feed,
}

impl Bank {
    async fn on(redis: &str, namespace: &str) -> Self {
        let identity = identity();
        let sockets = feed(Some(redis), namespace).await;
        let address = serve(&identity, &sockets, SocketLimits::default()).await;
        Self {
            identity,
            sockets,
            address,
            stores: feed(Some(redis), namespace).await,
        }
    }

    async fn login(&self, user: UserId) -> String {
        let begun = self.identity.begin_session(user, "ada", HOUR).await;
        begun.unwrap()
    }
}

#[tokio::test]
async fn what_another_process_stores_arrives_once() {
    let Some(redis) = live::redis().await else {
        return;
    };
    let bank = Bank::on(&redis, &unique("feed")).await;
    let elsewhere = Bank::on(&redis, &unique("feed")).await;
    let (ada, bob) = (UserId::new(), UserId::new());
    let mut of_ada = Client::connect(bank.address, &bank.login(ada).await).await;
    let mut again = Client::connect(bank.address, &bank.login(ada).await).await;
    let mut of_bob = Client::connect(bank.address, &bank.login(bob).await).await;

    elsewhere
        .stores
        .publish(&[notification(ada, "another bank's")])
        .await;
    bank.stores
        .publish(&[notification(ada, "for ada"), notification(bob, "for bob")])
        .await;
    bank.sockets
        .publish(&[notification(ada, "stored here")])
        .await;
    for client in [&mut of_ada, &mut again] {
        assert_eq!(client.message().await.unwrap()["message"], "for ada");
        assert_eq!(client.message().await.unwrap()["message"], "stored here");
    }
    assert_eq!(of_bob.message().await.unwrap()["message"], "for bob");
}

#[tokio::test]
async fn what_is_no_notification_is_passed_over() {
    let Some(redis) = live::redis().await else {
        return;
    };
    let namespace = unique("feed");
    let bank = Bank::on(&redis, &namespace).await;
    let ada = UserId::new();
    let mut client = Client::connect(bank.address, &bank.login(ada).await).await;
    let mut server = connect(&redis).await.unwrap();
    let channel = format!("{namespace}.bank:notifications");
    for strange in ["", "{}", "null"] {
        let heard: i64 = server.publish(&channel, strange).await.unwrap();
        assert_eq!(heard, 1, "one subscription of the process with sockets");
    }
    bank.stores.publish(&[notification(ada, "after it")]).await;
    assert_eq!(client.message().await.unwrap()["message"], "after it");
}

/// Connects and shows something, until it arrives.
async fn live_again(bank: &Bank, user: UserId) {
    let session = bank.login(user).await;
    let shown = async {
        loop {
            let mut client = Client::connect(bank.address, &session).await;
            bank.stores
                .publish(&[notification(user, "live again")])
                .await;
            // Publishing may have failed while Redis was not back yet.
            let message = timeout(Duration::from_secs(1), client.message()).await;
            if let Ok(Some(message)) = message {
                return message;
            }
        }
    };
    let message = timeout(SOON, shown).await.unwrap();
    assert_eq!(message["message"], "live again");
}

#[tokio::test]
async fn a_redis_that_restarts_closes_sockets_and_is_heard_again() {
    let Some(mut redis) = require_or_skip(PrivateRedis::start(Persistence::None).await) else {
        return;
    };
    let bank = Bank::on(&redis.url(), "").await;
    let ada = UserId::new();
    let session = bank.login(ada).await;
    let mut clients = [
        Client::connect(bank.address, &session).await,
        Client::connect(bank.address, &session).await,
    ];
    redis.restart().await.unwrap();
    for client in &mut clients {
        assert_eq!(client.closed().await, Some(RESTART));
    }
    live_again(&bank, ada).await;
}

#[tokio::test]
async fn a_redis_that_hangs_closes_sockets_and_is_heard_again() {
    let Some(redis) = require_or_skip(PrivateRedis::start(Persistence::None).await) else {
        return;
    };
    let bank = Bank::on(&redis.url(), "").await;
    let ada = UserId::new();
    let mut client = Client::connect(bank.address, &bank.login(ada).await).await;
    redis.freeze();
    assert_eq!(client.closed().await, Some(RESTART));
    // It does not hold up whoever stores, nor is it an error to them.
    let lost = [notification(ada, "not shown")];
    let published = timeout(SOON, bank.stores.publish(&lost)).await;
    assert_eq!(published, Ok(()));
    redis.thaw();
    live_again(&bank, ada).await;
}

#[tokio::test]
async fn a_connection_that_was_dropped_while_idle_costs_no_message() {
    let Some(redis) = require_or_skip(PrivateRedis::start(Persistence::None).await) else {
        return;
    };
    let bank = Bank::on(&redis.url(), "").await;
    let ada = UserId::new();
    let mut client = Client::connect(bank.address, &bank.login(ada).await).await;
    bank.stores.publish(&[notification(ada, "before")]).await;
    assert_eq!(client.message().await.unwrap()["message"], "before");
    // Those that publish; the subscription lives.
    let killed = redis.cli(&["client", "kill", "type", "normal"]).await;
    assert!(killed.is_ok());
    bank.stores.publish(&[notification(ada, "after")]).await;
    assert_eq!(client.message().await.unwrap()["message"], "after");
}
