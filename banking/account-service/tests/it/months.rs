//! Statements of months, which jobs make.

use crate::branch::{Branch, Customer, key, refusal};
use contracts::{
    Month, Refused, TimeZoneName, UserId,
    account::AccountError,
    month_statement::{MonthOrder, MonthState, MonthStatement},
};
use futures_util::{TryStreamExt as _, future::join_all};
use jiff::Timestamp;
use replybus::{CallError, Never, queue_handler};
use std::collections::HashSet;
use town::{history::deposit_many, wait::eventually};
use uuid::Uuid;

/// The jobs of the service, as whoever may write to its queue sends them.
#[queue_handler("account.months")]
trait Forged {
    #[command(job = "1h")]
    async fn make(&self, statement: Uuid) -> Result<(), Never>;
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn order(text: &str, name: &str) -> MonthOrder {
    MonthOrder {
        month: month(text),
        time_zone: TimeZoneName::utc(),
        key: key(name),
    }
}

/// The month that it is now.
fn this_month() -> String {
    Timestamp::now().to_string()[..7].to_owned()
}

impl Customer {
    async fn begin(
        &self,
        branch: &Branch,
        order: MonthOrder,
    ) -> Result<MonthStatement, CallError<AccountError>> {
        self.asks(branch.accounts.begin_month_statement(order))
            .await
    }

    async fn look(&self, branch: &Branch, id: Uuid) -> MonthStatement {
        let looked = self.asks(branch.accounts.month_statement(id));
        looked.await.unwrap()
    }

    async fn made(&self, branch: &Branch, id: Uuid) -> MonthStatement {
        eventually("it is made", async || {
            let statement = self.look(branch, id).await;
            assert_ne!(statement.state, MonthState::Failed);
            (statement.state == MonthState::Made).then_some(statement)
        })
        .await
    }

    /// The numbers of the entries of one that is made.
    async fn numbers(&self, branch: &Branch, id: Uuid) -> Vec<i64> {
        let entries = branch.accounts.month_statement_entries(id);
        let entries = entries.metadata("session", &self.session).await.unwrap();
        let numbers = entries.map_ok(|entry| entry.number);
        numbers.try_collect().await.unwrap()
    }
}

/// Has the entries up to a number posted at a moment that has passed.
async fn posted_at(branch: &Branch, ada: &Customer, up_to: i64, at: &str) {
    let at: Timestamp = at.parse().unwrap();
    let update = "UPDATE postings SET posted_at = $1 WHERE posted_at > $1 AND id IN (
        SELECT posting FROM entries WHERE account_number = $2 AND number <= $3)";
    sqlx::query(update)
        .bind(at.as_microsecond())
        .bind(ada.number.as_str())
        .bind(up_to)
        .execute(branch.database.pool())
        .await
        .unwrap();
}

/// A row as a process that has died since left it.
async fn left_open(branch: &Branch, ada: &Customer, name: &str, looked_at: i64, sum: i64) -> Uuid {
    let id = Uuid::now_v7();
    let (begins, ends) = month("2026-01").bounds(&TimeZoneName::utc()).unwrap();
    let insert = "INSERT INTO month_statements (id, user_id, idempotency_key, month, time_zone,
            begins_at, ends_at, up_to, state, looked_at, opening, created_at)
        SELECT $1, user_id, $3, '2026-01', 'UTC', $4, $5, entries, 'open', $6, $7, $8
        FROM accounts WHERE user_id = $2";
    sqlx::query(insert)
        .bind(id.to_string())
        .bind(ada.id.to_string())
        .bind(name)
        .bind(begins.as_microsecond())
        .bind(ends.as_microsecond())
        .bind(looked_at)
        .bind(sum)
        .bind(Timestamp::now().as_microsecond())
        .execute(branch.database.pool())
        .await
        .unwrap();
    id
}

