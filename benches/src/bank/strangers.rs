//! Accounts that are only paid to: so many that hardly any is paid twice, and nothing that the bank
//! remembers of a recipient is of use.

use anyhow::{Context as _, Result};
use contracts::AccountNumber;
use sqlx::{Connection as _, PgConnection};
use std::sync::Arc;

/// Opens accounts past the bank, which would hash a password for each. None of them has money.
const OPEN: &str = "INSERT INTO account.accounts
    (account_number, user_id, username, username_key, balance, entries, opened_at)
    SELECT number, gen_random_uuid()::text, 's' || number, 's' || number, 0, 0, 0
    FROM unnest($1) AS number ON CONFLICT DO NOTHING RETURNING username";

/// The names of strangers.
#[derive(Debug, Clone)]
pub struct Strangers(Arc<[String]>);

impl Strangers {
    /// Opens so many accounts in the bank's database.
    ///
    /// # Errors
    /// PostgreSQL can't be reached or refuses.
    pub async fn open(database_url: &str, count: u32) -> Result<Self> {
        let numbers: Vec<String> = (0..count)
            .map(|_| AccountNumber::draw().as_str().to_owned())
            .collect();
        let mut connection = PgConnection::connect(database_url)
            .await
            .context("can't reach the bank's database")?;
        let names = sqlx::query_scalar(OPEN).bind(numbers);
        let names: Vec<String> = names
            .fetch_all(&mut connection)
            .await
            .context("can't open accounts")?;
        connection.close().await?;
        Ok(Self(names.into()))
    }

    /// One of them, drawn anew.
    pub(super) fn any(&self) -> Option<&str> {
        let number = rand::random_range(0..self.0.len().max(1));
        self.0.get(number).map(String::as_str)
    }
}
