//! What goes wrong.

use replybus::codec::CodecError;

/// An event was not put into an outbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// It can't be written as JSON, or is too large.
    #[error("event {event} can't be encoded")]
    #[non_exhaustive]
    Encode {
        /// Its name.
        event: &'static str,
        /// The reason.
        #[source]
        source: CodecError,
    },
    /// The database did not take it: the transaction can't be committed.
    #[error("the outbox can't be written")]
    Database(#[from] sqlx::Error),
}

/// For functions whose errors are all of the database.
impl From<OutboxError> for sqlx::Error {
    fn from(error: OutboxError) -> Self {
        match error {
            OutboxError::Database(error) => error,
            encode @ OutboxError::Encode { .. } => Self::Encode(encode.into()),
        }
    }
}

/// A request was not entered into an inbox, or its reply not kept or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The key was used for another request.
    #[error("the key was used for another request")]
    Conflict,
    /// No call is being served, and no event handled, whose key could be taken.
    #[error("no call is being served and no event handled, so there is no key")]
    NoRequest,
    /// Nothing can have this key.
    #[error(
        "the key is empty, has a NUL, or has with its scope {bytes} bytes, of which 1,024 are allowed"
    )]
    #[non_exhaustive]
    Key {
        /// The bytes of the key and its scope.
        bytes: usize,
    },
    /// The arguments, or the reply, can't be encoded, or are too large.
    #[error("the request or its reply can't be encoded")]
    Encode(#[source] CodecError),
    /// The request was done, and its reply can't be read as this type.
    #[error("the request was done, and its reply can't be read")]
    Unreadable(#[source] CodecError),
    /// The request was done, and no reply was kept.
    #[error("the request was done, and no reply was kept")]
    NoReply,
    /// The entry went while it was looked at: it was too old. To be tried again.
    #[error("the entry of the request went while it was looked at")]
    Swept,
    /// The database failed. Unless that was while it committed, nothing was done.
    #[error("the inbox can't be used")]
    Database(#[from] sqlx::Error),
}
