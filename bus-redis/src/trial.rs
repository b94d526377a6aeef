//! All that the store will ask of its server, tried at once: a right or a command that lacks is
//! named when the store opens, rather than found by the first command that is served.

use crate::{
    claims::{Claims, Ended},
    connection::Link,
    error::Failure,
    inbox::{EntryId, Inbox},
    keys::Keys,
};
use deadpool_redis::redis::{self, Cmd, FromRedisValue};
use replybus::{
    Bytes, CallId,
    reply::{Claim, Reply, ReplyTarget},
};
use std::{future::Future, slice, sync::Arc, time::Duration};
use tokio::time::timeout;

/// The life of what a trial leaves behind.
const LIFE: Duration = Duration::from_secs(1);
/// The time a trial reads an inbox, which has entries.
const BLOCK: Duration = Duration::from_millis(1);

/// The commands of each step, as rules of the server's access lists.
pub(crate) const ON_INBOXES: &str = "+xadd +xread +xtrim +xinfo|stream +pexpire +multi +exec";
pub(crate) const ON_CLAIMS: &str =
    "+evalsha +script|load +time +hmget +hset +pexpire +get +set +del";
pub(crate) const ON_REPLIES: &str = "+set +get +mget";

/// The commands of a [run](Trial::run): all together may take so many times what one may.
pub(crate) const COMMANDS: u32 = 17;

/// What claims that are tried begin with.
pub(crate) const TRIAL: &str = "trial";

/// What is tried: on the process's own inbox, and on a claim and a reply that nobody else names.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) inbox: Inbox,
    pub(crate) keys: Keys,
    pub(crate) claims: Arc<Claims>,
    /// Keys may live on different servers.
    pub(crate) is_cluster: bool,
}

impl Trial {
    /// Makes the inbox, and tries everything on it and beside it. Each command may take `bound`.
    pub(crate) async fn open(&self, link: &mut Link, bound: Duration) -> Result<(), Failure> {
        // First as a replier would: it shows a server that is too old.
        within(bound, self.inbox.probe(link))
            .await
            .map_err(|failure| self.on_inboxes(failure))?;
        if !self.is_cluster {
            try_transaction(link, bound)
                .await
                .map_err(|failure| self.on_inboxes(failure))?;
        }
        within(bound, self.inbox.create(link))
            .await
            .map_err(|failure| self.on_inboxes(failure))?;
        self.run(link, bound).await
    }

    /// Tries everything that is done to inboxes, claims and replies. Each command may take `bound`: they
    /// come one after the other, and a server that is far away answers each in time.
    pub(crate) async fn run(&self, link: &mut Link, bound: Duration) -> Result<(), Failure> {
        self.try_inbox(link, bound)
            .await
            .map_err(|failure| self.on_inboxes(failure))?;
        let keys = format!(
            "~{} ~{}",
            self.keys.all_in_scope(),
            self.keys.all_responses()
        );
        self.try_claim(link, bound)
            .await
            .map_err(|failure| failure.needing(&keys, ON_CLAIMS))?;
        let keys = format!("~{}", self.keys.all_responses());
        self.try_reply(link, bound)
            .await
            .map_err(|failure| failure.needing(&keys, ON_REPLIES))
    }

    fn on_inboxes(&self, failure: Failure) -> Failure {
        failure.needing(&format!("~{}", self.keys.all_in_scope()), ON_INBOXES)
    }

    async fn try_inbox(&self, link: &mut Link, bound: Duration) -> Result<(), Failure> {
        let beginning = EntryId::default();
        within(bound, self.inbox.probe(link)).await?;
        within(bound, self.inbox.newest(link)).await?;
        within(bound, self.inbox.read(link, beginning, 1, BLOCK)).await?;
        within(bound, self.inbox.keep(link, beginning)).await?;
        Ok(())
    }

    /// Takes every way through the scripts.
    async fn try_claim(&self, link: &mut Link, bound: Duration) -> Result<(), Failure> {
        let id = CallId::new();
        let claim = Claim::new(format!("{TRIAL}:{id}"), [0; 16], id.to_string())
            .lease(LIFE)
            .retention(LIFE);
        let (claims, keys) = (&self.claims, &self.keys);
        let asked = slice::from_ref(&claim);
        within(bound, claims.claim(link, keys, asked)).await?;
        within(bound, claims.renew(link, keys, &claim)).await?;
        within(bound, claims.note(link, keys, &claim, b"")).await?;
        within(bound, claims.record(link, keys, &claim.key)).await?;
        within(bound, claims.release(link, keys, &claim)).await?;
        within(bound, claims.claim(link, keys, asked)).await?;
        within(bound, claims.lapse(link, keys, &claim)).await?;
        within(bound, claims.claim(link, keys, asked)).await?;
        let ended = Ended {
            claim: claim.clone(),
            reply: Reply::new(id, ReplyTarget::Key, Bytes::new()).ttl(LIFE),
            sends: !self.is_cluster,
        };
        within(bound, claims.finish(link, keys, slice::from_ref(&ended))).await?;
        within(bound, claims.claim(link, keys, asked)).await?;
        Ok(())
    }

    async fn try_reply(&self, link: &mut Link, bound: Duration) -> Result<(), Failure> {
        let key = self.keys.response(CallId::new());
        let mut set = redis::cmd("SET");
        set.arg(&key).arg("").arg("NX").arg("PX").arg(1);
        ask::<()>(link, bound, &set).await?;
        let mut get = redis::cmd("GET");
        ask::<Option<Vec<u8>>>(link, bound, get.arg(&key)).await?;
        let mut get = redis::cmd("MGET");
        ask::<Vec<Option<Vec<u8>>>>(link, bound, get.arg(&key)).await?;
        Ok(())
    }
}

/// Tries an empty transaction, on a connection that nobody shares. If a part of it is refused, the
/// client says no more than that it lost the connection.
async fn try_transaction(link: &mut Link, bound: Duration) -> Result<(), Failure> {
    ask::<()>(link, bound, &redis::cmd("MULTI")).await?;
    ask::<redis::Value>(link, bound, &redis::cmd("EXEC")).await?;
    Ok(())
}

/// The answer to a command, if it comes within the bound.
async fn ask<T: FromRedisValue>(
    link: &mut Link,
    bound: Duration,
    command: &Cmd,
) -> Result<T, Failure> {
    within(bound, async { Ok(command.query_async(link).await?) }).await
}

/// What comes of a command, if it does within the bound.
async fn within<T>(
    bound: Duration,
    command: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(bound, command)
        .await
        .unwrap_or(Err(Failure::Silent(bound)))
}
