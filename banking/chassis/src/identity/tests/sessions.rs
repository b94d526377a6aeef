//! Sessions: of whom they are, until when, and what is none.

use super::*;
use crate::settings::TlsSettings;
use jsonwebtoken::{Algorithm, get_current_timestamp};
use replybus_testkit::servers::{Persistence, PrivateRedis};
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

/// What a store promises, whichever it is.
async fn names_its_user_until_it_ends(store: SessionStore) {
    let bank = Identity::new("auth-service", &Keys::draw().unwrap(), store);
    assert!(bank.can_begin_sessions() && bank.store_is_up().await);
    let id = UserId::new();
    let token = bank.begin_session(id, "ada", HOUR).await.unwrap();
    let user = with((SESSION, &token), async || bank.user().await)
        .await
        .unwrap();
    assert_eq!((user.id, user.username.as_str()), (id, "ada"));

    bank.end_session(user.session).await.unwrap();
    assert_eq!(bank.user_of(&token).await, Err(Refused::Unauthenticated));
    assert_eq!(bank.user().await, Err(Refused::Unauthenticated));
    bank.end_session(user.session).await.unwrap();

    // Of one user all but one end, and nobody else's.
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(bank.begin_session(id, "ada", HOUR).await.unwrap());
    }
    let other = UserId::new();
    let others = bank.begin_session(other, "bob", HOUR).await.unwrap();
    let kept = bank.user_of(&sessions[1]).await.unwrap();
    for _ in 0..2 {
        bank.end_other_sessions(id, kept.session).await.unwrap();
    }
    assert_eq!(bank.user_of(&sessions[1]).await.unwrap(), kept);
    assert_eq!(bank.user_of(&others).await.unwrap().id, other);
    for ended in [&sessions[0], &sessions[2]] {
        assert_eq!(bank.user_of(ended).await, Err(Refused::Unauthenticated));
    }

    let token = bank.begin_session(id, "ada", SECOND).await.unwrap();
    let ended = async {
        while bank.user_of(&token).await.is_ok() {
            tokio::time::sleep(SECOND / 50).await;
        }
        assert_eq!(bank.user_of(&token).await, Err(Refused::Unauthenticated));
    };
    tokio::time::timeout(60 * SECOND, ended).await.unwrap();
}

#[tokio::test]
async fn a_session_in_memory_names_its_user_until_it_ends() {
    names_its_user_until_it_ends(SessionStore::memory()).await;
}

#[tokio::test]
async fn a_session_in_redis_names_its_user_until_it_ends() {
    let Some(url) = replybus_testkit::live::redis().await else {
        return;
    };
    let namespace = replybus_testkit::live::unique("sessions");
    names_its_user_until_it_ends(
        SessionStore::redis(&url, &TlsSettings::default(), &namespace).unwrap(),
    )
    .await;
}

/// Begins 150 sessions of one user; returns the bank, the user, and the newest session.
async fn keeps_the_newest_of_a_user(store: SessionStore) -> (Identity, User) {
    let bank = Identity::new("auth-service", &Keys::draw().unwrap(), store);
    let (id, other) = (UserId::new(), UserId::new());
    let others = bank.begin_session(other, "bob", HOUR).await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..150 {
        sessions.push(bank.begin_session(id, "ada", HOUR).await.unwrap());
    }
    let (old, new) = sessions.split_at(50);
    for token in old {
        assert_eq!(bank.user_of(token).await, Err(Refused::Unauthenticated));
    }
    for token in new {
        assert_eq!(bank.user_of(token).await.map(|user| user.id), Ok(id));
    }
    assert_eq!(bank.user_of(&others).await.unwrap().id, other);
    let newest = bank.user_of(&sessions[149]).await.unwrap();
    (bank, newest)
}

#[tokio::test]
async fn a_user_keeps_the_newest_hundred_sessions_in_memory() {
    let store = SessionStore::memory();
    let mut ended = store.ended().unwrap();
    keeps_the_newest_of_a_user(store).await;
    // And who holds something open for the others is told.
    let told = std::iter::from_fn(|| ended.try_recv().ok());
    assert_eq!(told.count(), 50);
}

