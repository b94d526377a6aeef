//! Opening an account, once for each user.

use super::Books;
use crate::{
    failure::{Failure, retry},
    order::Order,
};
use chassis::database::{Transaction, now};
use contracts::{
    AccountNumber, Amount, Refused,
    account::{AccountError, NewHolder, OPENING_BALANCE, Profile},
    auth::username_key,
};

/// Among 10^11 numbers, so many that are all taken are a mistake rather than bad luck.
const DRAWS_MAX: u32 = 16;

impl Books {
    /// Opens an account under a number that is drawn until a free one comes, and pays in what it
    /// begins with; or finds the one that its user has.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may be open or not.
    pub(crate) async fn open(
        &self,
        holder: &NewHolder,
        draw: impl Fn() -> AccountNumber,
    ) -> Result<Profile, AccountError> {
        retry(|| self.open_once(holder, &draw)).await
    }

    async fn open_once(
        &self,
        holder: &NewHolder,
        draw: impl Fn() -> AccountNumber,
    ) -> Result<Profile, Failure> {
        // Every login asks for it.
        if let Some(profile) = self.find_profile(holder.user_id).await? {
            return Ok(profile);
        }
        for _ in 0..DRAWS_MAX {
            let number = draw();
            self.database
                .transaction(|writing| self.insert(writing, holder, number))
                .await?;
            // Of this call, or of another one.
            if let Some(profile) = self.find_profile(holder.user_id).await? {
                return Ok(profile);
            }
            if self.name_is_taken(&holder.username).await? {
                tracing::error!("an account is to be opened under the name of another user");
                return Err(AccountError::from(Refused::Forbidden).into());
            }
        }
        Err(Failure::NumbersTaken(DRAWS_MAX))
    }

    /// Opens an account, unless its user has one, or the name is another's, or the number is.
    async fn insert(
        &self,
        mut writing: Transaction,
        holder: &NewHolder,
        number: AccountNumber,
    ) -> Result<(), Failure> {
        let insert = "INSERT INTO accounts (account_number, user_id, username, username_key,
                phone, balance, entries, opened_at)
            VALUES ($1, $2, $3, $4, $5, 0, 0, $6) ON CONFLICT DO NOTHING";
        let inserted = sqlx::query(insert)
            .bind(number.as_str())
            .bind(holder.user_id.to_string())
            .bind(&holder.username)
            .bind(username_key(&holder.username))
            .bind(holder.phone.as_deref())
            .bind(now())
            .execute(&mut *writing)
            .await?;
        if inserted.rows_affected() == 0 {
            return Ok(writing.rollback().await?);
        }
        let amount =
            Amount::new(OPENING_BALANCE).map_err(|invalid| sqlx::Error::Encode(invalid.into()))?;
        let order = Order::opening(holder.user_id, number, amount);
        self.settle(writing, &order).await.map(drop)
    }

    async fn name_is_taken(&self, username: &str) -> Result<bool, Failure> {
        let select = "SELECT user_id FROM accounts WHERE username_key = $1";
        let holder: Option<(String,)> = sqlx::query_as(select)
            .bind(username_key(username))
            .fetch_optional(self.database.pool())
            .await?;
        Ok(holder.is_some())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use chassis::{Database, settings::PlatformSettings};
    use contracts::UserId;
    use std::sync::atomic::{AtomicUsize, Ordering};

    pub(in crate::books) async fn books() -> Books {
        let (settings, migrations) = (PlatformSettings::default(), crate::migrations());
        let database = Database::open(&settings, "account", &migrations).await;
        Books::new(database.unwrap())
    }

    pub(in crate::books) fn holder(username: &str) -> NewHolder {
        NewHolder {
            user_id: UserId::new(),
            username: username.to_owned(),
            phone: None,
        }
    }

    #[tokio::test]
    async fn a_number_that_is_taken_is_drawn_again() {
        let books = books().await;
        let taken = || "111111".parse().unwrap();
        let ada = books.open(&holder("ada"), taken).await.unwrap();
        assert_eq!(ada.account_number, taken());

        let drawn = AtomicUsize::new(0);
        let draw = || match drawn.fetch_add(1, Ordering::Relaxed) {
            0..3 => taken(),
            _ => "222222".parse().unwrap(),
        };
        let grace = books.open(&holder("grace"), draw).await.unwrap();
        assert_eq!(grace.account_number.as_str(), "222222");
        assert_eq!(grace.balance, OPENING_BALANCE);
        assert_eq!(drawn.into_inner(), 4);
    }

    #[tokio::test]
    async fn draws_end_when_every_number_is_taken() {
        let books = books().await;
        let taken = || "111111".parse().unwrap();
        books.open(&holder("ada"), taken).await.unwrap();
        let none_left = books.open(&holder("grace"), taken).await;
        assert_eq!(none_left, Err(Refused::Unavailable.into()));
        let totals = books.totals().await.unwrap();
        assert_eq!((totals.users, totals.balance), (1, OPENING_BALANCE));
    }
}
