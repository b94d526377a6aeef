//! A password for a session.

use crate::{password::Password, service::Authenticator, users::User};
use contracts::auth::{AuthError, LoggedIn, LoginName, mask_phone, username_key};

impl Authenticator {
    /// Begins a session. A user that does not exist is answered as a wrong password is, and takes
    /// as long.
    pub(crate) async fn login(
        &self,
        who: LoginName,
        password: Password,
    ) -> Result<LoggedIn, AuthError> {
        let user = match &who {
            LoginName::Username(name) => self.users.by_username(&username_key(name)).await?,
            LoginName::Phone(phone) => self.users.by_phone(phone).await?,
        };
        self.prove(&who, user.as_ref(), &password).await?;
        let user = user.ok_or(AuthError::InvalidCredentials)?;
        let account = self.account_of(&user).await?;
        let identity = &self.identity;
        let session = identity
            .begin_session(user.id, &user.username, self.session_ttl)
            .await?;
        if let Err(error) = self.still_proves(&user, password).await {
            self.take_back(&session).await;
            return Err(error);
        }
        Ok(LoggedIn {
            session,
            phone: user.phone.as_deref().map(mask_phone),
            username: user.username,
            account_number: account.account_number,
            balance: account.balance,
        })
    }

    /// Ends with `Ok` only if `password` is the user's to this moment: a login takes its time, and a
    /// change of the password ends only the sessions that had begun.
    async fn still_proves(&self, user: &User, password: Password) -> Result<(), AuthError> {
        let stored = self.users.by_id(user.id).await?;
        let stored = stored.ok_or(AuthError::InvalidCredentials)?;
        // It differs after a change, and if the hash of the same password was renewed.
        let is_same = stored.password_hash == user.password_hash;
        if is_same || self.is_password(&stored, password).await? {
            Ok(())
        } else {
            Err(AuthError::InvalidCredentials)
        }
    }

    /// Ends a session that was given to nobody yet. If it can't, nobody has its token.
    async fn take_back(&self, session: &str) {
        let identity = &self.identity;
        if let Ok(begun) = identity.user_of(session).await {
            // What failed is logged there.
            let _ = identity.end_session(begun.session).await;
        }
    }
}
