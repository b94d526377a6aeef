//! Events that nobody is told of: forged, or such as no database takes. They hold nobody else up.

use crate::stage::{Replica, deposit, on_both, party, transfer};
use chassis::settings::PlatformSettings;
use contracts::{Movement, TransactionCompleted, notification::GROUP};
use replybus::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use town::wait::eventually;

/// More than are handled at once.
const MANY: u64 = 12;

/// Whatever somebody writes to the exchange.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[event("transaction.completed", exchange = "banking_events")]
#[serde(transparent)]
struct Foreign(Value);

impl Replica {
    /// Waits until so many events are dead letters.
    async fn until_dead(&self, count: u64) {
        let queue = format!("{GROUP}.dead");
        eventually("they are dead letters", async || {
            let state = self.platform.bus.inspect(&queue).await.unwrap()?;
            (state.waiting >= count).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn nobody_is_told_of_what_the_program_whose_business_it_is_did_not_sign() {
    on_both(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let stranger = Replica::start(PlatformSettings::with_database(url)).await;
        let (ada, bob) = (party("ada"), party("bob"));
        let (moved, paid_in) = (transfer(&ada, &bob, 1), deposit(&bob, 1, 2));

        // Not signed; by who is none of ours; by one of ours whose business it is not.
        replica.emit_bare(&moved).await;
        let strangers = stranger.platform.identity.of_program("transfer-service");
        replica
            .emit_bare(&strangers.sign(moved.clone()).unwrap())
            .await;
        replica.emit_as("auth-service", &moved).await;
        replica.emit_as("account-service", &moved).await;
        replica.emit_as("transfer-service", &paid_in).await;
        // By its pass instead.
        let program = replica.platform.identity.of_program("transfer-service");
        let (_, pass) = program.service_pass();
        replica
            .emit_bare(&TransactionCompleted {
                proof: Some(pass),
                ..moved.clone()
            })
            .await;
        let proved = program.sign(moved.clone()).unwrap().proof.unwrap();
        let (claims, signature) = proved.rsplit_once('.').unwrap();
        for proof in [format!("{claims}.AAAA"), format!("{claims}A.{signature}")] {
            let proof = Some(proof);
            replica
                .emit_bare(&TransactionCompleted {
                    proof,
                    ..moved.clone()
                })
                .await;
        }
        replica.until_dead(8).await;
        assert_eq!(replica.total().await, 0);

        // What stands beside a proof is not told.
        let rich = TransactionCompleted {
            proof: Some(proved),
            ..transfer(&party("The.Bank"), &party("mallory"), 1_000_000_000_000)
        };
        replica.emit_bare(&rich).await;
        replica.emit(&paid_in).await;
        let told = replica.until_listed(&bob, 2).await;
        let told: Vec<_> = told.into_iter().map(|one| one.message).collect();
        assert!(
            told.contains(&"You received 0.01 from ada".to_owned()),
            "{told:?}"
        );
        let of_deposit = "Deposit of 0.01 completed. New balance: 0.02".to_owned();
        assert!(told.contains(&of_deposit), "{told:?}");
        assert_eq!(replica.total().await, 3);
        for replica in [replica, stranger] {
            replica.running.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_transaction_holds_no_place() {
    on_both(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let (ada, bob) = (party("ada"), party("bob"));
        let event = serde_json::to_value(transfer(&ada, &bob, 1)).unwrap();
        let names = [
            "a\0a",
            "The Bank\u{202e}",
            "<b>bank</b>",
            &"x".repeat(200_000),
        ];
        for name in names
            .into_iter()
            .cycle()
            .take(usize::try_from(MANY).unwrap())
        {
            let mut foreign = event.clone();
            foreign["from"]["username"] = json!(name);
            replica.emit_bare(&Foreign(foreign)).await;
        }
        replica.emit(&transfer(&ada, &bob, 70)).await;
        replica.until_listed(&bob, 1).await;
        replica.until_dead(MANY).await;
        assert_eq!(replica.total().await, 2);
        replica.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_the_database_never_takes_holds_no_place() {
    on_both(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let migrations = notification_service::migrations();
        let database = replica.platform.database("notification", &migrations).await;
        let database = database.unwrap();
        let refuse = if url.starts_with("sqlite:") {
            "CREATE TRIGGER refuses BEFORE INSERT ON notifications
            WHEN NEW.message LIKE '%0.13%' BEGIN SELECT RAISE(ABORT, 'no'); END"
        } else {
            "ALTER TABLE notifications ADD CONSTRAINT refuses CHECK (message NOT LIKE '%0.13%')"
        };
        sqlx::query(refuse).execute(database.pool()).await.unwrap();
        let (ada, bob) = (party("ada"), party("bob"));
        for _ in 0..MANY {
            replica.emit(&deposit(&ada, 13, 1_000)).await;
        }
        replica.emit(&deposit(&bob, 70, 1_000)).await;
        replica.until_listed(&bob, 1).await;
        replica.until_dead(MANY).await;
        assert_eq!(replica.total().await, 1);
        database.close().await;
        replica.running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn one_bad_row_never_breaks_a_list() {
    on_both(async |url| {
        let replica = Replica::start(PlatformSettings::with_database(url)).await;
        let bob = party("bob");
        replica.emit(&deposit(&bob, 70, 1_000)).await;
        replica.until_listed(&bob, 1).await;
        let migrations = notification_service::migrations();
        let database = replica.platform.database("notification", &migrations).await;
        let database = database.unwrap();
        let long = format!("\u{202e}<b>You</b>\n{}", "x".repeat(200_000));
        for (id, message, created_at) in [
            ("no id", "of a row without an id", 2_i64),
            (
                "0193b3c0-0000-7000-8000-000000000001",
                "out of time",
                i64::MAX,
            ),
            ("0193b3c0-0000-7000-8000-000000000002", &long, 1),
        ] {
            let insert = "INSERT INTO notifications (id, event, user_id, message, created_at)
                VALUES ($1, $1, $2, $3, $4)";
            let insert = sqlx::query(insert).bind(id).bind(bob.user_id.to_string());
            let inserted = insert
                .bind(message)
                .bind(created_at)
                .execute(database.pool());
            inserted.await.unwrap();
        }
        database.close().await;
        let listed = replica.list(&bob).await;
        let listed: Vec<_> = listed.into_iter().map(|one| one.message).collect();
        let [paid_in, cleaned] = listed.as_slice() else {
            panic!("{listed:?}");
        };
        assert!(paid_in.starts_with("Deposit of 0.70"), "{paid_in}");
        assert!(
            cleaned.starts_with("<b>You</b>xxx") && cleaned.len() < 1_000,
            "{cleaned}"
        );
        let (name, pass) = replica.admin_pass();
        let page = replica.client.admin_notifications(Default::default(), None);
        let page = page.metadata(name, pass.as_str()).await.unwrap();
        assert_eq!((page.total, page.items.len()), (4, 2));
        replica.running.stop().await;
    })
    .await;
}

#[test]
fn a_withdrawal_is_proved_as_a_deposit_is() {
    let keys = chassis::keys::Keys::draw().unwrap();
    let sessions = chassis::identity::SessionStore::memory();
    let bank = chassis::Identity::new("account-service", &keys, sessions);
    let from = party("ada");
    let event = TransactionCompleted {
        movement: Movement::Withdrawal {
            from,
            new_balance: 0,
        },
        ..deposit(&party("bob"), 1, 1)
    };
    let signed = bank.sign(event.clone()).unwrap();
    assert_eq!(bank.proved(&signed).unwrap(), event);
    for other in ["transfer-service", "notification-service"] {
        let foreign = bank.of_program(other).sign(event.clone()).unwrap();
        let refused = bank.proved(&foreign).unwrap_err().to_string();
        assert!(refused.contains(other), "{refused}");
    }
    let without = bank.of_program("town");
    assert!(without.sign(signed).is_err());
}
