//! Passes: what they let a program ask, and what is none.

use super::*;
use contracts::program::{ACCOUNT_SERVICE, AUTH_SERVICE, NOTIFICATION_SERVICE, TRANSFER_SERVICE};
use jsonwebtoken::{Algorithm, get_current_timestamp};
use serde_json::json;

#[tokio::test]
async fn a_pass_is_good_for_what_it_says_and_nothing_else() {
    let keys = Keys::draw().unwrap();
    let transfers = identity("transfer-service", &keys);
    let accounts = identity("account-service", &keys);
    let gateway = transfers.of_program("api-producer");

    let pass = transfers.service_pass();
    let ask =
        async |name: &str| with((pass.0, &pass.1), async || accounts.require_service(name)).await;
    assert_eq!(ask("transfer-service").await, Ok(()));
    assert_eq!(ask("auth-service").await, Err(Refused::Forbidden));
    let admin = with((pass.0, &pass.1), async || accounts.require_admin()).await;
    assert_eq!(admin, Err(Refused::Forbidden));

    let pass = gateway.admin_pass();
    let admin = with((pass.0, &pass.1), async || accounts.require_admin()).await;
    assert_eq!(admin, Ok(()));
    let service = with((pass.0, &pass.1), async || {
        accounts.require_service("api-producer")
    })
    .await;
    assert_eq!(service, Err(Refused::Forbidden));

    // A session is not a pass, nor the other way round.
    let session = transfers
        .begin_session(UserId::new(), "ada", HOUR)
        .await
        .unwrap();
    let admin = with((pass.0, &session), async || accounts.require_admin()).await;
    assert_eq!(admin, Err(Refused::Unauthenticated));
    assert_eq!(
        accounts.user_of(&pass.1).await,
        Err(Refused::Unauthenticated)
    );
    assert_eq!(accounts.require_admin(), Err(Refused::Unauthenticated));
}

/// What is said to a pass where it takes the transfer service's, and where the administrator's.
async fn admissions(accounts: &Identity, pass: &str) -> [Result<(), Refused>; 2] {
    let transfers = async || accounts.require_service(TRANSFER_SERVICE);
    let admin = async || accounts.require_admin();
    [
        with((PASS, pass), transfers).await,
        with((PASS, pass), admin).await,
    ]
}

const FORGED: [Result<(), Refused>; 2] = [Err(Refused::Unauthenticated); 2];
const ANOTHERS: [Result<(), Refused>; 2] = [Err(Refused::Forbidden); 2];

