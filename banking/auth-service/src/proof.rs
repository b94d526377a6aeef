//! Whether a password is a user's.

use crate::{passwords::Verdict, service::Desk, users::User};
use contracts::auth::{AuthError, Password};
use tokio::time::Instant;

impl Desk {
    /// Ends with `Ok` only if `password` is the user's. `name` is what guesses are counted by; it
    /// may be anything a caller typed, even a password, and is written nowhere.
    pub(crate) async fn prove(
        &self,
        name: &str,
        user: Option<&User>,
        password: &Password,
    ) -> Result<(), AuthError> {
        if !self.guesses.admit(name, Instant::now()) {
            return Err(AuthError::Busy);
        }
        let stored = user.map(|user| user.password_hash.clone());
        match self.passwords.check(password.clone(), stored).await? {
            Verdict::Wrong => {
                self.guesses.wrong(name, Instant::now());
                Err(AuthError::InvalidCredentials)
            }
            Verdict::Right => {
                self.guesses.right(name);
                Ok(())
            }
            Verdict::Outdated { renewed } => {
                self.guesses.right(name);
                if let Some(user) = user {
                    self.users.renew_hash(user, &renewed).await;
                }
                Ok(())
            }
        }
    }
}
