//! What is counted as it is written, so that nobody counts it again.

use crate::{bank::Bank, on_both_databases};
use chassis::Database;
use contracts::{PageRequest, transfer::TransferTotals};
use sqlx::migrate::Migrator;
use std::sync::Arc;
use uuid::Uuid;

on_both_databases! {
    what_an_older_version_left_is_counted_and_what_it_writes_beside_a_newer_one,
    totals_that_can_not_be_counted_are_the_most_that_can,
}

async fn totals(bank: &Bank) -> TransferTotals {
    let admin = bank.platform.identity.of_program("api-producer");
    let (name, pass) = admin.admin_pass();
    let totals = bank.transfers().admin_totals().metadata(name, &pass);
    totals.await.unwrap()
}

/// Writes a transfer as any version does, and completes it.
async fn write(database: &Database, from: &str, to: &str, amount: i64, state: &str) {
    let id = Uuid::now_v7().to_string();
    let record = "INSERT INTO transfers (id, from_user, from_username, from_account, to_user,
            to_username, to_account, recipient, amount, idempotency_key, created_at, leased_until,
            state, attempts)
        VALUES ($1, $2, 'payer', '111111', $3, 'payee', '222222', 'username payee', $4, $1, 1,
            9000000000000000000, 'pending', 0)";
    let record = sqlx::query(record)
        .bind(&id)
        .bind(from)
        .bind(to)
        .bind(amount);
    record.execute(database.pool()).await.unwrap();
    let settle = "UPDATE transfers SET state = $2, settled_at = 1,
            rejection = CASE $2 WHEN 'rejected' THEN 'insufficient_balance' END
        WHERE id = $1 AND state = 'pending'";
    if state != "pending" {
        let settle = sqlx::query(settle).bind(&id).bind(state);
        settle.execute(database.pool()).await.unwrap();
    }
}

async fn what_an_older_version_left_is_counted_and_what_it_writes_beside_a_newer_one(
    bank: Arc<Bank>,
) {
    let first = transfer_service::migrations();
    let first = first.iter().filter(|migration| migration.version == 1);
    let first = Migrator::with_migrations(first.cloned().collect());
    let older = bank.platform.database("transfer", &first).await.unwrap();
    let ada = bank.customer("ada", 500).await;
    let bob = bank.customer("bob", 500).await;
    let (a, b) = (ada.party.user_id.to_string(), bob.party.user_id.to_string());
    write(&older, &a, &b, 2_000_000_007, "completed").await;
    write(&older, &a, &b, 5, "rejected").await;
    write(&older, &b, &a, 3, "completed").await;
    write(&older, &b, &a, 4, "pending").await;
    // One connection is all that a file has.
    older.close().await;

    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let counted = async |totals_are: (u64, i64), of_ada: u64, of_bob: u64| {
        let totals = totals(&bank).await;
        assert_eq!((totals.transfers, totals.amount), totals_are);
        // Those that were not made are among all.
        let admin = bank.platform.identity.of_program("api-producer");
        let (name, pass) = admin.admin_pass();
        let all = PageRequest::default();
        let all = bank.transfers().admin_transfers(all, None, None);
        let all = all.metadata(name, &pass).await.unwrap();
        assert_eq!(u64::try_from(all.items.len()), Ok(all.total));
        assert_eq!(i64::try_from(all.total), Ok(bank.count("transfers").await));
        for (customer, count) in [(&ada, of_ada), (&bob, of_bob)] {
            let page = bank.transfers().transactions(PageRequest::default());
            let page = page.metadata("session", &customer.session).await.unwrap();
            assert_eq!(page.total, count);
            assert_eq!(u64::try_from(page.items.len()), Ok(count));
        }
    };
    counted((2, 2_000_000_010), 3, 3).await;

    let older = bank.platform.database("transfer", &first).await.unwrap();
    write(&older, &a, &b, 10, "completed").await;
    older.close().await;
    ada.pay("bob", 100, "new").await.unwrap();
    counted((4, 2_000_000_120), 5, 5).await;
}

async fn totals_that_can_not_be_counted_are_the_most_that_can(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let database = bank.database().await;
    for _ in 0..4 {
        write(&database, "payer", "payee", i64::MAX / 3, "completed").await;
    }
    database.close().await;
    let totals = totals(&bank).await;
    assert_eq!((totals.transfers, totals.amount), (4, i64::MAX));
}
