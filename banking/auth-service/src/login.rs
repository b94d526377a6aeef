//! A password for a session.

use crate::{password::Password, service::Authenticator};
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
        Ok(LoggedIn {
            session,
            phone: user.phone.as_deref().map(mask_phone),
            username: user.username,
            account_number: account.account_number,
            balance: account.balance,
        })
    }
}