#[tokio::test]
async fn a_user_keeps_the_newest_hundred_sessions_in_redis() {
    let Some(url) = replybus_testkit::live::redis().await else {
        return;
    };
    let namespace = replybus_testkit::live::unique("sessions");
    let tls = TlsSettings::default();
    let store = SessionStore::redis(&url, &tls, &namespace).unwrap();
    let connection = crate::redis_manager(&url, &tls).unwrap();
    let (bank, newest) = keeps_the_newest_of_a_user(store).await;
    let remembered = async |user: UserId| -> usize {
        let mut count = redis::cmd("ZCARD");
        count.arg(format!("{namespace}.bank:session:of:{user}"));
        count.query_async(&mut connection.clone()).await.unwrap()
    };
    assert_eq!(remembered(newest.id).await, 100);

    // What has ended is in no set any more, however it ended.
    bank.end_other_sessions(newest.id, newest.session)
        .await
        .unwrap();
    assert_eq!(remembered(newest.id).await, 1);
    let id = UserId::new();
    let mut sessions = Vec::new();
    for _ in 0..3 {
        let token = bank.begin_session(id, "eve", HOUR).await.unwrap();
        sessions.push(bank.user_of(&token).await.unwrap().session);
    }
    bank.end_session(sessions[0]).await.unwrap();
    assert_eq!(remembered(id).await, 2);
    bank.end_other_sessions(id, sessions[1]).await.unwrap();
    assert_eq!(remembered(id).await, 1);
    for left in [newest.session, sessions[1]] {
        bank.end_session(left).await.unwrap();
    }
    assert_eq!((remembered(newest.id).await, remembered(id).await), (0, 0));
}

#[tokio::test]
async fn without_its_store_sessions_are_neither_good_nor_bad() {
    let keys = Keys::draw().unwrap();
    let token = identity("auth-service", &keys)
        .begin_session(UserId::new(), "ada", HOUR)
        .await
        .unwrap();
    // Nothing listens there.
    let store = SessionStore::redis("redis://127.0.0.1:1/0", &TlsSettings::default(), "").unwrap();
    let bank = Identity::new("auth-service", &keys, store);
    assert!(!bank.store_is_up().await);
    assert_eq!(bank.user_of(&token).await, Err(Refused::Unavailable));
    let begun = bank.begin_session(UserId::new(), "ada", HOUR).await;
    assert_eq!(begun, Err(Refused::Unavailable));
    assert_eq!(
        bank.end_session(Uuid::new_v4()).await,
        Err(Refused::Unavailable)
    );
    // What is forged is known without it.
    assert_eq!(bank.user_of("forged").await, Err(Refused::Unauthenticated));
}

#[tokio::test]
async fn a_session_is_known_at_the_first_ask_after_redis_is_back() {
    let redis = PrivateRedis::start(Persistence::AppendOnly).await;
    let Some(mut redis) = replybus_testkit::live::require_or_skip(redis) else {
        return;
    };
    let store = SessionStore::redis(&redis.url(), &TlsSettings::default(), "").unwrap();
    let bank = Identity::new("auth-service", &Keys::draw().unwrap(), store);
    let id = UserId::new();
    let token = bank.begin_session(id, "ada", HOUR).await.unwrap();
    redis.kill();
    for _ in 0..3 {
        assert_eq!(bank.user_of(&token).await, Err(Refused::Unavailable));
    }
    redis.restart().await.unwrap();
    assert_eq!(bank.user_of(&token).await.map(|user| user.id), Ok(id));
}

#[tokio::test]
async fn who_has_no_private_key_can_not_begin_sessions() {
    let mut keys = Keys::draw().unwrap();
    keys.signing = None;
    let bank = identity("transfer-service", &keys);
    assert!(!bank.can_begin_sessions());
    let begun = bank.begin_session(UserId::new(), "ada", HOUR).await;
    assert_eq!(begun, Err(Refused::Unavailable));
}

