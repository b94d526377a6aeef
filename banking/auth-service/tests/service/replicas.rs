//! Two replicas of the service, which share a database and Redis.

use crate::{
    secrecy,
    world::{HOUR, World, by_name, refused},
};
use chassis::{
    keys::Keys,
    settings::{PlatformSettings, Secret},
};
use contracts::auth::AuthError;
use replybus_testkit::{
    live,
    wait::{bounded, eventually},
};
use std::future::IntoFuture as _;
use tokio::task::JoinSet;
use town::database::on_postgres;
use uuid::Uuid;

/// Runs a test on two replicas, if there are servers.
async fn on_two(test: impl AsyncFn(&World, &World)) {
    let Some(redis) = live::redis().await else {
        return;
    };
    secrecy::listen();
    let keys = std::env::temp_dir().join(format!("keys-{}", Uuid::new_v4()));
    Keys::write_new(&keys).unwrap();
    on_postgres(async |url| {
        let mut settings = PlatformSettings::with_database(url);
        settings.redis_url = Some(Secret::new(redis.clone()));
        settings.keys_dir = Some(keys.clone());
        settings.namespace = live::unique("auth");
        let one = World::of(settings.clone(), HOUR).await;
        let other = World::of(settings, HOUR).await;
        test(&one, &other).await;
        one.end().await;
        other.end().await;
    })
    .await;
    std::fs::remove_dir_all(&keys).unwrap();
}

#[tokio::test]
async fn a_wrong_password_at_one_counts_at_the_other() {
    on_two(async |one, other| {
        one.register("ada", "ada's").await.unwrap();
        for name in ["ada", "nobody"] {
            let mut logins = JoinSet::new();
            for guess in 0..50 {
                for world in [one, other] {
                    let login = world.auth().login(by_name(name, &format!("guess {guess}")));
                    logins.spawn(login.into_future());
                }
            }
            let told = bounded(logins.join_all()).await;
            let told = told.into_iter().map(refused);
            let looked_at = told.filter(|error| *error == AuthError::InvalidCredentials);
            let looked_at = looked_at.count();
            // One more at the end of each pause, should hashing take so long.
            assert!((5..10).contains(&looked_at), "{looked_at} of {name}");
        }
        // The right one, when her pause is over, makes up for them at both.
        eventually("ada gets in", async || {
            one.login("ada", "ada's").await.is_ok()
        })
        .await;
        for _ in 0..4 {
            let wrong = other.login("ada", "a guess").await;
            assert_eq!(refused(wrong), AuthError::InvalidCredentials);
        }
        one.login("ada", "ada's").await.unwrap();
        other.login("ada", "ada's").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn strangers_at_one_brake_each_other_at_both_and_lock_nobody_out() {
    on_two(async |one, other| {
        one.register("ada", "ada's").await.unwrap();
        let from = async |world: &World, client: &str, password: &str| {
            let login = world.auth().login(by_name("ada", password));
            login.metadata("client", client).await
        };
        // Until a stranger who was wrong once is stopped: by the brake, for five are free.
        let mut stranger = 0;
        let braked = async || {
            stranger += 1;
            let client = format!("192.0.2.{stranger}");
            for world in [one, other] {
                match refused(from(world, &client, "a guess").await) {
                    AuthError::InvalidCredentials => {}
                    AuthError::TooManyGuesses { .. } => return true,
                    other => panic!("{other:?}"),
                }
            }
            false
        };
        until_true(braked).await;
        for world in [one, other] {
            from(world, "198.51.100.1", "ada's").await.unwrap();
        }
    })
    .await;
}

/// Strangers are as many as it takes, and no more than addresses.
async fn until_true(mut look: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if bounded(look()).await {
            return;
        }
    }
    panic!("200 strangers were not braked");
}
