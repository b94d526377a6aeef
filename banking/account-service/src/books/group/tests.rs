//! Groups on each database; how they come about is the lane's to test.

use super::*;
use crate::books::{Books, open::tests::holder};
use chassis::settings::PlatformSettings;
use contracts::{
    Amount, IdempotencyKey, Party,
    account::{AccountError, OPENING_BALANCE, TransferPosting},
};
use futures_util::future::join_all;
use town::database::{on_postgres, on_sqlite};
use uuid::Uuid;

const ALL: i64 = OPENING_BALANCE;

/// Books, and groups of them.
struct Desk {
    books: Books,
    groups: Groups,
    /// Both have accounts.
    ada: Party,
    grace: Party,
}

impl Desk {
    async fn open(url: &str) -> Self {
        let settings = PlatformSettings::with_database(url);
        let database = Database::open(&settings, "account", &crate::migrations()).await;
        let books = Books::new(database.unwrap());
        let party = async |name| {
            let opened = books.open(&holder(name), AccountNumber::draw).await;
            books.party(opened.unwrap().id).await.unwrap()
        };
        Self {
            ada: party("ada").await,
            grace: party("grace").await,
            groups: Groups::new(books.database.clone(), books.outbox.clone()),
            books,
        }
    }

    /// Another replica of the same service.
    async fn beside(url: &str) -> Groups {
        let settings = PlatformSettings::with_database(url);
        let database = Database::open(&settings, "account", &crate::migrations()).await;
        Groups::new(database.unwrap(), Outbox::new())
    }

    async fn post(&self, orders: &[Order]) -> Vec<Option<Decided>> {
        self.try_post(orders).await.unwrap()
    }

    async fn try_post(&self, orders: &[Order]) -> sqlx::Result<Vec<Option<Decided>>> {
        let orders = orders.iter().cloned().map(Arc::new).collect();
        self.groups.clone().post(orders).await
    }

    async fn balances(&self) -> [i64; 2] {
        let balance = async |of: &Party| self.books.profile(of.user_id).await.unwrap().balance;
        [balance(&self.ada).await, balance(&self.grace).await]
    }

    fn transfer(&self, units: i64) -> Order {
        transfer(&self.ada.account_number, &self.grace.account_number, units)
    }

    async fn close(self) {
        self.books.database.close().await;
    }
}

fn transfer(from: &AccountNumber, to: &AccountNumber, units: i64) -> Order {
    Order::transfer(TransferPosting {
        transfer: Uuid::now_v7(),
        from: from.clone(),
        to: to.clone(),
        amount: amount(units),
        reference: None,
    })
}

fn amount(units: i64) -> Amount {
    Amount::new(units).unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    text.to_owned().try_into().unwrap()
}

/// A balance for each that was posted, a reason for each that was not.
fn balances(outcomes: &[Option<Decided>]) -> Vec<Option<Result<i64, Rejection>>> {
    let outcomes = outcomes.iter();
    outcomes
        .map(|outcome| outcome.map(|decided| decided.map(|receipt| receipt.balance)))
        .collect()
}

const POOR: Option<Result<i64, Rejection>> = Some(Err(Rejection::InsufficientBalance));

async fn each_has_its_own_verdict_after_those_before_it(desk: &Desk) {
    let (ada, grace) = (&desk.ada.account_number, &desk.grace.account_number);
    let nobody = "000000".parse().unwrap();
    let orders = [
        desk.transfer(ALL - 10),
        // What the first one left is less.
        desk.transfer(11),
        transfer(ada, &nobody, 1),
        Order::deposit(desk.ada.clone(), key("in"), amount(5)),
        // What the deposit brought can be spent.
        desk.transfer(15),
        Order::withdrawal(desk.ada.clone(), key("out"), amount(1)),
        // The other way, and all of it.
        transfer(grace, ada, 2 * ALL + 5),
    ];
    let posted = desk.post(&orders).await;
    let expected = [
        Some(Ok(10)),
        POOR,
        None,
        Some(Ok(15)),
        Some(Ok(0)),
        POOR,
        Some(Ok(0)),
    ];
    assert_eq!(balances(&posted), expected);
    assert_eq!(desk.balances().await, [2 * ALL + 5, 0]);
    // What was left out is told why, and what was rejected stays so.
    let unknown = desk.books.post(orders[2].clone()).await;
    assert_eq!(unknown, Err(AccountError::NotFound("Account".to_owned())));
    for rejected in [1, 5] {
        let again = desk.books.post(orders[rejected].clone()).await;
        assert_eq!(again, Err(AccountError::InsufficientBalance));
    }
}

