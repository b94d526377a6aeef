//! Passwords that only this service can read.

use crate::{
    secrecy::MARK,
    world::{World, on_both, refused},
};
use chassis::{Platform, identity::SESSION, settings::PlatformSettings};
use contracts::{
    Refused,
    auth::{AuthError, Login, LoginName, Password, PasswordChange, Registration, purpose},
};

fn sealed(world: &Platform, password: &str, purpose: &str) -> Password {
    let key = world.password_sealing().unwrap();
    Password::seal(&format!("{password}{MARK}"), &key, purpose).unwrap()
}

fn of_ada(platform: &Platform, password: &str) -> Login {
    let who = LoginName::Username("ada".to_owned());
    let purpose = purpose::of_login(&who);
    Login {
        password: sealed(platform, password, &purpose),
        who,
    }
}

async fn register(world: &World) {
    let registration = Registration {
        username: "ada".to_owned(),
        password: sealed(&world.platform, "ada's", &purpose::of_registration("ada")),
        phone: None,
        key: None,
    };
    world.auth().register(registration).await.unwrap();
}

#[tokio::test]
async fn who_registers_logs_in_and_changes_the_password_that_was_sealed() {
    on_both(async |world| {
        register(world).await;
        let login = async |password| world.auth().login(of_ada(&world.platform, password)).await;
        let session = login("ada's").await.unwrap().session;
        let change = PasswordChange {
            current: sealed(&world.platform, "ada's", &purpose::of_current(&session)),
            new: sealed(&world.platform, "another", &purpose::of_new(&session)),
        };
        let change = world.auth().change_password(change);
        change.metadata(SESSION, &session).await.unwrap();
        let old = refused(login("ada's").await);
        assert_eq!(old, AuthError::InvalidCredentials);
        login("another").await.unwrap();
        // A gateway of an older version.
        world.login("ada", "another").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_was_sealed_for_something_else_or_somebody_else_is_no_password() {
    on_both(async |world| {
        register(world).await;
        let elsewhere = PlatformSettings::default();
        let elsewhere = Platform::connect("elsewhere", elsewhere).await.unwrap();
        let for_bob = Login {
            who: LoginName::Username("bob".to_owned()),
            ..of_ada(&world.platform, "ada's")
        };
        let registered = Login {
            password: sealed(&world.platform, "ada's", &purpose::of_registration("ada")),
            ..of_ada(&world.platform, "ada's")
        };
        for login in [for_bob, registered, of_ada(&elsewhere, "ada's")] {
            let error = refused(world.auth().login(login).await);
            assert_eq!(error, Refused::Unavailable.into());
        }
    })
    .await;
}
