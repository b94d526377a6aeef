//! The user's account, at the account service.

use crate::{service::Authenticator, users::User};
use contracts::{
    Refused,
    account::{NewHolder, Profile},
    auth::mask_phone,
};

impl Authenticator {
    /// The account of a user, opened if it is not yet.
    ///
    /// The account service opens one for each user, however often it is asked. So the call carries
    /// no idempotency key: under one, the bus would answer with the balance of the first time.
    pub(crate) async fn account_of(&self, user: &User) -> Result<Profile, Refused> {
        let holder = NewHolder {
            user_id: user.id,
            username: user.username.clone(),
            phone: user.phone.as_deref().map(mask_phone),
        };
        let (name, pass) = self.identity.service_pass();
        let opened = self.accounts.open(holder).metadata(name, pass).await;
        let account = opened.map_err(|error| {
            tracing::warn!(
                user = %user.id,
                error = &error as &dyn std::error::Error,
                "the account service did not answer with an account"
            );
            Refused::Unavailable
        })?;
        if !user.is_active {
            self.users.activate(user.id).await?;
        }
        Ok(account)
    }
}
