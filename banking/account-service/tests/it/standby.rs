//! PostgreSQL fails over to its standby under load.

use crate::{
    branch::{Branch, Customer},
    faults::to_its_fate,
};
use contracts::{
    Refused,
    account::{AccountError, OPENING_BALANCE},
};
use futures_util::{StreamExt as _, stream};
use replybus_testkit::{
    proxy::{Mode, Proxy},
    servers::PrivatePostgres,
};
use std::sync::atomic::{AtomicU64, Ordering};
use town::wait::eventually;
use uuid::Uuid;

/// Customers who pay each other in a ring, so that in the end nobody has more or less by it.
const CUSTOMERS: usize = 3;
const POSTINGS: usize = 300;
const AT_ONCE: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_to_a_standby_makes_no_money_and_loses_none() {
    let test = async |branch: &Branch, proxy: &Proxy, servers: &mut [PrivatePostgres; 2]| {
        let customers: [Customer; CUSTOMERS] = branch.customers().await;
        let customers = &customers;
        let done = AtomicU64::new(0);
        let done = &done;
        let posted = stream::iter(0..POSTINGS).map(|n| async move {
            let (from, to) = (&customers[n % CUSTOMERS], &customers[(n + 1) % CUSTOMERS]);
            let id = Uuid::now_v7();
            let post = async || branch.post(id, from, to, 5).await;
            let posted = to_its_fate(post).await.unwrap();
            done.fetch_add(1, Ordering::Relaxed);
            (n, id, posted)
        });
        let posted = posted.buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        let has_done = async |more: u64| {
            let enough = done.load(Ordering::Relaxed) + more;
            let has_done = async || (done.load(Ordering::Relaxed) >= enough).then_some(());
            eventually("postings are made", has_done).await;
        };
        let failing_over = async {
            has_done(40).await;
            let [primary, standby] = &mut *servers;
            primary.kill();
            // The address leads to the standby before that may be written to.
            proxy.lead_to(standby.address());
            proxy.set(Mode::Cut);
            let asked = async || {
                let balance = customers[0].asks(branch.accounts.balance()).await;
                balance.is_ok().then_some(())
            };
            eventually("the standby is read", asked).await;
            let refused = branch.post(Uuid::now_v7(), &customers[0], &customers[1], 1);
            let refused = refused.await.unwrap_err();
            standby.promote().await.unwrap();
            has_done(40).await;
            refused
        };
        let (posted, refused) = tokio::join!(posted, failing_over);
        assert!(
            matches!(
                refused.handler(),
                Some(AccountError::Refused(Refused::Unavailable))
            ),
            "{refused:?}"
        );
        assert_eq!(posted.len(), POSTINGS);
        // Each is known, and is not made again.
        for (n, id, before) in posted {
            let (from, to) = (&customers[n % CUSTOMERS], &customers[(n + 1) % CUSTOMERS]);
            let again = to_its_fate(async || branch.post(id, from, to, 5).await).await;
            assert_eq!(again.unwrap(), before);
        }
        for customer in customers {
            assert_eq!(customer.balance().await, OPENING_BALANCE);
            let entries = customer.statement(1, 1).await.total;
            assert_eq!(entries, 1 + 2 * (POSTINGS / CUSTOMERS) as u64);
        }
    };
    Branch::with_a_standby(test).await;
}