async fn a_statement_has_what_was_before_what_moved_and_what_is_left(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    ada.deposit(500, "before").await.unwrap();
    posted_at(branch, &ada, 2, "2026-01-31T23:59:59.999999Z").await;
    branch.post(Uuid::now_v7(), &ada, &grace, 30).await.unwrap();
    branch.post(Uuid::now_v7(), &grace, &ada, 4).await.unwrap();
    posted_at(branch, &ada, 4, "2026-02-01T00:00:00Z").await;
    ada.withdraw(100, "afterwards").await.unwrap();

    let begun = ada.begin(branch, order("2026-02", "feb")).await.unwrap();
    let made = ada.made(branch, begun.id).await;
    assert_eq!((made.done, made.total), (5, 5));
    let result = made.result.unwrap();
    assert_eq!(
        (result.opening_balance, result.closing_balance),
        (100_500, 100_474)
    );
    assert_eq!(
        (result.paid_in, result.paid_out, result.entries),
        (4, 30, 2)
    );
    assert!(result.is_whole);
    assert_eq!(result.to.to_string(), "2026-03-01T00:00:00Z");
    assert_eq!(ada.numbers(branch, made.id).await, [4, 3]);

    // By the days of another place the month began before.
    let mut there = order("2026-02", "there");
    there.time_zone = "Asia/Ho_Chi_Minh".parse().unwrap();
    let there = ada.begin(branch, there).await.unwrap();
    let there = ada.made(branch, there.id).await.result.unwrap();
    assert_eq!((there.opening_balance, there.entries), (0, 4));

    // One in which nothing moved, and one that goes on.
    let empty = ada.begin(branch, order("2026-03", "mar")).await.unwrap();
    let empty = ada.made(branch, empty.id).await;
    let result = empty.result.unwrap();
    assert_eq!((result.opening_balance, result.entries), (100_474, 0));
    assert_eq!(result.closing_balance, 100_474);
    assert!(ada.numbers(branch, empty.id).await.is_empty());
    let now = ada
        .begin(branch, order(&this_month(), "now"))
        .await
        .unwrap();
    let now = ada.made(branch, now.id).await.result.unwrap();
    assert!(!now.is_whole);
    assert_eq!((now.paid_out, now.closing_balance), (100, 100_374));
}

async fn one_key_is_one_statement_and_another_month_under_it_a_conflict(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    let begun = (0..10).map(|_| ada.begin(branch, order("2026-01", "key")));
    let begun = join_all(begun).await.into_iter().map(Result::unwrap);
    let ids: HashSet<_> = begun.map(|begun| begun.id).collect();
    assert_eq!(ids.len(), 1);
    let id = ids.into_iter().next().unwrap();
    ada.made(branch, id).await;
    let again = ada.begin(branch, order("2026-01", "key")).await.unwrap();
    assert_eq!((again.id, again.state), (id, MonthState::Made));
    let other = ada.begin(branch, order("2026-02", "key")).await;
    assert_eq!(refusal(other), AccountError::KeyConflict);
    let hers = grace.begin(branch, order("2026-02", "key")).await.unwrap();
    assert_ne!(hers.id, id);
    grace.made(branch, hers.id).await;
}

async fn a_statement_is_its_users_alone(branch: &Branch) {
    let [ada, eve]: [Customer; 2] = branch.customers().await;
    let begun = ada.begin(branch, order("2026-01", "key")).await.unwrap();
    ada.made(branch, begun.id).await;
    let accounts = &branch.accounts;
    let none = AccountError::NotFound("Statement".to_owned());
    for id in [begun.id, Uuid::now_v7()] {
        assert_eq!(refusal(eve.asks(accounts.month_statement(id)).await), none);
        let cancelled = eve.asks(accounts.cancel_month_statement(id)).await;
        assert_eq!(refusal(cancelled), none);
        let entries = accounts.month_statement_entries(id);
        let entries = entries.metadata("session", &eve.session).await;
        assert_eq!(refusal(entries), none);
    }
    assert!(
        eve.asks(accounts.month_statements())
            .await
            .unwrap()
            .is_empty()
    );
    let all = ada.asks(accounts.month_statements()).await.unwrap();
    assert_eq!(all.len(), 1);
    // Who has no account has no statement.
    let mut nobody = eve;
    nobody.session = branch.session(UserId::new(), "nobody").await;
    let refused = nobody.begin(branch, order("2026-01", "key")).await;
    assert_eq!(
        refusal(refused),
        AccountError::NotFound("Account".to_owned())
    );
    let unsigned = accounts.month_statements().await;
    assert_eq!(refusal(unsigned), Refused::Unauthenticated.into());
}

async fn a_month_that_has_not_begun_has_no_statement(branch: &Branch) {
    let ada = branch.customer("ada").await;
    for ahead in ["9998-12", "2999-01"] {
        let refused = ada.begin(branch, order(ahead, "key")).await;
        assert_eq!(refusal(refused), AccountError::MonthAhead);
    }
    let long_ago = ada.begin(branch, order("1970-01", "key")).await.unwrap();
    let result = ada.made(branch, long_ago.id).await.result.unwrap();
    assert_eq!((result.closing_balance, result.entries), (0, 0));
}

async fn whoever_goes_on_with_one_goes_on_from_where_it_was(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let number = ada.number.as_str();
    deposit_many(&branch.database, number, 20_000)
        .await
        .unwrap();
    posted_at(branch, &ada, 20_001, "2026-01-15T00:00:00Z").await;
    // Of what is behind it nothing but its sums is looked at: 7 is not what it came to.
    let id = left_open(branch, &ada, "left", 19_000, 7).await;
    let made = ada.made(branch, id).await.result.unwrap();
    assert_eq!((made.opening_balance, made.entries), (7, 1_001));
    assert_eq!(made.closing_balance, 7 + 1_001);

    let whole = ada.begin(branch, order("2026-01", "whole")).await.unwrap();
    let whole = ada.made(branch, whole.id).await;
    let result = whole.result.unwrap();
    assert_eq!((result.opening_balance, result.entries), (0, 20_001));
    assert_eq!(result.closing_balance, ada.balance().await);
    let numbers = ada.numbers(branch, whole.id).await;
    assert_eq!(numbers, (1..=20_001).rev().collect::<Vec<_>>());
}

