//! A look at the record of a job whose message came again: does somebody run it?

use crate::{
    limits::CLAIM_LEASE,
    reply::{CommandRecord, ReplyStore},
};
use bytes::Bytes;

/// The state of a job, as its record tells it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Its worker gives signs of life.
    Runs,
    /// Nobody runs it, or its worker is late with a sign: its claim can be asked for.
    Open,
    /// It is done; this is the reply.
    Done(Bytes),
    /// Nothing is known of it.
    Unknown,
    /// The store can't be reached.
    Unanswered,
}

impl Look {
    /// Looks at the job with this key of a claim.
    pub(crate) async fn at(store: &dyn ReplyStore, key: &str) -> Self {
        match store.record(key).await {
            Ok(Some(CommandRecord::Done(frame))) => Self::Done(frame),
            // Renewed three times in a lease.
            Ok(Some(CommandRecord::Running { lease_left, .. })) if lease_left > CLAIM_LEASE / 2 => {
                Self::Runs
            }
            Ok(Some(CommandRecord::Running { .. })) => Self::Open,
            Ok(None) => Self::Unknown,
            Err(error) => {
                tracing::debug!(%error, "a job is looked at later");
                Self::Unanswered
            }
        }
    }
}
