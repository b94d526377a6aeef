//! The proof of a user by their password.

use crate::{
    password::Password,
    passwords::{PasswordCheck, patience},
    service::Authenticator,
    users::User,
};
use contracts::auth::{AuthError, CLIENT, LoginName, username_key};
use replybus::Context;
use tokio::time::timeout;

/// No name or phone is longer. What is typed may be, and is remembered for a while.
const TYPED_MAX: usize = 32;
/// No address is longer.
const CLIENT_MAX: usize = 45;

impl Authenticator {
    /// Ends with `Ok` only if `password` is the user's. Guesses are counted by `typed` and the
    /// client that asks, so that a stranger locks nobody out but themselves, and whether or not
    /// there is such a user: to wait for one name tells nothing about another, and no phone
    /// whose it is. It may be anything, even a password, and is written nowhere.
    pub(crate) async fn prove(
        &self,
        typed: &LoginName,
        user: Option<&User>,
        password: &Password,
    ) -> Result<(), AuthError> {
        let name = counted_by(typed);
        let of_client = format!("{name}@{}", client());
        let admitted = timeout(patience(), self.guesses.admit(&of_client)).await;
        let guess = match admitted {
            Ok(Ok(guess)) => guess,
            Ok(Err(paused)) => {
                let retry_after = paused.seconds();
                return Err(AuthError::TooManyGuesses { retry_after });
            }
            Err(_) => return Err(AuthError::Busy),
        };
        // Who guesses from many addresses.
        if !guess.is_first()
            && let Some(paused) = self.brake.pausing(&name).await
        {
            let retry_after = paused.seconds();
            return Err(AuthError::TooManyGuesses { retry_after });
        }
        let stored = user.map(|user| user.password_hash.clone());
        match self.passwords.check(password.clone(), stored).await? {
            PasswordCheck::Wrong => {
                tokio::join!(guess.wrong(), self.brake.note_wrong(&name));
                Err(AuthError::InvalidCredentials)
            }
            PasswordCheck::Right => {
                guess.right().await;
                Ok(())
            }
            PasswordCheck::Outdated { renewed } => {
                guess.right().await;
                if let Some(user) = user {
                    self.users.renew_hash(user, &renewed).await;
                }
                Ok(())
            }
        }
    }

    /// Compares what is not a guess: its caller knew the password a moment ago.
    pub(crate) async fn is_password(
        &self,
        user: &User,
        password: Password,
    ) -> Result<bool, AuthError> {
        let stored = Some(user.password_hash.clone());
        let check = self.passwords.check(password, stored).await?;
        Ok(check != PasswordCheck::Wrong)
    }
}

/// The client that asks, as the gateway says.
fn client() -> String {
    let context = Context::current();
    let client = context.metadata().get(CLIENT).unwrap_or_default();
    client.chars().take(CLIENT_MAX).collect()
}

fn counted_by(typed: &LoginName) -> String {
    let (kind, typed) = match typed {
        LoginName::Username(name) => ("name", username_key(name)),
        LoginName::Phone(phone) => ("phone", phone.clone()),
    };
    let typed: String = typed.chars().take(TYPED_MAX).collect();
    format!("{kind}:{typed}")
}
