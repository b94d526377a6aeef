//! What is asked of claims by many at once: for the right to run, and to record what came of it.
//! Each kind leaves together, as one script.

use crate::{
    claims::{Claims, Ended, Finished},
    error::Failure,
    keys::Keys,
    lanes::Batched,
    writer::Writer,
};
use replybus::reply::{Claim, Claimed};
use std::sync::Arc;

/// The claims of one server, which all may be asked for at once.
#[derive(Debug, Clone)]
pub(crate) struct Claiming {
    pub(crate) keys: Keys,
    pub(crate) writer: Arc<Writer>,
    pub(crate) claims: Arc<Claims>,
}

/// The same, to record outcomes.
#[derive(Debug, Clone)]
pub(crate) struct Finishing(pub(crate) Claiming);

impl Batched for Claiming {
    type Lane = ();
    type Job = Claim;
    type Done = Claimed;

    fn bytes(claim: &Claim) -> usize {
        claim.key.len() + claim.owner.len()
    }

    async fn run(&self, (): &(), asked: &[Claim]) -> Result<Vec<Claimed>, Failure> {
        self.writer
            .run(|mut link| async move { self.claims.claim(&mut link, &self.keys, asked).await })
            .await
    }
}

impl Batched for Finishing {
    type Lane = ();
    type Job = Ended;
    type Done = Finished;

    fn bytes(ended: &Ended) -> usize {
        ended.reply.frame.len()
    }

    async fn run(&self, (): &(), ended: &[Ended]) -> Result<Vec<Finished>, Failure> {
        let Claiming {
            keys,
            writer,
            claims,
        } = &self.0;
        writer
            .run(|mut link| async move { claims.finish(&mut link, keys, ended).await })
            .await
    }
}
