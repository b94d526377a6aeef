//! Names, phones and accounts.

use crate::{
    accounts::Mood,
    world::{applicant, by_phone, on_both, refused},
};
use contracts::{
    IdempotencyKey, Refused,
    account::OPENING_BALANCE,
    auth::{AuthError, Registration},
};
use replybus::client::{CallRequest, ClientService};
use std::{collections::BTreeSet, time::Duration};
use tokio::task::JoinSet;
use tower::{ServiceExt as _, layer::layer_fn, service_fn};

#[tokio::test]
async fn a_user_registers_logs_in_by_name_or_phone_and_logs_out() {
    on_both(async |world| {
        let ada = world
            .register_with_phone("Ada.L", "ada's", "4915112345678")
            .await
            .unwrap();
        assert_eq!(ada.username, "Ada.L");
        assert_eq!(ada.phone.as_deref(), Some("49*********78"));
        assert_eq!(ada.balance, OPENING_BALANCE);
        let holders = world.accounts.holders();
        assert_eq!(holders.len(), 1);
        assert_eq!(
            (holders[0].user_id, holders[0].phone.as_deref()),
            (ada.id, Some("49*********78")),
            "the account service is told no more of the phone than it needs"
        );

        world.accounts.set_balance(ada.id, 7);
        let by_name = world.login("aDA.l", "ada's").await.unwrap();
        assert_eq!(by_name.username, "Ada.L");
        assert_eq!(by_name.phone, ada.phone);
        assert_eq!(by_name.account_number, ada.account_number);
        assert_eq!(by_name.balance, 7, "as it is now, not as it was");
        let by_phone = world.auth().login(by_phone("4915112345678", "ada's"));
        let by_phone = by_phone.await.unwrap();

        let identity = &world.platform.identity;
        let user = identity.user_of(&by_name.session).await.unwrap();
        assert_eq!((user.id, user.username.as_str()), (ada.id, "Ada.L"));
        let logout = world.auth().logout();
        logout.metadata("session", &by_name.session).await.unwrap();
        let ended = identity.user_of(&by_name.session).await;
        assert_eq!(ended, Err(Refused::Unauthenticated));
        let other = identity.user_of(&by_phone.session).await;
        assert_eq!(other.map(|user| user.id), Ok(ada.id), "the other goes on");
    })
    .await;
}

