//! The calls, as they come.

use crate::{fields::Applicant, password::Password, passwords::Passwords, users::Users};
use chassis::{Identity, guesses::Guesses, identity::SESSION};
use contracts::{
    Refused, ServiceHealth,
    account::AccountsClient,
    auth::{Auth, AuthError, LoggedIn, Login, PasswordChange, Registered, Registration, purpose},
    program::AUTH_SERVICE,
};
use replybus::{Context, Never, sealed::OpeningKey};
use std::{future::Future, panic::resume_unwind, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Takes the calls and brings them to an end.
pub(crate) struct AuthService {
    authenticator: Arc<Authenticator>,
    /// Of the passwords that are sent.
    opening: OpeningKey,
    tasks: TaskTracker,
}

/// All that the service decides with.
pub(crate) struct Authenticator {
    pub(crate) identity: Identity,
    pub(crate) users: Users,
    pub(crate) passwords: Passwords,
    /// Wrong passwords by name and client.
    pub(crate) guesses: Guesses,
    /// Wrong passwords by name alone.
    pub(crate) brake: Guesses,
    pub(crate) accounts: AccountsClient,
    pub(crate) session_ttl: Duration,
}

impl AuthService {
    /// The service; what callers no longer wait for ends in `tasks`.
    pub(crate) fn new(
        authenticator: Authenticator,
        opening: OpeningKey,
        tasks: TaskTracker,
    ) -> Self {
        let authenticator = Arc::new(authenticator);
        Self {
            authenticator,
            opening,
            tasks,
        }
    }

    /// Runs what writes in a task of its own: a query's handler is dropped at its deadline.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, AuthError>> + Send + 'static,
    ) -> Result<T, AuthError> {
        let task = Context::current().scope(work).in_current_span();
        match self.tasks.spawn(task).await {
            Ok(outcome) => outcome,
            Err(lost) => match lost.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime ends.
                Err(_) => Err(Refused::Unavailable.into()),
            },
        }
    }
}

impl Auth for AuthService {
    async fn register(&self, registration: Registration) -> Result<Registered, AuthError> {
        let authenticator = Arc::clone(&self.authenticator);
        let purpose = purpose::of_registration(&registration.username);
        let Registration {
            username,
            password,
            phone,
            key,
        } = registration;
        let password = Password::open(password, &self.opening, &purpose)?;
        let applicant = Applicant::checked(username, password, phone, key)?;
        self.to_the_end(async move { authenticator.register(applicant).await })
            .await
    }

    async fn login(&self, login: Login) -> Result<LoggedIn, AuthError> {
        let authenticator = Arc::clone(&self.authenticator);
        let Login { who, password } = login;
        let purpose = purpose::of_login(&who);
        let password = Password::open(password, &self.opening, &purpose)?;
        self.to_the_end(async move { authenticator.login(who, password).await })
            .await
    }

    async fn change_password(&self, change: PasswordChange) -> Result<(), AuthError> {
        let caller = self.authenticator.identity.user().await?;
        let authenticator = Arc::clone(&self.authenticator);
        let context = Context::current();
        let session = context.metadata().get(SESSION).unwrap_or_default();
        let current = purpose::of_current(session);
        let current = Password::open(change.current, &self.opening, &current)?;
        let new = purpose::of_new(session);
        let new = Password::open(change.new, &self.opening, &new)?;
        self.to_the_end(async move { authenticator.change_password(caller, current, new).await })
            .await
    }

    async fn logout(&self) -> Result<(), AuthError> {
        let identity = &self.authenticator.identity;
        let ended = async {
            let user = identity.user().await?;
            identity.end_session(user.session).await
        };
        ended.await.map_err(|refused| {
            if refused == Refused::Unavailable {
                Context::current().release_key();
            }
            refused.into()
        })
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        let authenticator = &self.authenticator;
        let (database, sessions) = tokio::join!(
            authenticator.users.database_is_up(),
            authenticator.identity.store_is_up()
        );
        Ok(ServiceHealth::new(AUTH_SERVICE, database, sessions))
    }
}
