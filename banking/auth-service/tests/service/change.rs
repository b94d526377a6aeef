//! Another password.

use crate::{
    accounts::Mood,
    world::{World, by_name, on_both, password_of, refused},
};
use chassis::identity::SESSION;
use contracts::{
    Refused,
    auth::{AuthError, PasswordChange},
};
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
        for guess in 0..5 {
            let wrong = change(world, &ada, &format!("guess {guess}"), "another").await;
            assert_eq!(wrong, Err(AuthError::WrongPassword));
        }
        let paused = change(world, &ada, "guess", "another").await;
        assert!(
            matches!(paused, Err(AuthError::TooManyGuesses { .. })),
            "{paused:?}"
        );
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
