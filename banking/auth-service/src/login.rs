//! A password for a session.

use crate::{fields::username_key, service::Desk};
use contracts::auth::{AuthError, LoggedIn, Login, LoginName, mask_phone};

/// No name or phone is longer. What is typed may be, and is remembered for a while.
const TYPED_MAX: usize = 32;

impl Desk {
    /// Begins a session. A user that does not exist is answered as a wrong password is, and takes
    /// as long.
    pub(crate) async fn login(&self, login: Login) -> Result<LoggedIn, AuthError> {
        let (typed, user) = match login.who {
            LoginName::Username(name) => {
                let key = username_key(&name);
                let user = self.users.by_username(&key).await?;
                (key, user)
            }
            LoginName::Phone(phone) => {
                let user = self.users.by_phone(&phone).await?;
                (phone, user)
            }
        };
        // Guesses count for the user, whichever way they are named.
        let name = match &user {
            Some(user) => username_key(&user.username),
            None => typed.chars().take(TYPED_MAX).collect(),
        };
        self.prove(&name, user.as_ref(), &login.password).await?;
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
