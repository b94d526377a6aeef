//! Another password.

use crate::{
    accounts::Mood,
    login::{store_hash, weak_hash},
    world::{World, by_name, on_both, password_of, refused},
};
use chassis::identity::SESSION;
use contracts::{
    Refused,
    auth::{AuthError, PasswordChange},
};
use futures_util::future::join_all;
use replybus_testkit::wait::bounded;
use std::future::IntoFuture as _;

async fn change(world: &World, session: &str, current: &str, new: &str) -> Result<(), AuthError> {
    let change = PasswordChange {
        current: password_of(current),
        new: password_of(new),
    };
    let call = world.auth().change_password(change);
    let outcome = call.metadata(SESSION, session).await;
    outcome.map_err(|error| refused::<()>(Err(error)))
}

#[tokio::test]
async fn the_new_password_is_the_only_one_and_the_other_sessions_end() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        world.register("bob", "bob's").await.unwrap();
        let ada = world.login("ada", "ada's").await.unwrap().session;
        let elsewhere = world.login("ada", "ada's").await.unwrap().session;
        let bob = world.login("bob", "bob's").await.unwrap().session;
        change(world, &ada, "ada's", "another").await.unwrap();

        let old = world.login("ada", "ada's").await;
        assert_eq!(refused(old), AuthError::InvalidCredentials);
        world.login("ada", "another").await.unwrap();
        let identity = &world.platform.identity;
        assert!(identity.user_of(&ada).await.is_ok(), "who changed it stays");
        let ended = identity.user_of(&elsewhere).await;
        assert_eq!(ended, Err(Refused::Unauthenticated));
        assert!(identity.user_of(&bob).await.is_ok());
        world.login("bob", "bob's").await.unwrap();

        // The answer may have been lost: asked again it is the same.
        change(world, &ada, "ada's", "another").await.unwrap();
        world.login("ada", "another").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn only_who_knows_the_password_changes_it() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let hash = world.stored_hash("ada").await;
        let ada = world.login("ada", "ada's").await.unwrap().session;
        let elsewhere = world.login("ada", "ada's").await.unwrap().session;
        let wrong = change(world, &ada, "eve's", "another").await;
        assert_eq!(wrong, Err(AuthError::WrongPassword));
        let nobody = change(world, "a.b.c", "ada's", "another").await;
        assert_eq!(nobody, Err(Refused::Unauthenticated.into()));
        let too_long = "a".repeat(129);
        match change(world, &ada, "ada's", &too_long).await {
            Err(AuthError::Invalid { field, .. }) => assert_eq!(field, "new_password"),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.stored_hash("ada").await, hash);
        let identity = &world.platform.identity;
        assert!(identity.user_of(&elsewhere).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn guessing_the_password_in_a_session_is_as_slow_as_at_the_door() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let ada = world.login("ada", "ada's").await.unwrap().session;
        // Five guesses are free, and each change is two: one that repeats another is told by its
        // new password.
        for guess in 0..2 {
            let new = format!("another {guess}");
            let wrong = change(world, &ada, &format!("guess {guess}"), &new).await;
            assert_eq!(wrong, Err(AuthError::WrongPassword));
        }
        for new in ["another", "ada's"] {
            let paused = change(world, &ada, "guess", new).await;
            assert!(
                matches!(paused, Err(AuthError::TooManyGuesses { .. })),
                "{paused:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn of_changes_at_once_one_is_made_and_the_others_are_refused() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let ada = world.login("ada", "ada's").await.unwrap().session;
        let others = ["first", "second", "third"];
        let changes = others.map(|new| change(world, &ada, "ada's", new));
        let changes = join_all(changes).await;
        let made = changes.iter().filter(|change| change.is_ok()).count();
        assert_eq!(made, 1, "{changes:?}");
        for (new, change) in others.iter().zip(&changes) {
            if change.is_ok() {
                world.login("ada", new).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_that_is_delivered_twice_at_once_is_made() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let ada = world.login("ada", "ada's").await.unwrap().session;
        let twice = [(); 2].map(|()| change(world, &ada, "ada's", "another"));
        assert_eq!(join_all(twice).await, [Ok(()), Ok(())]);
        world.login("ada", "another").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_password_whose_hash_is_of_yesterday_is_changed() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let ada = world.login("ada", "ada's").await.unwrap().session;
        // The proof of the old one renews it.
        store_hash(world, "ada", &weak_hash("ada's")).await;
        change(world, &ada, "ada's", "another").await.unwrap();
        let old = world.login("ada", "ada's").await;
        assert_eq!(refused(old), AuthError::InvalidCredentials);
        world.login("ada", "another").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_login_that_is_under_way_does_not_outlive_a_change() {
    on_both(async |world| {
        let ada = world.register("ada", "ada's").await.unwrap();
        let session = world.login("ada", "ada's").await.unwrap().session;
        let mut ended = world.platform.identity.ended_sessions().unwrap();
        world.accounts.become_(Mood::Silent);
        let login = world.auth().login(by_name("ada", "ada's"));
        let login = tokio::spawn(login.into_future());
        // The registration, the first login, and this one, whose password was right.
        bounded(world.accounts.asked(3)).await;
        change(world, &session, "ada's", "another").await.unwrap();
        world.accounts.become_(Mood::Opens);

        let late = bounded(login).await.unwrap();
        assert_eq!(refused(late), AuthError::InvalidCredentials);
        let taken_back = bounded(ended.recv()).await.unwrap();
        assert_eq!(taken_back.user_id, ada.id);
        let identity = &world.platform.identity;
        let kept = identity.user_of(&session).await.unwrap().session;
        assert_ne!(taken_back.session, kept);
        world.login("ada", "another").await.unwrap();
    })
    .await;
}
