//! The identity of who asks. A call carries a session or a pass as metadata, and each service looks
//! at it itself.

mod pass;
mod remembered;
mod session;
mod session_store;
mod signed;
mod signer;

pub use session::SESSION;
pub use session_store::{EndedSession, SessionStore, ended_channel};
pub use signed::{CanNotSign, Unproved};

use crate::keys::Keys;
use contracts::{Refused, TransactionCompleted, UserId, program::API_PRODUCER};
use jsonwebtoken::errors::Error as TokenError;
use pass::{PASS, Passes, Role};
use replybus::Context;
use session::Sessions;
use signed::Signatures;
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::broadcast;
use uuid::Uuid;

/// The metadata that proves who asks: not for dead letters to keep.
pub(crate) const PROOFS: [&str; 2] = [SESSION, PASS];

/// A user who has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub username: String,
    /// The session they proved it with.
    pub session: Uuid,
}

/// Tells who asks, and says who this program is. Clones share it.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    store: SessionStore,
    passes: Passes,
    signatures: Signatures,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity of the program `name`.
    #[must_use]
    pub fn new(name: &str, keys: &Keys, store: SessionStore) -> Self {
        Self(Arc::new(Inner {
            sessions: Sessions::new(keys),
            store,
            passes: Passes::new(name, &keys.passes),
            signatures: Signatures::new(name, &keys.passes),
        }))
    }

    /// The same keys and sessions, for another program in this process.
    #[must_use]
    pub fn of_program(&self, name: &str) -> Self {
        Self(Arc::new(Inner {
            sessions: self.0.sessions.clone(),
            store: self.0.store.clone(),
            passes: self.0.passes.of_program(name),
            signatures: self.0.signatures.of_program(name),
        }))
    }

    /// The user whose session the call that is being served carries.
    ///
    /// # Errors
    /// There is no session, it is not ours, or it has ended: [`Refused::Unauthenticated`]. The
    /// store of sessions does not answer: [`Refused::Unavailable`].
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn user(&self) -> Result<User, Refused> {
        let context = Context::current();
        let token = context.metadata().get(SESSION);
        self.user_of(token.ok_or(Refused::Unauthenticated)?).await
    }

    /// The user whose session this token is.
    ///
    /// # Errors
    /// As [`user`](Self::user).
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn user_of(&self, token: &str) -> Result<User, Refused> {
        let user = self.0.sessions.verify(token).map_err(|error| {
            tracing::debug!(%error, "a session is refused");
            Refused::Unauthenticated
        })?;
        match self.0.store.holder(user.session).await {
            Ok(holder) if holder == Some(user.id) => Ok(user),
            Ok(_) => Err(Refused::Unauthenticated),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "can't look a session up"
                );
                Err(Refused::Unavailable)
            }
        }
    }

    /// `true` if this program has the key that sessions are signed with.
    #[must_use]
    pub fn can_begin_sessions(&self) -> bool {
        self.0.sessions.can_issue()
    }

    /// Begins a session of a user and returns its token. A user has 100 at a time: with one more the
    /// oldest ends.
    ///
    /// # Errors
    /// This program has no key to sign with, or the store of sessions does not answer.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, a session may be left that nobody has the token of.
    pub async fn begin_session(
        &self,
        id: UserId,
        username: &str,
        ttl: Duration,
    ) -> Result<String, Refused> {
        let user = User {
            id,
            username: username.to_owned(),
            session: Uuid::new_v4(),
        };
        let unavailable = |error: &(dyn std::error::Error + 'static)| {
            tracing::error!(error, "can't begin a session");
            Refused::Unavailable
        };
        let token: Result<String, TokenError> = self.0.sessions.issue(&user, ttl);
        let token = token.map_err(|error| unavailable(&error))?;
        let stored = self.0.store.begin(user.session, id, ttl).await;
        stored.map_err(|error| unavailable(&error))?;
        Ok(token)
    }

    /// Ends a session, everywhere.
    ///
    /// # Errors
    /// The store of sessions does not answer.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the session may have ended or not; it can be ended again.
    pub async fn end_session(&self, session: Uuid) -> Result<(), Refused> {
        self.0.store.end(session).await.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "can't end a session"
            );
            Refused::Unavailable
        })
    }

    /// Ends all sessions of a user but one, everywhere.
    ///
    /// # Errors
    /// The store of sessions does not answer.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, some may have ended; it can be asked for again.
    pub async fn end_other_sessions(&self, id: UserId, kept: Uuid) -> Result<(), Refused> {
        let ended = self.0.store.end_others(id, kept).await;
        ended.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "can't end the other sessions of a user"
            );
            Refused::Unavailable
        })
    }

    /// The sessions that end from now on, if they are known in this process alone; those that many
    /// processes share are told of on a [channel](ended_channel) of Redis.
    #[must_use]
    pub fn ended_sessions(&self) -> Option<broadcast::Receiver<EndedSession>> {
        self.0.store.ended()
    }

    /// `true` if the store of sessions answers.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn store_is_up(&self) -> bool {
        self.0.store.is_up().await
    }

    /// `true` if this program has the key that its passes are signed with.
    #[must_use]
    pub fn can_issue_passes(&self) -> bool {
        self.0.passes.can_issue()
    }

    /// The name and value of the metadata with which this program proves that it is the service it
    /// says. Good for a minute: ask anew for each call.
    #[must_use]
    pub fn service_pass(&self) -> (&'static str, String) {
        (PASS, self.0.passes.issue(Role::Service))
    }

    /// The same, for a call on behalf of the administrator. It is believed of the gateway alone.
    #[must_use]
    pub fn admin_pass(&self) -> (&'static str, String) {
        (PASS, self.0.passes.issue(Role::Admin))
    }

    /// Refuses unless the call comes from the service `name`.
    ///
    /// # Errors
    /// There is no pass: [`Refused::Unauthenticated`]. It is another's: [`Refused::Forbidden`].
    pub fn require_service(&self, name: &str) -> Result<(), Refused> {
        let (issuer, role) = self.pass()?;
        if role == Role::Service && issuer == name {
            Ok(())
        } else {
            Err(Refused::Forbidden)
        }
    }

    /// Refuses unless the call is made on behalf of the administrator, for whom the gateway
    /// vouches.
    ///
    /// # Errors
    /// As [`require_service`](Self::require_service).
    pub fn require_admin(&self) -> Result<(), Refused> {
        match self.pass()? {
            (API_PRODUCER, Role::Admin) => Ok(()),
            _ => Err(Refused::Forbidden),
        }
    }

    /// Signs an event as this program's.
    ///
    /// # Errors
    /// This program has no key to sign with.
    pub fn sign(&self, event: TransactionCompleted) -> Result<TransactionCompleted, CanNotSign> {
        self.0.signatures.sign(event)
    }

    /// An event as it was signed by the program whose business it is: the transfer service of
    /// transfers, the account service of deposits and withdrawals. Whoever may write to an exchange
    /// or a queue can write anything there, so nothing else of an event is to be believed.
    ///
    /// # Errors
    /// It is not signed, or not by that program.
    pub fn proved(&self, event: &TransactionCompleted) -> Result<TransactionCompleted, Unproved> {
        self.0.signatures.proved(event)
    }

    /// A key for `purpose` alone that follows from the private key of this program: its replicas have
    /// the same, and nobody else can tell it. Without a private key everybody can.
    pub(crate) fn derived_key(&self, purpose: &str) -> [u8; 32] {
        self.0.passes.derived_key(purpose)
    }

    fn pass(&self) -> Result<(&'static str, Role), Refused> {
        let context = Context::current();
        let token = context
            .metadata()
            .get(PASS)
            .ok_or(Refused::Unauthenticated)?;
        self.0.passes.verify(token).map_err(|error| {
            tracing::debug!(%error, "a pass is refused");
            Refused::Unauthenticated
        })
    }
}

#[cfg(test)]
mod tests;
