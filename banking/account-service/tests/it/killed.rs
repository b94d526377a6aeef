//! PostgreSQL is killed while it works on a group.

use crate::{
    branch::{Branch, Customer},
    faults::to_its_fate,
};
use contracts::account::OPENING_BALANCE;
use futures_util::future::join_all;
use replybus_testkit::servers::PrivatePostgres;
use sqlx::{Connection as _, Executor as _, PgConnection};
use town::wait::eventually;
use uuid::Uuid;

/// Postings that are asked for at once.
const AT_ONCE: usize = 24;
const KILLS: usize = 3;

/// Keeps an account locked, so that groups stand where they have written their postings and nothing
/// else.
async fn lock(url: &str, account: &Customer) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute("BEGIN").await.unwrap();
    let lock = "SELECT balance FROM account.accounts WHERE account_number = $1 FOR UPDATE";
    let lock = sqlx::query(lock).bind(account.number.as_str());
    connection.fetch_one(lock).await.unwrap();
    connection
}

async fn somebody_waits_for_the_lock(locking: &mut PgConnection) {
    let waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted";
    let locking = tokio::sync::Mutex::new(locking);
    eventually("a group waits for the account", async || {
        let mut locking = locking.lock().await;
        let (waiting,): (i64,) = sqlx::query_as(waiting)
            .fetch_one(&mut **locking)
            .await
            .unwrap();
        (waiting > 0).then_some(())
    })
    .await;
}

/// Starts it again. What ran in its name may take a moment to notice that it is gone.
async fn start_again(postgres: &mut PrivatePostgres) {
    let postgres = tokio::sync::Mutex::new(postgres);
    eventually("PostgreSQL is back", async || {
        let mut postgres = postgres.lock().await;
        postgres.restart().await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_dies_with_postgresql_is_posted_once_and_whole_afterwards() {
    let test = async |branch: &Branch, postgres: &mut PrivatePostgres| {
        let [ada, grace, alan]: [Customer; 3] = branch.customers().await;
        let url = postgres.url();
        for kill in 0..KILLS {
            let mut locking = lock(&url, &ada).await;
            let killed = async {
                somebody_waits_for_the_lock(&mut locking).await;
                postgres.kill();
                drop(locking);
                start_again(postgres).await;
            };
            let pairs = [(&ada, &grace), (&grace, &alan), (&alan, &ada)];
            let posted = pairs.into_iter().cycle().take(AT_ONCE).map(|(from, to)| {
                let id = Uuid::now_v7();
                async move { to_its_fate(async || branch.post(id, from, to, 5).await).await }
            });
            let ((), posted) = tokio::join!(killed, join_all(posted));
            assert!(posted.iter().all(Result::is_ok), "{kill}: {posted:?}");
        }
        for customer in [&ada, &grace, &alan] {
            // Everybody paid as often as they were paid.
            let balance = to_its_fate(async || customer.asks(branch.accounts.balance()).await);
            assert_eq!(balance.await.unwrap().balance, OPENING_BALANCE);
            let entries = customer.statement(1, 1).await.total;
            let posted = u64::try_from(2 * KILLS * AT_ONCE / 3).unwrap();
            assert_eq!(entries, 1 + posted, "each posting is there once");
        }
    };
    Branch::on_a_server_of_its_own(test).await;
}