#[tokio::test]
async fn a_programs_key_makes_no_other_programs_pass() {
    let keys = Keys::draw().unwrap();
    let accounts = identity(ACCOUNT_SERVICE, &keys);
    let key_of = |program: &str| {
        let mut keys = keys.passes.signing.iter();
        &keys.find(|(of, _)| *of == program).unwrap().1
    };
    let exp = get_current_timestamp() + 60;
    let sign = |signer: &str, change: &dyn Fn(&mut Header, &mut serde_json::Value)| {
        let mut claims = json!({
            "iss": signer, "aud": "bank-services", "role": "service", "exp": exp,
        });
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key_of(signer).id.clone());
        change(&mut header, &mut claims);
        jsonwebtoken::encode(&header, &claims, &key_of(signer).key).unwrap()
    };
    let good = sign(TRANSFER_SERVICE, &|_, _| {});
    let opened = [Ok(()), Err(Refused::Forbidden)];
    assert_eq!(admissions(&accounts, &good).await, opened);

    let claim = |name: &'static str, value: &'static str| {
        move |_: &mut Header, claims: &mut serde_json::Value| claims[name] = json!(value)
    };
    let as_admin = |program: &'static str| {
        move |_: &mut Header, claims: &mut serde_json::Value| {
            claims["iss"] = json!(program);
            claims["role"] = json!("admin");
        }
    };
    let kid = |kid: Option<String>| {
        move |header: &mut Header, _: &mut serde_json::Value| {
            header.kid.clone_from(&kid);
        }
    };
    for (what, pass, expected) in [
        (
            "the gateway's as itself",
            sign(API_PRODUCER, &|_, _| {}),
            ANOTHERS,
        ),
        (
            "the gateway's as transfers",
            sign(API_PRODUCER, &claim("iss", TRANSFER_SERVICE)),
            FORGED,
        ),
        (
            "the gateway's under the key id of transfers",
            sign(API_PRODUCER, &|header, claims| {
                header.kid = Some(key_of(TRANSFER_SERVICE).id.clone());
                claims["iss"] = json!(TRANSFER_SERVICE);
            }),
            FORGED,
        ),
        (
            "auth's as transfers",
            sign(AUTH_SERVICE, &claim("iss", TRANSFER_SERVICE)),
            FORGED,
        ),
        ("auth's as itself", sign(AUTH_SERVICE, &|_, _| {}), ANOTHERS),
        (
            "transfers' for an admin",
            sign(TRANSFER_SERVICE, &as_admin(TRANSFER_SERVICE)),
            ANOTHERS,
        ),
        (
            "transfers' as the gateway",
            sign(TRANSFER_SERVICE, &as_admin(API_PRODUCER)),
            FORGED,
        ),
        (
            "an unknown key id",
            sign(TRANSFER_SERVICE, &kid(Some("00".repeat(8)))),
            FORGED,
        ),
        (
            "its name as key id",
            sign(TRANSFER_SERVICE, &kid(Some(TRANSFER_SERVICE.into()))),
            FORGED,
        ),
        ("no key id", sign(TRANSFER_SERVICE, &kid(None)), FORGED),
        (
            "another audience",
            sign(TRANSFER_SERVICE, &claim("aud", "bank")),
            FORGED,
        ),
        (
            "an unknown role",
            sign(TRANSFER_SERVICE, &claim("role", "owner")),
            FORGED,
        ),
        (
            "expired",
            sign(TRANSFER_SERVICE, &|_, claims| {
                claims["exp"] = json!(exp - 120)
            }),
            FORGED,
        ),
        (
            "long",
            sign(TRANSFER_SERVICE, &|_, claims| {
                claims["x"] = json!("x".repeat(999))
            }),
            FORGED,
        ),
        ("nothing", String::new(), FORGED),
    ] {
        assert_eq!(admissions(&accounts, &pass).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_pass_by_a_shared_secret_is_refused() {
    let keys = Keys::draw().unwrap();
    let accounts = identity(ACCOUNT_SERVICE, &keys);
    for (program, key) in &keys.passes.verifying {
        for kid in [None, Some(key.id.clone())] {
            let mut header = Header::new(Algorithm::HS256);
            header.kid = kid;
            let claims = json!({
                "iss": program, "aud": "bank-services", "role": "admin",
                "exp": get_current_timestamp() + 60,
            });
            // All that is public is tried as the secret.
            for secret in [
                &[0; 32][..],
                key.id.as_bytes(),
                key.key.try_get_as_bytes().unwrap(),
            ] {
                let pass = by_secret(&header, &claims, secret);
                assert_eq!(admissions(&accounts, &pass).await, FORGED, "{program}");
            }
        }
    }
}

#[tokio::test]
async fn a_program_without_a_key_of_its_own_has_no_pass() {
    let keys = Keys::draw().unwrap();
    let accounts = identity(ACCOUNT_SERVICE, &keys);
    let mut public = keys.clone();
    public.passes.signing.clear();
    for nobody in [NOTIFICATION_SERVICE, TRANSFER_SERVICE] {
        let nobody = identity(nobody, &public);
        assert!(!nobody.can_issue_passes());
        for (_, pass) in [nobody.service_pass(), nobody.admin_pass()] {
            assert_eq!(admissions(&accounts, &pass).await, FORGED);
        }
    }
    // Whose key is for replies alone has none that opens anything.
    let notifications = identity(NOTIFICATION_SERVICE, &keys);
    for (_, pass) in [notifications.service_pass(), notifications.admin_pass()] {
        assert_eq!(admissions(&accounts, &pass).await, ANOTHERS);
    }
    let transfers = identity(TRANSFER_SERVICE, &keys);
    assert!(transfers.can_issue_passes());
    // What has no private key still verifies.
    let accounts = identity(ACCOUNT_SERVICE, &public);
    let opened = admissions(&accounts, &transfers.service_pass().1).await;
    assert_eq!(opened, [Ok(()), Err(Refused::Forbidden)]);
}

#[tokio::test]
async fn passes_of_the_old_key_are_good_until_it_is_dropped() {
    let (old, mut keys) = (Keys::draw().unwrap(), Keys::draw().unwrap());
    let pass = identity(TRANSFER_SERVICE, &old).service_pass().1;
    assert_eq!(
        admissions(&identity(ACCOUNT_SERVICE, &keys), &pass).await,
        FORGED
    );
    keys.passes.verifying.extend(old.passes.verifying);
    let opened = [Ok(()), Err(Refused::Forbidden)];
    assert_eq!(
        admissions(&identity(ACCOUNT_SERVICE, &keys), &pass).await,
        opened
    );
    let new = identity(TRANSFER_SERVICE, &keys).service_pass().1;
    assert_eq!(
        admissions(&identity(ACCOUNT_SERVICE, &keys), &new).await,
        opened
    );
}
