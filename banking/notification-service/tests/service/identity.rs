//! The service itself refuses who may not ask.

use crate::stage::{Replica, party, transfer};
use chassis::{
    Identity,
    identity::{SESSION, SessionStore},
    keys::Keys,
    settings::PlatformSettings,
};
use contracts::{PageRequest, Refused, notification::NotificationError};
use replybus::CallError;
use std::{fmt::Debug, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);

fn refused<T: Debug>(answer: Result<T, CallError<NotificationError>>) -> Refused {
    match answer {
        Err(CallError::Handler(NotificationError::Refused(refused))) => refused,
        other => panic!("was not refused: {other:?}"),
    }
}

/// What a call may carry: a name and a value, or nothing.
type Carried = Option<(&'static str, String)>;

/// Asks every method; the order is that of the contract.
async fn asked(replica: &Replica, carried: &Carried) -> [Refused; 4] {
    macro_rules! ask {
        ($method:ident($($argument:expr),*)) => {{
            let call = replica.client.$method($($argument),*);
            refused(match carried {
                Some((name, value)) => call.metadata(*name, value.as_str()).await,
                None => call.await,
            })
        }};
    }
    [
        ask!(list(PageRequest::default())),
        ask!(mark_read(None)),
        ask!(admin_total()),
        ask!(admin_notifications(PageRequest::default(), None)),
    ]
}

#[tokio::test]
async fn every_method_refuses_who_it_does_not_know() {
    let replica = Replica::start(PlatformSettings::with_database("sqlite::memory:")).await;
    let (alice, bob) = (party("alice"), party("bob"));
    replica.emit(&transfer(&alice, &bob, 1)).await;
    replica.until_listed(&alice, 1).await;
    let strangers = Identity::new(
        "api-producer",
        &Keys::draw().unwrap(),
        SessionStore::memory(),
    );
    let forged_session = strangers
        .begin_session(alice.user_id, "alice", HOUR)
        .await
        .unwrap();
    let (pass, forged_pass) = strangers.admin_pass();
    let ours = &replica.platform.identity;
    let ended = replica.login(&alice).await;
    ours.end_session(ours.user_of(&ended).await.unwrap().session)
        .await
        .unwrap();
    let nobody = [Refused::Unauthenticated; 4];
    for (what, carried) in [
        ("nothing", None),
        ("an empty session", Some((SESSION, String::new()))),
        ("an empty pass", Some((pass, String::new()))),
        ("a session of other keys", Some((SESSION, forged_session))),
        ("a pass of other keys", Some((pass, forged_pass))),
        ("a session that has ended", Some((SESSION, ended))),
        ("an id", Some((SESSION, alice.user_id.to_string()))),
    ] {
        assert_eq!(asked(&replica, &carried).await, nobody, "{what}");
    }
    let unread = replica.list(&alice).await;
    assert!(!unread[0].is_read, "what was refused did nothing");
    replica.running.stop().await;
}

#[tokio::test]
async fn one_kind_of_identity_is_not_good_for_another() {
    let replica = Replica::start(PlatformSettings::with_database("sqlite::memory:")).await;
    let carrying = async |(name, value): (&'static str, String)| {
        let list = replica
            .client
            .list(PageRequest::default())
            .metadata(name, value.as_str());
        let mark = replica
            .client
            .mark_read(None)
            .metadata(name, value.as_str());
        let total = replica.client.admin_total().metadata(name, value.as_str());
        let page = PageRequest::default();
        let page = replica.client.admin_notifications(page, None);
        let page = page.metadata(name, value.as_str());
        (
            (list.await.map(drop), mark.await.map(drop)),
            (total.await.map(drop), page.await.map(drop)),
        )
    };
    let ((list, mark), (total, page)) =
        carrying((SESSION, replica.login(&party("alice")).await)).await;
    assert!(list.is_ok() && mark.is_ok());
    assert_eq!(
        refused(total),
        Refused::Unauthenticated,
        "a user is no administrator"
    );
    assert_eq!(
        refused(page),
        Refused::Unauthenticated,
        "a user is no administrator"
    );

    let ((list, mark), (total, page)) = carrying(replica.admin_pass()).await;
    assert_eq!(refused(list), Refused::Unauthenticated, "nor a user");
    assert_eq!(refused(mark), Refused::Unauthenticated, "nor a user");
    assert!(total.is_ok() && page.is_ok());

    let service = replica.platform.identity.of_program("transfer-service");
    let (_, (total, page)) = carrying(service.service_pass()).await;
    assert_eq!(
        refused(total),
        Refused::Forbidden,
        "a service is no administrator"
    );
    assert_eq!(
        refused(page),
        Refused::Forbidden,
        "a service is no administrator"
    );
    replica.running.stop().await;
}

#[tokio::test]
async fn a_refusal_is_not_remembered_for_its_key() {
    let replica = Replica::start(PlatformSettings::with_database("sqlite::memory:")).await;
    let mark = || replica.client.mark_read(None).idempotency_key("once");
    assert_eq!(refused(mark().await), Refused::Unauthenticated);
    let session = replica.login(&party("alice")).await;
    let marked = mark().metadata(SESSION, session.as_str()).await;
    assert_eq!(marked.unwrap().marked, 0);
    replica.running.stop().await;
}
