//! The services themselves, asked over the bus without the gateway in between: none of them takes
//! its word for who asks.

use super::live_bank;
use chassis::{
    Identity,
    identity::{SESSION, SessionStore},
    keys::Keys,
};
use contracts::{
    AccountNumber, Amount, IdempotencyKey, Movement, PageRequest, Party, Refused,
    TransactionCompleted, UserId,
    account::{
        AccountError, AccountsClient, NewHolder, Recipient, StatementFilter, TransferPosting,
    },
    auth::{AuthClient, AuthError},
    notification::{GROUP, NotificationError, NotificationsClient},
    program::TRANSFER_SERVICE,
    transfer::{TransferError, TransferOrder, TransfersClient},
};
use jiff::Timestamp;
use replybus::{Amqp, Bus, CallError, FailureKind, Never, queue_handler, signature::SigningKey};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live,
    publisher::{RawPublisher, short},
    servers::Workplace,
};
use serde_json::json;
use std::{fs, path::Path, time::Duration};
use town::{Bank, wait::eventually};
use uuid::Uuid;

/// What the account service asks of itself.
#[queue_handler("account.months")]
trait MonthJobs {
    #[command(job = "1h")]
    async fn make(&self, statement: Uuid) -> Result<(), Never>;
}

/// Asks every method but `health`, `register` and `login` with this metadata, and hands each
/// outcome to `judge` with the method's name and whether it is for the administrator, a service or
/// a user.
macro_rules! ask_all {
    ($bus:expr, $entry:expr, $judge:expr) => {{
        let (bus, entry): (&Bus, Option<(&str, &str)>) = ($bus, $entry);
        let (auth, accounts) = (AuthClient::new(bus), AccountsClient::new(bus));
        let (transfers, notifications) = (TransfersClient::new(bus), NotificationsClient::new(bus));
        let (page, amount) = (PageRequest::default(), Amount::new(5).unwrap());
        let (number, key) = (AccountNumber::draw(), IdempotencyKey::draw());
        let to = Recipient::Username("somebody".to_owned());
        let order = TransferOrder { to: to.clone(), amount, reference: None, key: key.clone() };
        let posting = TransferPosting {
            transfer: Uuid::now_v7(),
            from: number.clone(),
            to: AccountNumber::draw(),
            amount,
            reference: None,
        };
        let holder = NewHolder {
            user_id: UserId::new(),
            username: "mallory".to_owned(),
            phone: None,
        };
        macro_rules! ask {
            ($for:ident $call:expr) => {{
                let call = match entry {
                    Some((name, value)) => $call.metadata(name, value),
                    None => $call,
                };
                $judge(stringify!($call), For::$for, refusal(call.await));
            }};
        }
        ask!(User accounts.me());
        ask!(User accounts.balance());
        ask!(User accounts.lookup(Recipient::AccountNumber(number.clone())));
        ask!(User accounts.deposit(amount, key.clone()));
        ask!(User accounts.withdraw(amount, key.clone()));
        ask!(User accounts.statement(page, StatementFilter::default()));
        ask!(Service accounts.open(holder));
        ask!(Service accounts.parties(UserId::new(), to));
        ask!(Service accounts.post_transfer(posting));
        ask!(Admin accounts.admin_totals());
        ask!(Admin accounts.admin_users(page, None));
        ask!(Admin accounts.admin_user(UserId::new()));
        ask!(User transfers.transfer(order));
        ask!(User transfers.transactions(page));
        ask!(Admin transfers.admin_totals());
        ask!(Admin transfers.admin_transfers(page, None, None));
        ask!(User notifications.list(page));
        ask!(User notifications.mark_read(None));
        ask!(Admin notifications.admin_total());
        ask!(Admin notifications.admin_notifications(page, None));
        // The last, for afterwards a session is none.
        ask!(User auth.logout());
    }};
}

/// Whom a method is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    User,
    Service,
    Admin,
}

/// Why a service refused; nothing if it did not, or for a reason that has to do with what was
/// asked.
fn refusal<T, E: MayRefuse>(outcome: Result<T, CallError<E>>) -> Option<Refused> {
    match outcome {
        Ok(_) => None,
        Err(CallError::Handler(error)) => error.refused(),
        Err(CallError::Bus(failure)) => panic!("{failure}"),
    }
}

/// A service's own error.
trait MayRefuse {
    fn refused(self) -> Option<Refused>;
}

macro_rules! may_refuse {
    ($($error:ident)+) => {
        $(impl MayRefuse for $error {
            fn refused(self) -> Option<Refused> {
                match self {
                    Self::Refused(refused) => Some(refused),
                    _ => None,
                }
            }
        })+
    };
}

may_refuse!(AuthError AccountError TransferError NotificationError);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_service_takes_the_gateways_word_for_who_asks() {
    let Some(bank) = live_bank().await else {
        return;
    };
    bank.lent_to(nobody_is_believed_without_proof)
        .await
        .unwrap();
}

