//! Passwords and sessions.

use crate::{
    secrecy::MARK,
    world::{World, applicant, by_name, by_phone, on_both, refused, with_sessions_of},
};
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use contracts::{
    Refused,
    auth::{AuthError, Login, LoginName, Password},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::task::JoinSet;

/// Between two looks at what is waited for.
const ASK_AGAIN: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_answered_the_same() {
    on_both(async |world| {
        world
            .register_with_phone("ada", "ada's", "4915112345678")
            .await
            .unwrap();
        let login = async |who: LoginName, password: &str| {
            let password = Password::clear(password.to_owned());
            refused(world.auth().login(Login { who, password }).await)
        };
        let name = |name: &str| LoginName::Username(name.to_owned());
        let phone = |phone: &str| LoginName::Phone(phone.to_owned());
        let long = "x".repeat(10_000);
        for (who, password) in [
            (name("ada"), "wrong"),
            (phone("4915112345678"), "wrong"),
            (name("nobody"), "ada's"),
            (name(""), ""),
            (name("ada\0"), "ada's"),
            (name("ada' OR '1'='1"), "ada's"),
            (name("%"), "ada's"),
            (name("4915112345678"), "ada's"),
            (phone("ada"), "ada's"),
            (phone("0000000"), "ada's"),
            (name("bob"), &long),
            (name(&long), "ada's"),
        ] {
            let error = login(who, password).await;
            assert_eq!(error, AuthError::InvalidCredentials);
        }
        assert_eq!(
            AuthError::InvalidCredentials.to_string(),
            "Invalid credentials"
        );
    })
    .await;
}

#[tokio::test]
async fn who_guesses_is_slowed_down_whether_or_not_the_user_exists() {
    on_both(async |world| {
        let phone = "4915112345678";
        world
            .register_with_phone("ada", "ada's", phone)
            .await
            .unwrap();
        world.register("bob", "bob's").await.unwrap();
        for name in ["ada", "nobody"] {
            let mut guesses = 0;
            let slowed = loop {
                match refused(world.login(name, "a guess").await) {
                    AuthError::InvalidCredentials if guesses < 50 => guesses += 1,
                    other => break other,
                }
            };
            assert_eq!(slowed, AuthError::TooManyGuesses { retry_after: 1 });
            assert!(guesses >= 5, "the first are free");
        }
        // It does not tell whose phone that is.
        let by_her_phone = world.auth().login(by_phone(phone, "a guess")).await;
        assert_eq!(refused(by_her_phone), AuthError::InvalidCredentials);
        world.login("bob", "bob's").await.unwrap();
        // Until the pause is over, and then it is as if nothing had been.
        let patient = async {
            while let Err(error) = world.login("ada", "ada's").await {
                let waits = matches!(error.handler(), Some(AuthError::TooManyGuesses { .. }));
                assert!(waits, "{error:?}");
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        let within = Duration::from_secs(240);
        tokio::time::timeout(within, patient).await.unwrap();
        let wrong = world.login("ada", "a guess").await;
        assert_eq!(refused(wrong), AuthError::InvalidCredentials);
        world.login("ada", "ada's").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn many_guesses_at_once_are_slowed_down_as_one_after_the_other() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        for name in ["ada", "nobody"] {
            let mut logins = JoinSet::new();
            for guess in 0..100 {
                let login = world.auth().login(by_name(name, &format!("guess {guess}")));
                logins.spawn(login.into_future());
            }
            let told = logins.join_all().await.into_iter().map(refused);
            let looked_at = told.filter(|error| *error == AuthError::InvalidCredentials);
            let looked_at = looked_at.count();
            // One more at the end of each pause, should hashing take so long.
            assert!((5..10).contains(&looked_at), "{looked_at} of {name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_stranger_who_guesses_locks_nobody_out_but_themselves() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let from = async |client: &str, password: &str| {
            let login = world.auth().login(by_name("ada", password));
            login.metadata("client", client).await
        };
        let until_stopped = async |client: &str| {
            for guess in 0.. {
                match refused(from(client, "a guess").await) {
                    AuthError::InvalidCredentials => assert!(guess < 50),
                    AuthError::TooManyGuesses { .. } => return,
                    other => panic!("{other:?}"),
                }
            }
        };
        until_stopped("192.0.2.1").await;
        // The right one from elsewhere, while the stranger has to wait.
        from("198.51.100.1", "ada's").await.unwrap();
        // Strangers in many places are stopped sooner, and she still gets in.
        for stranger in 2..24 {
            until_stopped(&format!("192.0.2.{stranger}")).await;
        }
        from("198.51.100.1", "ada's").await.unwrap();
        from("198.51.100.2", "ada's").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    with_sessions_of(Duration::from_secs(1), async |world| {
        world.register("ada", "ada's").await.unwrap();
        let session = world.login("ada", "ada's").await.unwrap().session;
        let ended = async {
            while world.platform.identity.user_of(&session).await.is_ok() {
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        let within = Duration::from_secs(240);
        tokio::time::timeout(within, ended).await.unwrap();
        let logout = world.auth().logout().metadata("session", &session).await;
        assert_eq!(refused(logout), Refused::Unauthenticated.into());
    })
    .await;
}

#[tokio::test]
async fn passwords_are_stored_as_argon2id_hashes_of_todays_strength() {
    on_both(async |world| {
        world.register("ada", "the same").await.unwrap();
        world.register("bob", "the same").await.unwrap();
        let (ada, bob) = (
            world.stored_hash("ada").await,
            world.stored_hash("bob").await,
        );
        assert!(ada.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{ada}");
        assert_ne!(ada, bob, "each has its own salt");
        world.login("ada", "the same").await.unwrap();
        assert_eq!(world.stored_hash("ada").await, ada, "nothing to renew");
    })
    .await;
}

#[tokio::test]
async fn a_hash_of_yesterdays_strength_is_renewed_at_login() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let weak = weak_hash("ada's");
        store_hash(world, "ada", &weak).await;
        let wrong = world.login("ada", "bob's").await;
        assert_eq!(refused(wrong), AuthError::InvalidCredentials);
        assert_eq!(world.stored_hash("ada").await, weak);

        world.login("ada", "ada's").await.unwrap();
        let renewed = world.stored_hash("ada").await;
        assert!(renewed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        world.login("ada", "ada's").await.unwrap();
        assert_eq!(world.stored_hash("ada").await, renewed);
    })
    .await;
}

#[tokio::test]
async fn who_logs_in_at_once_from_many_places_gets_a_session_for_each() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let mut logins = JoinSet::new();
        for _ in 0..8 {
            let login = world.auth().login(by_name("ada", "ada's"));
            logins.spawn(login.into_future());
        }
        let mut sessions = BTreeSet::new();
        for login in logins.join_all().await {
            sessions.insert(login.unwrap().session);
        }
        assert_eq!(sessions.len(), 8);
        let taken = world.auth().register(applicant("ada", "ada's", None)).await;
        assert_eq!(refused(taken), AuthError::UsernameTaken);
    })
    .await;
}

pub(crate) fn weak_hash(password: &str) -> String {
    let weak = Params::new(8 * 1024, 1, 1, None).unwrap();
    let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, weak);
    let password = format!("{password}{MARK}");
    weak.hash_password(password.as_bytes()).unwrap().to_string()
}

pub(crate) async fn store_hash(world: &World, username: &str, hash: &str) {
    let update = "UPDATE users SET password_hash = $1 WHERE username = $2";
    let update = sqlx::query(update).bind(hash).bind(username);
    let done = update.execute(world.database.pool()).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
}
