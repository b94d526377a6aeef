//! An account on which much has happened.

use chassis::{
    Database,
    database::{Transaction, now},
};
use sqlx::Error;
use uuid::Uuid;

/// The numbers from 1 to the first parameter, and the id of the posting of each: the beginning of a
/// UUID, and 12 digits.
macro_rules! numbered {
    ($statement:literal) => {
        concat!(
            "WITH RECURSIVE numbers (n) AS (
                SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers
                WHERE n < CAST($1 AS BIGINT)
            ), given AS (
                SELECT n, CAST($2 AS TEXT) || SUBSTR(CAST(1000000000000 + n AS TEXT), 2) AS id
                FROM numbers
            ) ",
            $statement
        )
    };
}

const POSTINGS: &str = numbered!(
    "INSERT INTO postings (id, owner, idempotency_key, kind, from_account, to_account, amount,
        verdict, posted_at)
    SELECT id, $3, id, 'deposit', NULL, $3, 1, 'posted', CAST($4 AS BIGINT) FROM given"
);

const INSIDE: &str = numbered!(
    "INSERT INTO entries (posting, side, amount, account_number, number, balance)
    SELECT given.id, 1, 1, account_number, entries + n, balance + n
    FROM given JOIN accounts ON account_number = $3"
);

const OUTSIDE: &str =
    numbered!("INSERT INTO entries (posting, side, amount) SELECT given.id, -1, 1 FROM given");

const BALANCE: &str = "UPDATE accounts SET balance = balance + $1, entries = entries + $1
    WHERE account_number = $2";

/// Posts that many deposits of 1 to an account, in the database of the account service: all at
/// once, and nobody is told of it.
///
/// # Errors
/// The database fails.
///
/// # Cancel safety
/// Dropped before it is ready, all of it is done or nothing.
pub async fn deposit_many(database: &Database, account: &str, count: i64) -> sqlx::Result<()> {
    let post = async |mut writing: Transaction| {
        let id = Uuid::new_v4().to_string();
        let begin = id.get(..24).unwrap_or_default();
        let postings = sqlx::query(POSTINGS).bind(count).bind(begin);
        let postings = postings.bind(account).bind(now());
        postings.execute(&mut *writing).await?;
        let inside = sqlx::query(INSIDE).bind(count).bind(begin).bind(account);
        inside.execute(&mut *writing).await?;
        let outside = sqlx::query(OUTSIDE).bind(count).bind(begin);
        outside.execute(&mut *writing).await?;
        let balance = sqlx::query(BALANCE).bind(count).bind(account);
        balance.execute(&mut *writing).await?;
        writing.commit().await
    };
    database.transaction::<_, Error, _>(post).await
}