async fn a_key_is_posted_once_however_often_it_is_there(desk: &Desk) {
    let deposit = |units| Order::deposit(desk.ada.clone(), key("in"), amount(units));
    let orders = [deposit(7), deposit(7), deposit(8)];
    let posted = desk.post(&orders).await;
    assert_eq!(balances(&posted), [Some(Ok(ALL + 7)), None, None]);
    let moved = desk.transfer(3);
    let posted = desk.post(&[moved.clone(), moved.clone()]).await;
    assert_eq!(balances(&posted), [Some(Ok(ALL + 4)), None]);
    assert_eq!(
        balances(&desk.post(std::slice::from_ref(&moved)).await),
        [None]
    );
    // Those left out have the verdict of the one, or are of other contents.
    let again = desk.books.post(orders[1].clone()).await.unwrap();
    assert_eq!(again.balance, ALL + 7);
    let other = desk.books.post(orders[2].clone()).await;
    assert_eq!(other, Err(AccountError::KeyConflict));
    let again = desk.books.post(moved).await.unwrap();
    assert_eq!(again.balance, ALL + 4);
    assert_eq!(desk.balances().await, [ALL + 4, ALL + 3]);
}

async fn one_that_breaks_a_rule_of_the_table_harms_no_other(desk: &Desk) {
    let ada = &desk.ada.account_number;
    // Its next entry will have a number that an entry has.
    let opened = desk.books.open(&holder("eve"), AccountNumber::draw).await;
    let broken = opened.unwrap().account_number;
    let miscount = "UPDATE accounts SET entries = 0 WHERE account_number = $1";
    let miscount = sqlx::query(miscount).bind(broken.as_str());
    miscount.execute(desk.books.database.pool()).await.unwrap();
    let against_the_rules = transfer(ada, &broken, 1);
    let orders = [desk.transfer(1), against_the_rules, desk.transfer(2)];
    desk.try_post(&orders).await.unwrap_err();
    assert_eq!(desk.balances().await, [ALL, ALL], "none of them was posted");
    let posted = orders.iter().map(|order| desk.books.post(order.clone()));
    let posted = join_all(posted).await;
    let refused: Vec<bool> = posted.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, true, false]);
    assert_eq!(desk.balances().await, [ALL - 3, ALL + 3]);
}

macro_rules! on_each_database {
    ($($test:ident),+ $(,)?) => { $(mod $test {
        #[tokio::test]
        async fn on_sqlite() {
            super::on_sqlite(async |url| {
                let desk = super::Desk::open(url).await;
                super::$test(&desk).await;
                desk.close().await;
            })
            .await;
        }

        #[tokio::test]
        async fn on_postgres() {
            super::on_postgres(async |url| {
                let desk = super::Desk::open(url).await;
                super::$test(&desk).await;
                desk.close().await;
            })
            .await;
        }
    })+ };
}

on_each_database! {
    each_has_its_own_verdict_after_those_before_it,
    a_key_is_posted_once_however_often_it_is_there,
    one_that_breaks_a_rule_of_the_table_harms_no_other,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_with_crossing_groups_of_the_same_accounts_and_keys_post_each_once() {
    on_postgres(async |url| {
        let (desk, other) = (Desk::open(url).await, Desk::beside(url).await);
        let (ada, grace) = (&desk.ada.account_number, &desk.grace.account_number);
        let mut moved = 0;
        for round in 0..30 {
            let mut orders = Vec::new();
            for n in 1..=8 {
                let (from, to) = if n % 2 == 0 {
                    (ada, grace)
                } else {
                    (grace, ada)
                };
                orders.push(Arc::new(transfer(from, to, n)));
                let deposit = key(&format!("{round}-{n}"));
                let deposit = Order::deposit(desk.ada.clone(), deposit, amount(1));
                orders.push(Arc::new(deposit));
            }
            let mut reversed = orders.clone();
            reversed.reverse();
            let (one, two) = tokio::join!(
                desk.groups.clone().post(orders.clone()),
                other.clone().post(reversed),
            );
            let (one, mut two) = (one.unwrap(), two.unwrap());
            two.reverse();
            for (one, two) in one.iter().zip(&two) {
                assert!(one.is_some() != two.is_some(), "{one:?} {two:?}");
            }
            moved += 8;
        }
        let sum: i64 = desk.balances().await.iter().sum();
        assert_eq!(sum, 2 * ALL + moved);
        other.database.close().await;
        desk.close().await;
    })
    .await;
}