async fn one_that_is_cancelled_is_not_made(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let accounts = &branch.accounts;
    let id = left_open(branch, &ada, "unwanted", 0, 0).await;
    let cancelled = ada.asks(accounts.cancel_month_statement(id)).await.unwrap();
    assert_eq!(cancelled.state, MonthState::Cancelled);
    let forged = ForgedClient::new(&branch.platform.bus);
    forged.make(id).await.unwrap();
    let after = ada.look(branch, id).await;
    assert_eq!((after.state, after.result), (MonthState::Cancelled, None));
    let entries = accounts.month_statement_entries(id);
    let entries = entries.metadata("session", &ada.session).await;
    assert_eq!(refusal(entries), AccountError::NotMade);
    // One that is made stays so.
    let made = ada.begin(branch, order("2026-01", "made")).await.unwrap();
    ada.made(branch, made.id).await;
    let cancelled = ada.asks(accounts.cancel_month_statement(made.id)).await;
    assert_eq!(cancelled.unwrap().state, MonthState::Made);
}

async fn a_forged_job_makes_what_its_user_asked_for_and_nothing_else(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let forged = ForgedClient::new(&branch.platform.bus);
    for nothing in [Uuid::nil(), Uuid::now_v7()] {
        forged.make(nothing).await.unwrap();
    }
    let id = left_open(branch, &ada, "mine", 0, 0).await;
    join_all((0..5).map(|_| async { forged.make(id).await.unwrap() })).await;
    let made = ada.look(branch, id).await;
    assert_eq!(
        (made.state, made.result.unwrap().entries),
        (MonthState::Made, 0)
    );
    let all = ada.asks(branch.accounts.month_statements()).await.unwrap();
    assert_eq!(all.len(), 1);
}

async fn a_user_has_so_many_at_once_and_so_many_in_all(branch: &Branch) {
    let [ada, grace]: [Customer; 2] = branch.customers().await;
    let accounts = &branch.accounts;
    let mut open = Vec::new();
    for n in 0..3 {
        open.push(left_open(branch, &ada, &format!("open {n}"), 0, 0).await);
    }
    let refused = ada.begin(branch, order("2026-01", "one more")).await;
    assert_eq!(refusal(refused), AccountError::TooManyStatements(3));
    // Others may.
    let hers = grace.begin(branch, order("2026-01", "key")).await.unwrap();
    grace.made(branch, hers.id).await;
    for id in open {
        ada.asks(accounts.cancel_month_statement(id)).await.unwrap();
    }
    let mut ids = Vec::new();
    for n in 0..26 {
        let begun = ada.begin(branch, order("2026-01", &format!("n {n}"))).await;
        ids.push(begun.unwrap().id);
        ada.made(branch, ids[n]).await;
    }
    let all = ada.asks(accounts.month_statements()).await.unwrap();
    let kept: Vec<_> = all.iter().map(|statement| statement.id).collect();
    let newest: Vec<_> = ids.iter().rev().take(24).copied().collect();
    assert_eq!(kept, newest);
}

async fn one_that_nobody_is_at_any_more_has_failed(branch: &Branch) {
    let ada = branch.customer("ada").await;
    let begun = ada.begin(branch, order("2026-01", "key")).await.unwrap();
    ada.made(branch, begun.id).await;
    // Its job is over, and the row says otherwise.
    let update = "UPDATE month_statements SET state = 'open' WHERE id = $1";
    let update = sqlx::query(update).bind(begun.id.to_string());
    update.execute(branch.database.pool()).await.unwrap();
    let looked = eventually("it is over", async || {
        let statement = ada.look(branch, begun.id).await;
        let is_over = statement.state != MonthState::Running;
        is_over.then_some(statement)
    });
    assert_eq!(looked.await.state, MonthState::Failed);
}

on_each_database! {
    a_statement_has_what_was_before_what_moved_and_what_is_left,
    one_key_is_one_statement_and_another_month_under_it_a_conflict,
    a_statement_is_its_users_alone,
    a_month_that_has_not_begun_has_no_statement,
    whoever_goes_on_with_one_goes_on_from_where_it_was,
    one_that_is_cancelled_is_not_made,
    a_forged_job_makes_what_its_user_asked_for_and_nothing_else,
    a_user_has_so_many_at_once_and_so_many_in_all,
    one_that_nobody_is_at_any_more_has_failed,
}