#[tokio::test]
async fn a_name_or_phone_is_somebodys_once_it_is_taken() {
    on_both(async |world| {
        world
            .register_with_phone("ada", "ada's", "4915112345678")
            .await
            .unwrap();
        for name in ["ada", "ADA", "Ada"] {
            for password in ["ada's", "bob's"] {
                let again = world.register(name, password).await;
                assert_eq!(refused(again), AuthError::UsernameTaken);
            }
        }
        let again = world
            .register_with_phone("ada", "ada's", "4915112345678")
            .await;
        assert_eq!(refused(again), AuthError::UsernameTaken);
        let other = world
            .register_with_phone("bob", "bob's", "4915112345678")
            .await;
        assert_eq!(refused(other), AuthError::PhoneTaken);
        world.register("bob", "bob's").await.unwrap();
        world.register("carol", "carol's").await.unwrap();
        assert_eq!(world.accounts.holders().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_want_one_name_at_once_one_gets_it() {
    on_both(async |world| {
        let mut tasks = JoinSet::new();
        for number in 0..8 {
            let name = if number % 2 == 0 { "ada" } else { "ADA" };
            let applicant = applicant(name, &format!("password {number}"), None);
            tasks.spawn(world.auth().register(applicant).into_future());
        }
        let outcomes = tasks.join_all().await;
        let (registered, others): (Vec<_>, Vec<_>) =
            outcomes.into_iter().partition(|outcome| outcome.is_ok());
        assert_eq!(registered.len(), 1);
        for other in others {
            assert_eq!(refused(other), AuthError::UsernameTaken);
        }
        assert_eq!(world.accounts.holders().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_want_one_phone_at_once_one_gets_it() {
    on_both(async |world| {
        let mut tasks = JoinSet::new();
        for number in 0..8 {
            let applicant = applicant(&format!("user{number}"), "password", Some("4915112345678"));
            tasks.spawn(world.auth().register(applicant).into_future());
        }
        let outcomes = tasks.join_all().await;
        let (registered, others): (Vec<_>, Vec<_>) =
            outcomes.into_iter().partition(|outcome| outcome.is_ok());
        assert_eq!(registered.len(), 1);
        for other in others {
            assert_eq!(refused(other), AuthError::PhoneTaken);
        }
        assert_eq!(world.accounts.holders().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_form_that_is_sent_many_times_at_once_makes_one_user() {
    on_both(async |world| {
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let applicant = applicant("ada", "ada's", Some("4915112345678"));
            tasks.spawn(world.auth().register(applicant).into_future());
        }
        let mut ids = BTreeSet::new();
        for outcome in tasks.join_all().await {
            match outcome {
                Ok(registered) => assert!(ids.insert(registered.id) || ids.len() == 1),
                // It came when the first was through.
                taken => assert_eq!(refused(taken), AuthError::UsernameTaken),
            }
        }
        assert_eq!(ids.len(), 1);
        assert_eq!(world.accounts.holders().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_delivered_twice_is_answered_the_same() {
    // As a broker that lost its connection: the same request, the first answer unseen.
    let twice = || {
        layer_fn(|inner: ClientService| {
            service_fn(move |request: CallRequest| {
                let inner = inner.clone();
                async move {
                    let _unseen = inner.clone().oneshot(request.clone()).await?;
                    inner.oneshot(request).await
                }
            })
        })
    };
    on_both(async |world| {
        let auth = world.auth().layer(twice());
        let ada = auth
            .register(applicant("ada", "ada's", None))
            .await
            .unwrap();
        assert_eq!(world.accounts.holders()[0].user_id, ada.id);
        world.accounts.asked(2).await;
        let other = auth.register(applicant("ada", "ada's", None)).await;
        assert_eq!(refused(other), AuthError::UsernameTaken, "another call");
    })
    .await;
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_answered_again_under_its_key() {
    on_both(async |world| {
        let register = async |name: &str, password: &str, key: &str| {
            let registration = Registration {
                key: Some(IdempotencyKey::try_from(key.to_owned()).unwrap()),
                ..applicant(name, password, None)
            };
            world.auth().register(registration).await
        };
        let ada = register("ada", "ada's", "one").await.unwrap();
        assert_eq!(register("ada", "ada's", "one").await.unwrap(), ada);
        // To whoever does not know both, the name is somebody's.
        for (password, key) in [("ada's", "two"), ("bob's", "one")] {
            let refused = refused(register("ada", password, key).await);
            assert_eq!(refused, AuthError::UsernameTaken);
        }
        let without = world.register("ada", "ada's").await;
        assert_eq!(refused(without), AuthError::UsernameTaken);
        // A key is not what makes a user: under the same, others may be made.
        register("bob", "bob's", "one").await.unwrap();
        assert_eq!(world.accounts.holders().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_registration_that_stopped_half_way_is_gone_on_with() {
    on_both(async |world| {
        world.accounts.become_(Mood::Refuses);
        let phone = "4915112345678";
        let stopped = world.register_with_phone("ada", "ada's", phone).await;
        assert_eq!(refused(stopped), Refused::Unavailable.into());
        let login = world.login("ada", "ada's").await;
        assert_eq!(refused(login), Refused::Unavailable.into());
        assert!(world.accounts.holders().is_empty());

        world.accounts.become_(Mood::Opens);
        let other = world.register_with_phone("ada", "bob's", phone).await;
        assert_eq!(refused(other), AuthError::UsernameTaken);
        let without_phone = world.register("ada", "ada's").await;
        assert_eq!(refused(without_phone), AuthError::UsernameTaken);
        let login = world.login("ada", "bob's").await;
        assert_eq!(refused(login), AuthError::InvalidCredentials);
        assert!(world.accounts.holders().is_empty());

        let ada = world.register_with_phone("ADA", "ada's", phone).await;
        let ada = ada.unwrap();
        assert_eq!(ada.username, "ada", "the name as it was first given");
        assert_eq!(world.accounts.holders()[0].user_id, ada.id);
        let again = world.register_with_phone("ada", "ada's", phone).await;
        assert_eq!(refused(again), AuthError::UsernameTaken);
    })
    .await;
}

#[tokio::test]
async fn a_login_goes_on_with_a_registration_too() {
    on_both(async |world| {
        world.accounts.become_(Mood::Refuses);
        let stopped = world.register("ada", "ada's").await;
        assert_eq!(refused(stopped), Refused::Unavailable.into());
        world.accounts.become_(Mood::Opens);
        let login = world.login("ada", "ada's").await.unwrap();
        let user = world.platform.identity.user_of(&login.session).await;
        assert_eq!(world.accounts.holders()[0].user_id, user.unwrap().id);
        let again = world.register("ada", "ada's").await;
        assert_eq!(refused(again), AuthError::UsernameTaken);
    })
    .await;
}

#[tokio::test]
async fn a_caller_whose_time_ran_out_can_go_on() {
    on_both(async |world| {
        world.accounts.become_(Mood::Silent);
        let hurried = world.auth().register(applicant("ada", "ada's", None));
        let hurried = hurried.timeout(Duration::from_secs(2)).await;
        assert!(hurried.unwrap_err().is_timeout());
        world.accounts.become_(Mood::Opens);
        let ada = world.register("ada", "ada's").await.unwrap();
        assert_eq!(world.accounts.holders()[0].user_id, ada.id);
        assert_eq!(world.accounts.holders().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_field_that_is_not_allowed_is_named_with_what_is() {
    on_both(async |world| {
        let long = "x".repeat(200);
        for (username, password, phone, field) in [
            ("ab", "long enough", None, "username"),
            ("a b c", "long enough", None, "username"),
            ("ada", &*long, None, "password"),
            ("ada", "long enough", Some("+4915112345678"), "phone"),
        ] {
            let outcome = world.auth().register(applicant(username, password, phone));
            match refused(outcome.await) {
                AuthError::Invalid {
                    field: named,
                    allowed,
                } => {
                    assert!(
                        named == field && allowed.contains("allowed"),
                        "{named}: {allowed}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(world.accounts.holders().is_empty());
    })
    .await;
}
