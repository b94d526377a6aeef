//! Failures of the books, and asking them again.

use chassis::database::{is_transient, patiently};
use contracts::{Refused, account::AccountError};
use std::future::Future;

/// The reason why the books gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The answer is no.
    #[error(transparent)]
    Answer(#[from] AccountError),
    /// The database gave none.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Every account number that was drawn is somebody's.
    #[error("no account number is free among {0} that were drawn")]
    NumbersTaken(u32),
}

impl Failure {
    /// `true` if a moment may mend it.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Self::Database(error) if is_transient(error))
    }

    /// The answer to the caller.
    fn into_answer(self) -> AccountError {
        match self {
            Self::Answer(answer) => answer,
            failure => {
                let error: &dyn std::error::Error = &failure;
                if failure.passes() {
                    tracing::warn!(error, "the books can't be reached");
                } else {
                    tracing::error!(error, "the books can't be used");
                }
                Refused::Unavailable.into()
            }
        }
    }
}

/// Attempts something that is safe to repeat until it is answered, or fails for good, or nobody
/// waits for it any more.
pub(crate) async fn retry<T, F>(attempt: impl FnMut() -> F) -> Result<T, AccountError>
where
    F: Future<Output = Result<T, Failure>>,
{
    patiently(attempt).await.map_err(Failure::into_answer)
}