async fn nobody_is_believed_without_proof(bank: &Bank) {
    let stranger = bus(bank, None).await;
    let unsigned = AccountsClient::new(&stranger).me().await.unwrap_err();
    assert_eq!(unsigned.kind(), Some(FailureKind::Denied), "{unsigned}");
    stranger.close(Duration::from_secs(5)).await;

    let directory = bank.keys().unwrap();
    let transfers = bus(bank, key_of(TRANSFER_SERVICE, &directory)).await;
    let elsewhere = AuthClient::new(&transfers).logout().await.unwrap_err();
    assert_eq!(elsewhere.kind(), Some(FailureKind::Denied), "{elsewhere}");
    let not_its_own = MonthJobsClient::new(&transfers).make(Uuid::nil());
    let not_its_own = not_its_own.await.unwrap_err();
    assert_eq!(
        not_its_own.kind(),
        Some(FailureKind::Denied),
        "{not_its_own}"
    );
    transfers.close(Duration::from_secs(5)).await;

    // Not even that of one who has its key, and signs what is asked.
    let keys = Keys::load(&directory).unwrap();
    let bus = bus(bank, keys.of_requests().unwrap()).await;
    let refused_as = |expected: Refused| {
        move |method: &str, _: For, refusal: Option<Refused>| {
            assert_eq!(refusal, Some(expected), "{method}");
        }
    };
    ask_all!(&bus, None, refused_as(Refused::Unauthenticated));

    // Another bank's session and passes: well made, with other keys.
    let stranger = Identity::new(
        "auth-service",
        &Keys::draw().unwrap(),
        SessionStore::memory(),
    );
    let session = stranger.begin_session(UserId::new(), "mallory", Duration::from_secs(60));
    let session = session.await.unwrap();
    let forged = Some((SESSION, session.as_str()));
    ask_all!(&bus, forged, refused_as(Refused::Unauthenticated));
    for (name, pass) in [stranger.service_pass(), stranger.admin_pass()] {
        let forged = Some((name, pass.as_str()));
        ask_all!(&bus, forged, refused_as(Refused::Unauthenticated));
    }

    // A user's good session opens what is theirs, and neither a service's doors nor the vault.
    let ada = town::customer(bank.client(), "ada").await.unwrap();
    let session = Some((SESSION, ada.session.as_str()));
    ask_all!(
        &bus,
        session,
        |method: &str, who: For, refusal: Option<Refused>| {
            let expected = (who != For::User).then_some(Refused::Unauthenticated);
            assert_eq!(refusal, expected, "{method}");
        }
    );

    // The gateway's own pass is no other service's, and no administrator's.
    let gateway = Identity::new("api-producer", &keys, SessionStore::memory());
    let (name, pass) = gateway.service_pass();
    let pass = Some((name, pass.as_str()));
    ask_all!(
        &bus,
        pass,
        |method: &str, who: For, refusal: Option<Refused>| {
            let expected = match who {
                For::User => Refused::Unauthenticated,
                For::Service | For::Admin => Refused::Forbidden,
            };
            assert_eq!(refusal, Some(expected), "{method}");
        }
    );
    no_event_is_believed_that_lies_in_the_groups_queue(bank, &bus).await;
    bus.close(Duration::from_secs(5)).await;
}

/// Whoever may write to the default exchange reaches the queue of a group without its exchange.
async fn no_event_is_believed_that_lies_in_the_groups_queue(bank: &Bank, bus: &Bus) {
    let eve = town::customer(bank.client(), "eve").await.unwrap();
    let party = |user_id, username: &str| Party {
        user_id,
        username: username.parse().unwrap(),
        account_number: AccountNumber::draw(),
    };
    let eves_id = serde_json::from_value(json!(eve.id)).unwrap();
    let forged = TransactionCompleted {
        id: Uuid::now_v7(),
        movement: Movement::Transfer {
            from: party(UserId::new(), "The.Bank"),
            to: party(eves_id, &eve.username),
        },
        amount: Amount::new(Amount::MAX).unwrap(),
        completed_at: Timestamp::now(),
        proof: None,
    };
    let dead = format!("{GROUP}.dead");
    let letters = async || bus.inspect(&dead).await.unwrap().unwrap().waiting;
    let before = letters().await;
    // A content type, and that it is persistent.
    let properties = [&[0x90, 0][..], &short(b"application/json"), &[2]].concat();
    let queue = format!("{}.{GROUP}", bank.site().unwrap().namespace());
    let body = serde_json::to_vec(&forged).unwrap();
    let mut publisher = RawPublisher::connect(&live::amqp_url()).await.unwrap();
    let published = publisher.publish(b"", queue.as_bytes(), &properties, &body);
    published.await.unwrap();
    eventually("it is a dead letter", async || {
        (letters().await > before).then_some(())
    })
    .await;
    // All that she is told is her own.
    let paid_in = eve.post("/api/account/deposit");
    paid_in.json(&json!({ "amount": 5 })).ok().await.unwrap();
    let told = eventually("she is told", async || {
        let list = eve.get("/api/notifications/notifications").ok().await;
        let list = list.unwrap().as_array().unwrap().clone();
        (!list.is_empty()).then_some(list)
    })
    .await;
    assert_eq!(told.len(), 1);
    let message = told[0]["message"].as_str().unwrap();
    assert!(message.starts_with("Deposit of 0.05"), "{message}");
}

/// The key that the program signs its requests with when it is alone in its process.
fn key_of(program: &str, directory: &Path) -> Option<SigningKey> {
    let own = Workplace::new("keys").unwrap();
    let private = format!("pass-signing-{program}.pem");
    for name in [&private, "session-verifying.pem", "pass-verifying.pem"] {
        fs::copy(directory.join(name), own.path(name)).unwrap();
    }
    Keys::load(own.directory()).unwrap().of_requests().unwrap()
}

/// A bus beside the gateway's, which signs with a key.
async fn bus(bank: &Bank, key: Option<SigningKey>) -> Bus {
    let mut builder = Bus::builder().namespace(bank.site().unwrap().namespace());
    if let Some(key) = key {
        builder = builder.sign(key);
    }
    let (amqp, redis) = (
        Amqp::new(live::amqp_url()),
        RedisReplies::new(live::redis_url()),
    );
    builder.connect(amqp, redis).await.unwrap()
}