#[tokio::test]
async fn a_session_ends_with_its_time() {
    let bank = identity("auth-service", &Keys::draw().unwrap());
    // Within the leeway of the token, so that it is the store that refuses.
    let token = bank
        .begin_session(UserId::new(), "ada", Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(bank.user_of(&token).await, Err(Refused::Unauthenticated));
}

#[tokio::test]
async fn what_another_key_signed_is_refused() {
    let ours = identity("auth-service", &Keys::draw().unwrap());
    let theirs = identity("auth-service", &Keys::draw().unwrap());
    let token = theirs
        .begin_session(UserId::new(), "ada", HOUR)
        .await
        .unwrap();
    assert_eq!(ours.user_of(&token).await, Err(Refused::Unauthenticated));
    let pass = theirs.service_pass();
    let asked = with((pass.0, &pass.1), async || {
        ours.require_service("auth-service")
    })
    .await;
    assert_eq!(asked, Err(Refused::Unauthenticated));
}

#[tokio::test]
async fn a_forged_token_is_refused() {
    let keys = Keys::draw().unwrap();
    let bank = identity("auth-service", &keys);
    let id = UserId::new();
    let good = bank.begin_session(id, "ada", HOUR).await.unwrap();
    let session = bank.user_of(&good).await.unwrap().session;
    let now = get_current_timestamp();
    let claims = json!({
        "iss": "auth-service", "aud": "bank", "sub": id, "sid": session, "name": "ada",
        "iat": now, "nbf": now, "exp": now + 3600,
    });
    let signing = keys.signing.as_ref().unwrap();
    let sign = |change: &dyn Fn(&mut Header, &mut serde_json::Value)| {
        let (mut header, mut claims) = (Header::new(Algorithm::EdDSA), claims.clone());
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(signing.id.clone());
        change(&mut header, &mut claims);
        match header.alg {
            Algorithm::HS256 => by_secret(&header, &claims, b"session-verifying.pem"),
            _ => jsonwebtoken::encode(&header, &claims, &signing.key).unwrap(),
        }
    };
    let unchanged = sign(&|_, _| {});
    assert_eq!(bank.user_of(&unchanged).await.map(|user| user.id), Ok(id));

    let mut forged: Vec<(String, String)> = vec![
        (
            "another algorithm".into(),
            sign(&|header, _| header.alg = Algorithm::HS256),
        ),
        (
            "another type".into(),
            sign(&|header, _| header.typ = Some("JWT".into())),
        ),
        ("no key id".into(), sign(&|header, _| header.kid = None)),
        (
            "a key id that is a path".into(),
            sign(&|header, _| header.kid = Some("../x".into())),
        ),
        (
            "another audience".into(),
            sign(&|_, claims| claims["aud"] = json!("shop")),
        ),
        (
            "another issuer".into(),
            sign(&|_, claims| claims["iss"] = json!("shop")),
        ),
        (
            "expired".into(),
            sign(&|_, claims| claims["exp"] = json!(now - 60)),
        ),
        (
            "not yet valid".into(),
            sign(&|_, claims| claims["nbf"] = json!(now + 60)),
        ),
        (
            "expiry as text".into(),
            sign(&|_, claims| claims["exp"] = json!("9999999999")),
        ),
        (
            "another user".into(),
            sign(&|_, claims| claims["sub"] = json!(UserId::new())),
        ),
        (
            "a session that never was".into(),
            sign(&|_, claims| claims["sid"] = json!(Uuid::new_v4())),
        ),
        (
            "a megabyte".into(),
            format!("{good}{}", "A".repeat(1 << 20)),
        ),
        ("nothing".into(), String::new()),
        ("dots".into(), "..".into()),
    ];
    for claim in ["iss", "aud", "sub", "sid", "exp", "nbf"] {
        let token = sign(&|_, claims| {
            claims.as_object_mut().unwrap().remove(claim);
        });
        forged.push((format!("without {claim}"), token));
    }
    // No signature, and `alg: none`.
    let body = good.split('.').nth(1).unwrap();
    forged.push((
        "unsigned".into(),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{body}."),
    ));
    for (what, token) in forged {
        assert_eq!(
            bank.user_of(&token).await,
            Err(Refused::Unauthenticated),
            "{what}"
        );
    }
}
