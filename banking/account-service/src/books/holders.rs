//! The holders of accounts, and their balances.

use super::Books;
use crate::failure::{Failure, retry};
use chassis::database::parsed;
use contracts::{
    Party, Refused, UserId,
    account::{AccountError, Holder, Parties, Profile, Recipient},
    auth::username_key,
};

impl Books {
    /// The account of a user.
    pub(crate) async fn profile(&self, user: UserId) -> Result<Profile, AccountError> {
        retry(|| async { self.find_profile(user).await?.ok_or_else(no_account) }).await
    }

    pub(super) async fn find_profile(&self, user: UserId) -> Result<Option<Profile>, Failure> {
        let select =
            "SELECT username, phone, account_number, balance FROM accounts WHERE user_id = $1";
        let row: Option<(String, Option<String>, String, i64)> = sqlx::query_as(select)
            .bind(user.to_string())
            .fetch_optional(self.database.pool())
            .await?;
        let profile = row.map(|(username, phone, account_number, balance)| {
            Ok::<_, sqlx::Error>(Profile {
                id: user,
                phone,
                username,
                account_number: parsed(&account_number)?,
                balance,
            })
        });
        Ok(profile.transpose()?)
    }

    /// A user as one side of a posting. It never changes.
    pub(crate) async fn party(&self, user: UserId) -> Result<Party, AccountError> {
        retry(|| async {
            let profile = self.find_profile(user).await?.ok_or_else(no_account)?;
            Ok(Party {
                user_id: user,
                username: parsed(&profile.username)?,
                account_number: profile.account_number,
            })
        })
        .await
    }

    /// The holder of an account.
    pub(crate) async fn holder(&self, account: &Recipient) -> Result<Holder, AccountError> {
        let by_name = "SELECT username, account_number FROM accounts WHERE username_key = $1";
        let by_number = "SELECT username, account_number FROM accounts WHERE account_number = $1";
        let (select, account) = chosen(account, by_name, by_number)?;
        retry(|| async {
            let row: Option<(String, String)> = sqlx::query_as(select)
                .bind(&account)
                .fetch_optional(self.database.pool())
                .await?;
            let (username, account_number) = row.ok_or_else(no_account)?;
            Ok(Holder {
                account_number: parsed(&account_number)?,
                username,
            })
        })
        .await
    }

    /// Both sides of a transfer that is to be made. A payer without an account may make none.
    pub(crate) async fn parties(
        &self,
        from: UserId,
        to: &Recipient,
    ) -> Result<Parties, AccountError> {
        let (select, recipient) = chosen(to, PARTIES_BY_NAME, PARTIES_BY_NUMBER)?;
        retry(|| async {
            let row: Option<PartiesRow> = sqlx::query_as(select)
                .bind(from.to_string())
                .bind(&recipient)
                .fetch_optional(self.database.pool())
                .await?;
            let (username, account_number, to_user, to_username, to_number) =
                row.ok_or_else(|| AccountError::from(Refused::Forbidden))?;
            let (Some(to_user), Some(to_username), Some(to_number)) =
                (to_user, to_username, to_number)
            else {
                return Err(no_recipient().into());
            };
            Ok(Parties {
                from: Party {
                    user_id: from,
                    username: parsed(&username)?,
                    account_number: parsed(&account_number)?,
                },
                to: Party {
                    user_id: parsed(&to_user)?,
                    username: parsed(&to_username)?,
                    account_number: parsed(&to_number)?,
                },
            })
        })
        .await
    }
}

const PARTIES_BY_NAME: &str =
    "SELECT payer.username, payer.account_number, payee.user_id, payee.username,
        payee.account_number
    FROM accounts payer LEFT JOIN accounts payee ON payee.username_key = $2
    WHERE payer.user_id = $1";

const PARTIES_BY_NUMBER: &str =
    "SELECT payer.username, payer.account_number, payee.user_id, payee.username,
        payee.account_number
    FROM accounts payer LEFT JOIN accounts payee ON payee.account_number = $2
    WHERE payer.user_id = $1";

type PartiesRow = (
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// The statement that finds an account by what it is named by, and what to look for.
fn chosen(
    account: &Recipient,
    by_name: &'static str,
    by_number: &'static str,
) -> Result<(&'static str, String), AccountError> {
    match account {
        // No name holds such a character, and PostgreSQL takes no NUL.
        Recipient::Username(name) if name.contains(char::is_control) => Err(no_recipient()),
        Recipient::Username(name) => Ok((by_name, username_key(name))),
        Recipient::AccountNumber(number) => Ok((by_number, number.to_string())),
    }
}

pub(super) fn no_account() -> Failure {
    AccountError::NotFound("Account".to_owned()).into()
}

fn no_recipient() -> AccountError {
    AccountError::NotFound("Recipient".to_owned())
}
