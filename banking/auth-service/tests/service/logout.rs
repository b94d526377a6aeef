//! The end of a session, and who may ask for it.

use crate::world::{on_both, refused};
use chassis::{
    Identity,
    identity::{SESSION, SessionStore},
    keys::Keys,
};
use contracts::{Refused, UserId};
use std::time::Duration;

#[tokio::test]
async fn a_session_that_was_logged_out_is_refused_everywhere_and_can_not_end_twice() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let session = world.login("ada", "ada's").await.unwrap().session;
        let logout = || world.auth().logout().metadata(SESSION, &session);
        logout().await.unwrap();
        let elsewhere = world.platform.identity.of_program("transfer-service");
        let user = elsewhere.user_of(&session).await;
        assert_eq!(user, Err(Refused::Unauthenticated));
        for _ in 0..2 {
            assert_eq!(refused(logout().await), Refused::Unauthenticated.into());
        }
    })
    .await;
}

#[tokio::test]
async fn only_who_has_a_session_can_end_it() {
    on_both(async |world| {
        world.register("ada", "ada's").await.unwrap();
        let session = world.login("ada", "ada's").await.unwrap().session;
        let identity = &world.platform.identity;
        let ada = identity.user_of(&session).await.unwrap();

        let nobody = world.auth().logout().await;
        assert_eq!(refused(nobody), Refused::Unauthenticated.into());
        // With keys of their own, and in the store the same session.
        let store = SessionStore::memory();
        let forger = Identity::new("auth-service", &Keys::draw().unwrap(), store);
        let hour = Duration::from_secs(3600);
        let forged = forger.begin_session(ada.id, "ada", hour).await.unwrap();
        let strangers = forger.begin_session(UserId::new(), "eve", hour).await;
        let (head, signature) = session.rsplit_once('.').unwrap();
        let flipped: String = signature.chars().rev().collect();
        for token in [
            forged,
            strangers.unwrap(),
            String::new(),
            ada.session.to_string(),
            format!("{head}."),
            format!("{head}.{flipped}"),
        ] {
            let outcome = world.auth().logout().metadata(SESSION, token).await;
            assert_eq!(refused(outcome), Refused::Unauthenticated.into());
        }
        // No pass is a session.
        for (name, pass) in [
            identity.of_program("auth-service").service_pass(),
            identity.of_program("api-producer").admin_pass(),
        ] {
            let outcome = world.auth().logout().metadata(name, &pass).await;
            assert_eq!(refused(outcome), Refused::Unauthenticated.into());
            let outcome = world.auth().logout().metadata(SESSION, pass).await;
            assert_eq!(refused(outcome), Refused::Unauthenticated.into());
        }
        assert_eq!(identity.user_of(&session).await, Ok(ada));
    })
    .await;
}
