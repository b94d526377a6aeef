//! Another password for a user who has one.

use crate::{
    fields::check_password, password::Password, passwords::PasswordCheck, service::Authenticator,
};
use chassis::User as Caller;
use contracts::auth::{AuthError, LoginName};

impl Authenticator {
    /// Changes the password of the caller, and ends their other sessions: whoever else has one may
    /// be why it is changed. The change that came before, whose answer was lost, is answered again.
    pub(crate) async fn change_password(
        &self,
        caller: Caller,
        current: Password,
        new: Password,
    ) -> Result<(), AuthError> {
        check_password("new_password", &new, &caller.username)?;
        let user = self.users.by_id(caller.id).await?;
        let user = user.ok_or(AuthError::WrongPassword)?;
        let name = LoginName::Username(user.username.clone());
        let proved = self.prove(&name, Some(&user), &current).await;
        match proved {
            Ok(()) => {
                let hash = self.passwords.hash(new).await?;
                self.users.change_hash(user.id, &hash).await?;
            }
            Err(AuthError::InvalidCredentials) => {
                let stored = Some(user.password_hash.clone());
                if self.passwords.check(new, stored).await? == PasswordCheck::Wrong {
                    return Err(AuthError::WrongPassword);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(self
            .identity
            .end_other_sessions(caller.id, caller.session)
            .await?)
    }
}
