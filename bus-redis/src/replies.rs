//! The way of replies without an outcome: into an inbox, or under the call's own key.

use crate::{
    connection::Link,
    error::Failure,
    group,
    inbox::{self, millis},
    keys::Keys,
    lanes::Batched,
    writer::Writer,
};
use deadpool_redis::redis::{self, Cmd};
use replybus::{
    message::Text,
    reply::{Reply, ReplyTarget, Stored},
};
use std::sync::Arc;

/// Stores replies. Those to one inbox whose caller reads groups leave together.
#[derive(Debug, Clone)]
pub(crate) struct Replies {
    pub(crate) keys: Keys,
    pub(crate) writer: Arc<Writer>,
    /// Keys may live on different servers.
    pub(crate) is_cluster: bool,
}

impl Replies {
    /// Stores one reply, in an entry of its own if it goes into an inbox.
    pub(crate) async fn store(&self, reply: &Reply) -> Result<Stored, Failure> {
        self.writer.run(|link| self.answer(link, reply)).await
    }

    async fn answer(&self, mut link: Link, reply: &Reply) -> Result<Stored, Failure> {
        match &reply.target {
            ReplyTarget::None => Ok(Stored::AsAsked),
            ReplyTarget::Key => {
                self.keep(&mut link, reply).await?;
                Ok(Stored::AsAsked)
            }
            ReplyTarget::Inbox(inbox) => {
                let (id, frame) = (reply.id.to_string(), &reply.frame);
                if inbox::deliver(&mut link, inbox, &id, frame).await? {
                    return Ok(Stored::AsAsked);
                }
                self.keep(&mut link, reply).await?;
                // Its owner may have made it again, and looked under the key, in between.
                match inbox::deliver(&mut link, inbox, &id, frame).await? {
                    true => Ok(Stored::AsAsked),
                    false => Ok(Stored::InboxAbsent),
                }
            }
        }
    }

    /// The same for several replies, in one entry.
    async fn answer_group(
        &self,
        mut link: Link,
        inbox: &str,
        replies: &[Reply],
        group: &[u8],
    ) -> Result<Stored, Failure> {
        if inbox::deliver_group(&mut link, inbox, group).await? {
            return Ok(Stored::AsAsked);
        }
        self.keep_all(&mut link, replies).await?;
        match inbox::deliver_group(&mut link, inbox, group).await? {
            true => Ok(Stored::AsAsked),
            false => Ok(Stored::InboxAbsent),
        }
    }

    /// Puts the reply under the call's own key, unless there is one.
    async fn keep(&self, link: &mut Link, reply: &Reply) -> Result<(), Failure> {
        Ok(self.set(reply).query_async(link).await?)
    }

    async fn keep_all(&self, link: &mut Link, replies: &[Reply]) -> Result<(), Failure> {
        if self.is_cluster {
            for reply in replies {
                self.keep(link, reply).await?;
            }
            return Ok(());
        }
        let mut all = redis::pipe();
        for reply in replies {
            all.add_command(self.set(reply)).ignore();
        }
        Ok(all.query_async(link).await?)
    }

    fn set(&self, reply: &Reply) -> Cmd {
        let mut set = redis::cmd("SET");
        set.arg(self.keys.response(reply.id)).arg(&reply.frame[..]);
        set.arg("NX").arg("PX").arg(millis(reply.ttl));
        set
    }
}

impl Batched for Replies {
    /// An inbox.
    type Lane = Text;
    type Job = Reply;
    type Done = Stored;

    fn bytes(reply: &Reply) -> usize {
        reply.frame.len()
    }

    async fn run(&self, inbox: &Text, replies: &[Reply]) -> Result<Vec<Stored>, Failure> {
        let pairs = replies.iter().map(|reply| (reply.id, &reply.frame));
        let group = &group::encode(pairs).ok_or(Failure::Unexpected)?;
        let stored = self
            .writer
            .run(|link| self.answer_group(link, inbox, replies, group))
            .await?;
        Ok(vec![stored; replies.len()])
    }
}
