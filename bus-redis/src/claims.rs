//! Claims on commands: each step is one script, so that of many that ask at once one may run.
//!
//! Time is the server's, so that the clocks of workers don't matter.

use crate::{
    connection::Link,
    error::Failure,
    inbox::{self, millis},
    keys::Keys,
};
use bytes::Bytes;
use deadpool_redis::redis::{Script, ScriptInvocation, Value};
use replybus::reply::{Claim, Claimed, Reply};
use std::fmt;

/// The scripts, hashed once. Sent by hash; a server that does not know one is given it.
pub(crate) struct Claims {
    claim: Script,
    renew: Script,
    release: Script,
    lapse: Script,
    finish: Script,
}

/// The fate of a command's outcome.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// Ours is the outcome.
    Recorded,
    /// The same, and the inbox that the reply was for is not there.
    RecordedAndKept,
    /// There was one before, and it stands.
    Before(Bytes),
    /// Another run has taken over and is not done; it will answer.
    TakenOver,
}

/// The place a script sends the reply to, along with the outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Along<'a> {
    Inbox(&'a str),
    Key,
    Nowhere,
}

impl Claims {
    pub(crate) fn new() -> Self {
        Self {
            claim: Script::new(include_str!("scripts/claim.lua")),
            renew: Script::new(include_str!("scripts/renew.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
            lapse: Script::new(include_str!("scripts/lapse.lua")),
            finish: Script::new(include_str!("scripts/finish.lua")),
        }
    }

    pub(crate) async fn claim(
        &self,
        link: &mut Link,
        keys: &Keys,
        claim: &Claim,
    ) -> Result<Claimed, Failure> {
        let asked = running(&self.claim, keys, claim);
        let answer: Vec<Value> = asked.invoke_async(link).await?;
        let mut answer = answer.into_iter();
        match (answer.next(), answer.next()) {
            (Some(Value::BulkString(word)), second) => match (word.as_slice(), second) {
                (b"run", Some(Value::Int(attempt))) => Ok(Claimed::Run {
                    attempt: u32::try_from(attempt).map_err(|_| Failure::Unexpected)?,
                }),
                (b"done", Some(Value::BulkString(frame))) => Ok(Claimed::Done(frame.into())),
                (b"running", None) => Ok(Claimed::Running),
                (b"conflict", None) => Ok(Claimed::Conflict),
                _ => Err(Failure::Unexpected),
            },
            _ => Err(Failure::Unexpected),
        }
    }

    pub(crate) async fn renew(
        &self,
        link: &mut Link,
        keys: &Keys,
        claim: &Claim,
    ) -> Result<bool, Failure> {
        Ok(running(&self.renew, keys, claim).invoke_async(link).await?)
    }

    pub(crate) async fn release(
        &self,
        link: &mut Link,
        keys: &Keys,
        claim: &Claim,
    ) -> Result<(), Failure> {
        let mut asked = self.release.key(keys.claim(&claim.key));
        Ok(asked.arg(&claim.owner).invoke_async(link).await?)
    }

    pub(crate) async fn lapse(
        &self,
        link: &mut Link,
        keys: &Keys,
        claim: &Claim,
    ) -> Result<(), Failure> {
        let mut asked = self.lapse.key(keys.claim(&claim.key));
        Ok(asked.arg(&claim.owner).invoke_async(link).await?)
    }

    /// Records the outcome, and in the same step stores the reply `along` with it.
    pub(crate) async fn finish(
        &self,
        link: &mut Link,
        keys: &Keys,
        claim: &Claim,
        reply: &Reply,
        along: Along<'_>,
    ) -> Result<Finished, Failure> {
        let mut asked = self.finish.key(keys.claim(&claim.key));
        let target = match along {
            Along::Inbox(inbox) => {
                asked.key(inbox).key(keys.response(reply.id));
                "inbox"
            }
            Along::Key => {
                asked.key(keys.response(reply.id));
                "key"
            }
            Along::Nowhere => "none",
        };
        asked
            .arg(&claim.owner)
            .arg(&claim.fingerprint[..])
            .arg(&reply.frame[..]);
        asked
            .arg(millis(claim.retention))
            .arg(reply.id.to_string())
            .arg(millis(reply.ttl));
        asked.arg(inbox::ENTRIES_MAX).arg(target);
        match asked.invoke_async(link).await? {
            Value::Int(0) => Ok(Finished::TakenOver),
            Value::Int(1) => Ok(Finished::Recorded),
            Value::Int(2) => Ok(Finished::RecordedAndKept),
            Value::BulkString(frame) => Ok(Finished::Before(frame.into())),
            _ => Err(Failure::Unexpected),
        }
    }
}

/// The arguments that claiming and renewing share. A running record lives on after its lease for as
/// long as an outcome would: its attempts must be known when the message comes again.
fn running<'a>(script: &'a Script, keys: &Keys, claim: &Claim) -> ScriptInvocation<'a> {
    let life = claim.retention.saturating_add(claim.lease);
    let mut asked = script.key(keys.claim(&claim.key));
    asked.arg(&claim.owner).arg(&claim.fingerprint[..]);
    let lease = if claim.lease.is_zero() {
        0
    } else {
        millis(claim.lease)
    };
    asked.arg(lease).arg(millis(life));
    asked
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")
    }
}
