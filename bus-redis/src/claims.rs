//! Claims on commands: each step is one script, so that of many that ask at once one may run. A
//! script takes several claims or outcomes, and each has its own answer.
//!
//! Time is the server's, so that the clocks of workers don't matter.

mod answers;

pub(crate) use answers::Finished;

use crate::{
    connection::Link,
    error::Failure,
    inbox::{self, millis},
    keys::Keys,
};
use answers::{cancelled, claimed, finished, record};
use deadpool_redis::redis::{Script, ScriptInvocation, Value};
use replybus::reply::{Cancel, Cancelled, Claim, Claimed, CommandRecord, Reply, ReplyTarget};
use std::{fmt, time::UNIX_EPOCH};

/// The scripts, hashed once. Sent by hash; a server that does not know one is given it.
pub(crate) struct Claims {
    claim: Script,
    renew: Script,
    release: Script,
    lapse: Script,
    cancel: Script,
    note: Script,
    record: Script,
    finish: Script,
}

/// An outcome to record.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) claim: Claim,
    pub(crate) reply: Reply,
    /// The script stores the reply as well: the keys live on one server.
    pub(crate) sends: bool,
}

impl Claims {
    pub(crate) fn new() -> Self {
        Self {
            claim: Script::new(include_str!("scripts/claim.lua")),
            renew: Script::new(include_str!("scripts/renew.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
            lapse: Script::new(include_str!("scripts/lapse.lua")),
            cancel: Script::new(include_str!("scripts/cancel.lua")),
            note: Script::new(include_str!("scripts/note.lua")),
            record: Script::new(include_str!("scripts/record.lua")),
            finish: Script::new(include_str!("scripts/finish.lua")),
        }
    }

    /// Asks for each of these claims.
    pub(crate) async fn claim(
        &self,
        link: &mut Link,
        keys: &Keys,
        claims: &[Claim],
    ) -> Result<Vec<Claimed>, Failure> {
        let mut asked = self.claim.prepare_invoke();
        for claim in claims {
            add_running(&mut asked, keys, claim);
            asked.arg(u8::from(claim.waiting));
        }
        let answers: Vec<Vec<Value>> = asked.invoke_async(link).await?;
        answers.into_iter().map(claimed).collect()
    }

    pub(crate) async fn renew(
        &self,
        link: &mut Link,
        keys: &Keys,
        claim: &Claim,
    ) -> Result<bool, Failure> {
        let mut asked = self.renew.prepare_invoke();
        add_running(&mut asked, keys, claim);
        Ok(asked.invoke_async(link).await?)
    }

    pub(crate) async fn release(
        &self,
        link: &mut Link,
        keys: &Keys,
        claim: &Claim,
    ) -> Result<(), Failure> {
        let mut asked = self.release.key(keys.claim(&claim.key));
        Ok(asked.arg(claim.owner.as_str()).invoke_async(link).await?)
    }

    pub(crate) async fn lapse(
        &self,
        link: &mut Link,
        keys: &Keys,
        claim: &Claim,
    ) -> Result<(), Failure> {
        let mut asked = self.lapse.key(keys.claim(&claim.key));
        Ok(asked.arg(claim.owner.as_str()).invoke_async(link).await?)
    }

    pub(crate) async fn cancel(
        &self,
        link: &mut Link,
        keys: &Keys,
        cancel: &Cancel,
    ) -> Result<Cancelled, Failure> {
        let mut asked = self.cancel.key(keys.claim(&cancel.key));
        asked.arg(&*cancel.never_started).arg(&*cancel.interrupted);
        asked.arg(millis(cancel.retention));
        cancelled(asked.invoke_async(link).await?)
    }

    pub(crate) async fn note(
        &self,
        link: &mut Link,
        keys: &Keys,
        claim: &Claim,
        progress: &[u8],
    ) -> Result<(), Failure> {
        let mut asked = self.note.key(keys.claim(&claim.key));
        asked.arg(claim.owner.as_str()).arg(progress);
        Ok(asked.invoke_async(link).await?)
    }

    pub(crate) async fn record(
        &self,
        link: &mut Link,
        keys: &Keys,
        key: &str,
    ) -> Result<Option<CommandRecord>, Failure> {
        let asked = self.record.key(keys.claim(key));
        record(asked.invoke_async(link).await?)
    }

    /// Records these outcomes, and in the same step stores the replies that are to be sent.
    pub(crate) async fn finish(
        &self,
        link: &mut Link,
        keys: &Keys,
        ended: &[Ended],
    ) -> Result<Vec<Finished>, Failure> {
        let mut asked = self.finish.prepare_invoke();
        asked.arg(inbox::ENTRIES_MAX);
        for ended in ended {
            add_ended(&mut asked, keys, ended);
        }
        let answers: Vec<Value> = asked.invoke_async(link).await?;
        answers.into_iter().map(finished).collect()
    }
}

/// Adds what claiming and renewing are told of a claim. A running record lives on after its lease
/// for as long as an outcome would: its attempts must be known when the message comes again.
fn add_running(asked: &mut ScriptInvocation<'_>, keys: &Keys, claim: &Claim) {
    let life = claim.retention.saturating_add(claim.lease);
    asked.key(keys.claim(&claim.key));
    asked.arg(claim.owner.as_str()).arg(&claim.fingerprint[..]);
    let lease = if claim.lease.is_zero() {
        0
    } else {
        millis(claim.lease)
    };
    asked.arg(lease).arg(millis(life)).arg(until(claim));
}

/// Adds what recording an outcome is told of it.
fn add_ended(asked: &mut ScriptInvocation<'_>, keys: &Keys, ended: &Ended) {
    let Ended {
        claim,
        reply,
        sends,
    } = ended;
    asked.key(keys.claim(&claim.key));
    asked
        .arg(claim.owner.as_str())
        .arg(&claim.fingerprint[..])
        .arg(&reply.frame[..])
        .arg(millis(claim.retention))
        .arg(until(claim));
    let target = match &reply.target {
        ReplyTarget::Inbox(inbox) if *sends => {
            asked.key(inbox.as_str()).key(keys.response(reply.id));
            if reply.groupable { "group" } else { "inbox" }
        }
        ReplyTarget::Key if *sends => {
            asked.key(keys.response(reply.id));
            "key"
        }
        _ => "none",
    };
    if reply.groupable {
        asked.arg(&reply.id.as_bytes()[..]);
    } else {
        asked.arg(reply.id.to_string());
    }
    asked.arg(millis(reply.ttl)).arg(target);
}

/// The moment until which the record is kept at least, in milliseconds; 0 for none.
fn until(claim: &Claim) -> u64 {
    let since_epoch = claim.until.map(|until| until.duration_since(UNIX_EPOCH));
    since_epoch.map_or(0, |since| millis(since.unwrap_or_default()))
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims")
    }
}
