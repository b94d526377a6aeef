//! The error of a call: the handler's own, or that it has no answer.

use super::{CallFailure, FailureKind};
use std::{fmt, time::Duration};

/// The error of a call: the handler's own, or a failure of the way to it and back.
///
/// These two are all there are: what else can happen is a [`FailureKind`].
///
/// ```
/// use replybus::{Bus, CallError, FailureKind, queue_handler};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
/// #[error("{missing} more are needed")]
/// pub struct Overdrawn { missing: u64 }
///
/// #[queue_handler("account.requests")]
/// pub trait Accounts {
///     async fn withdraw(&self, amount: u64) -> Result<u64, Overdrawn>;
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let accounts = AccountsClient::new(&Bus::in_memory());
/// match accounts.withdraw(500).await {
///     Ok(left) => println!("{left} left"),
///     Err(CallError::Handler(Overdrawn { missing })) => println!("{missing} more are needed"),
///     Err(CallError::Bus(failure)) if !failure.may_have_executed() => {
///         // Surely not done: it may be called again, without an idempotency key too.
///         assert_eq!(failure.kind(), FailureKind::Unroutable); // nobody serves it here
///     }
///     Err(CallError::Bus(failure)) => println!("it may have been done: {failure}"),
/// }
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError<E> {
    /// The handler ran and returned its own error.
    Handler(E),
    /// There is no answer of the handler's.
    Bus(CallFailure),
}

impl<E> CallError<E> {
    /// True if the work can have been done, wholly or in part. `false` means surely not: the call
    /// may be repeated without an idempotency key. A handler's own error counts as done.
    ///
    /// ```
    /// use replybus::CallError;
    ///
    /// fn may_try_again<E>(error: &CallError<E>, is_query: bool) -> bool {
    ///     is_query || !error.may_have_executed()
    /// }
    /// # assert!(!may_try_again(&CallError::Handler("no"), false));
    /// ```
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        match self {
            Self::Handler(_) => true,
            Self::Bus(failure) => failure.may_have_executed(),
        }
    }

    /// After what time it is worth trying again, if that is known: see
    /// [`CallFailure::retry_after`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Handler(_) => None,
            Self::Bus(failure) => failure.retry_after(),
        }
    }

    /// The kind of failure, unless the handler itself returned an error.
    #[must_use]
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Handler(_) => None,
            Self::Bus(failure) => Some(failure.kind()),
        }
    }

    /// The handler's own error, if that is what it is.
    #[must_use]
    pub fn handler(&self) -> Option<&E> {
        match self {
            Self::Handler(error) => Some(error),
            Self::Bus(_) => None,
        }
    }

    /// The handler's own error, or else the failure.
    ///
    /// ```
    /// use replybus::{CallError, CallFailure};
    ///
    /// /// What a teller says to a customer; a failure is for somebody else to look at.
    /// fn said(error: CallError<String>) -> Result<String, CallFailure> {
    ///     let refusal = error.into_handler()?;
    ///     Ok(format!("Sorry: {refusal}."))
    /// }
    /// # assert_eq!(said(CallError::Handler("no".into())).unwrap(), "Sorry: no.");
    /// ```
    ///
    /// # Errors
    /// The handler did not answer.
    pub fn into_handler(self) -> Result<E, CallFailure> {
        match self {
            Self::Handler(error) => Ok(error),
            Self::Bus(failure) => Err(failure),
        }
    }

    /// One error that both can become, for `?` in a function with an error of its own.
    ///
    /// ```
    /// use replybus::{Bus, CallError, CallFailure, queue_handler};
    ///
    /// #[queue_handler("account.requests")]
    /// pub trait Accounts {
    ///     async fn withdraw(&self, amount: u64) -> Result<u64, String>;
    /// }
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// enum PaymentError {
    ///     #[error("the account refuses: {0}")]
    ///     Refused(String),
    ///     #[error("no answer from the accounts")]
    ///     Unanswered(#[from] CallFailure),
    /// }
    ///
    /// impl From<String> for PaymentError {
    ///     fn from(refusal: String) -> Self {
    ///         Self::Refused(refusal)
    ///     }
    /// }
    ///
    /// async fn pay(accounts: &AccountsClient) -> Result<u64, PaymentError> {
    ///     let left = accounts.withdraw(70).await.map_err(CallError::merge::<PaymentError>)?;
    ///     Ok(left)
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let unserved = pay(&AccountsClient::new(&Bus::in_memory())).await.unwrap_err();
    /// # assert!(matches!(unserved, PaymentError::Unanswered(_)));
    /// # }
    /// ```
    pub fn merge<T: From<E> + From<CallFailure>>(self) -> T {
        match self {
            Self::Handler(error) => error.into(),
            Self::Bus(failure) => failure.into(),
        }
    }

    /// True if the time given ran out, before or after the handler started.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.kind(),
            Some(FailureKind::TimedOut | FailureKind::Expired)
        )
    }
}

impl<E> From<CallFailure> for CallError<E> {
    fn from(failure: CallFailure) -> Self {
        Self::Bus(failure)
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler(error) => error.fmt(f),
            Self::Bus(failure) => failure.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Handler(error) => error.source(),
            Self::Bus(failure) => failure.source(),
        }
    }
}
