//! What must hold of the ledger, whatever happened.

use chassis::Database;

/// Each finds what must not be.
const MUST_FIND_NOTHING: &[(&str, &str)] = &[
    (
        "a posting without two entries that sum to zero",
        "SELECT p.id FROM postings p LEFT JOIN entries e ON e.posting = p.id
        WHERE p.verdict = 'posted' GROUP BY p.id
        HAVING COUNT(e.side) <> 2 OR SUM(e.side * e.amount) <> 0",
    ),
    (
        "an entry of a posting that was rejected, or of another account",
        "SELECT p.id FROM postings p JOIN entries e ON e.posting = p.id
        WHERE p.verdict <> 'posted'
            OR COALESCE(e.account_number, '') <>
                COALESCE(CASE e.side WHEN -1 THEN p.from_account ELSE p.to_account END, '')",
    ),
    (
        "a balance that is not the sum of its entries",
        "SELECT a.account_number FROM accounts a
        LEFT JOIN entries e ON e.account_number = a.account_number
        GROUP BY a.account_number, a.balance, a.entries
        HAVING a.balance < 0
            OR a.balance <> COALESCE(SUM(e.side * e.amount), 0)
            OR a.entries <> COUNT(e.number)
            OR a.entries <> COALESCE(MAX(e.number), 0)",
    ),
    (
        "an entry whose balance does not follow from the one before",
        "SELECT e.posting FROM entries e
        LEFT JOIN entries before
            ON before.account_number = e.account_number AND before.number = e.number - 1
        WHERE e.account_number IS NOT NULL
            AND e.balance <> COALESCE(before.balance, 0) + e.side * e.amount",
    ),
    (
        "an account that was not opened by exactly one posting",
        "SELECT a.account_number FROM accounts a
        LEFT JOIN postings p ON p.to_account = a.account_number AND p.kind = 'opening'
        GROUP BY a.account_number HAVING COUNT(p.id) <> 1",
    ),
];

/// What came into the bank and did not leave it, less what the accounts hold together; in two
/// parts, for there can be more of it than can be counted.
const OUTSIDE_LESS_INSIDE: &str = "SELECT
    CAST(SUM(amount / 1000000) AS BIGINT), CAST(SUM(amount % 1000000) AS BIGINT)
    FROM (
        SELECT -balance AS amount FROM accounts
        UNION ALL
        SELECT CASE kind WHEN 'withdrawal' THEN -amount ELSE amount END AS amount
        FROM postings WHERE verdict = 'posted' AND kind <> 'transfer'
        UNION ALL SELECT 0 AS amount
    ) amounts";

/// Audits the ledger.
pub(crate) async fn ledger(database: &Database) {
    for (what, select) in MUST_FIND_NOTHING {
        let found: Vec<(String,)> = sqlx::query_as(*select)
            .fetch_all(database.pool())
            .await
            .unwrap();
        assert!(found.is_empty(), "{what}: {found:?}");
    }
    let (millions, rest): (i64, i64) = sqlx::query_as(OUTSIDE_LESS_INSIDE)
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(millions * 1_000_000 + rest, 0, "money was made or lost");
}

/// How many postings there are.
pub(crate) async fn postings(database: &Database) -> i64 {
    let (postings,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM postings")
        .fetch_one(database.pool())
        .await
        .unwrap();
    postings
}
