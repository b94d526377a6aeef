//! A name is reserved, and an account opened for it.
//!
//! The row of the user decides who has the name. It is written first, so a registration can end
//! half way: the name is reserved and there is no account. Nobody is locked out by that: whoever
//! registers again with the same password and phone, or logs in, goes on where it stopped. Nor does
//! a lost answer: under the same key the same registration is answered again.

use crate::{fields::Applicant, service::Authenticator, users::User};
use contracts::{
    UserId,
    auth::{AuthError, LoginName, Registered, mask_phone, username_key},
};

impl Authenticator {
    /// Makes a user and has their account opened.
    pub(crate) async fn register(&self, applicant: Applicant) -> Result<Registered, AuthError> {
        let key = username_key(&applicant.username);
        let user = match self.users.by_username(&key).await? {
            Some(user) => self.go_on(user, &applicant).await?,
            None => self.reserve(&key, &applicant).await?,
        };
        let account = self.account_of(&user).await?;
        Ok(Registered {
            id: user.id,
            phone: user.phone.as_deref().map(mask_phone),
            username: user.username,
            account_number: account.account_number,
            balance: account.balance,
        })
    }

    async fn reserve(&self, key: &str, applicant: &Applicant) -> Result<User, AuthError> {
        let user = User {
            id: UserId::new(),
            username: applicant.username.clone(),
            phone: applicant.phone.clone(),
            password_hash: self.passwords.hash(applicant.password.clone()).await?,
            registered_by: applicant.registered_by.clone(),
            is_active: false,
        };
        if self.users.insert(key, &user).await? {
            return Ok(user);
        }
        // Somebody was faster; or it was us, and the answer to the insert was lost.
        match self.users.by_username(key).await? {
            Some(user) => self.go_on(user, applicant).await,
            None => Err(AuthError::PhoneTaken),
        }
    }

    /// The user as whom `applicant` goes on, if they began it.
    async fn go_on(&self, user: User, applicant: &Applicant) -> Result<User, AuthError> {
        // The same registration can come again after it was carried out. To any other the name is
        // taken.
        let open = !user.is_active || user.registered_by == applicant.registered_by;
        if !open || user.phone != applicant.phone {
            return Err(AuthError::UsernameTaken);
        }
        let name = LoginName::Username(user.username.clone());
        match self.prove(&name, Some(&user), &applicant.password).await {
            Err(AuthError::InvalidCredentials) => Err(AuthError::UsernameTaken),
            proved => proved.map(|()| user),
        }
    }
}
