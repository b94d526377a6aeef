//! Another password for a user who has one.

use crate::{fields::check_password, password::Password, service::Authenticator, users::User};
use chassis::User as Caller;
use contracts::auth::{AuthError, LoginName};

/// A stored hash may have been renewed since it was read, by a login or by the proof itself: once,
/// and once more should replicas of two versions be at it.
const TRIES_MAX: u32 = 3;

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
        match self.prove(&name, Some(&user), &current).await {
            Ok(()) => self.replace(user, current, new).await?,
            // It may have come before. Whoever has stolen a session would learn so that `new` is the
            // password: it is a guess, and counted as one.
            Err(AuthError::InvalidCredentials) => {
                let proved = self.prove(&name, Some(&user), &new).await;
                proved.map_err(|error| match error {
                    AuthError::InvalidCredentials => AuthError::WrongPassword,
                    other => other,
                })?;
            }
            Err(error) => return Err(error),
        }
        Ok(self
            .identity
            .end_other_sessions(caller.id, caller.session)
            .await?)
    }

    /// Stores the hash of `new` in place of that of `current`, which was proved. If another change
    /// was faster, it is refused unless that was the same one.
    async fn replace(
        &self,
        mut user: User,
        current: Password,
        new: Password,
    ) -> Result<(), AuthError> {
        let hash = self.passwords.hash(new.clone()).await?;
        for _ in 0..TRIES_MAX {
            if self.users.change_hash(&user, &hash).await? {
                return Ok(());
            }
            let stored = self.users.by_id(user.id).await?;
            user = stored.ok_or(AuthError::WrongPassword)?;
            if self.is_password(&user, new.clone()).await? {
                return Ok(());
            }
            if !self.is_password(&user, current.clone()).await? {
                return Err(AuthError::WrongPassword);
            }
        }
        Err(AuthError::Busy)
    }
}
