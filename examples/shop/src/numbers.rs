//! The numbers of rows: 1, 2, .. in the order in which they are asked for. None is given out twice,
//! and one whose row is not written is left out.

use chassis::Database;

/// The next number of `name`, whose row is in the table `numbers`.
pub(crate) async fn next(database: &Database, name: &'static str) -> sqlx::Result<i64> {
    const NEXT: &str = "UPDATE numbers SET last = last + 1 WHERE name = $1 RETURNING last";
    let next = sqlx::query_as(NEXT).bind(name);
    let (next,): (i64,) = next.fetch_one(database.pool()).await?;
    Ok(next)
}
