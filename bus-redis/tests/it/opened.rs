//! Open stores, and what is asked of them.

use crate::waiters::Waiters;
use bytes::Bytes;
use deadpool_redis::redis::aio::MultiplexedConnection;
use replybus::{
    CallId,
    reply::{Claim, Reply, ReplyBackend, ReplyStore, ReplyTarget},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::require_or_skip,
    redis::connect,
    servers::{Persistence, PrivateRedis},
};
use std::{sync::Arc, time::Duration};

/// A server that a test may stop, freeze, wipe or fill.
pub(crate) async fn private() -> Option<PrivateRedis> {
    require_or_skip(PrivateRedis::start(Persistence::None).await)
}

pub(crate) async fn raw(url: &str) -> MultiplexedConnection {
    connect(url).await.expect("a connection")
}

/// A store, and who waits for its replies.
pub(crate) async fn open(replies: &RedisReplies) -> (Arc<dyn ReplyStore>, Arc<Waiters>) {
    let waiters = Arc::new(Waiters::default());
    let arrivals = Arc::clone(&waiters);
    let store = Box::new(replies.clone())
        .open("", arrivals)
        .await
        .expect("an open store");
    (store, waiters)
}

pub(crate) fn reply(target: ReplyTarget, frame: &str) -> Reply {
    let frame = Bytes::from(frame.to_owned());
    Reply::new(CallId::new(), target, frame).ttl(Duration::from_secs(60))
}

pub(crate) fn to_inbox(store: &Arc<dyn ReplyStore>, frame: &str) -> Reply {
    reply(ReplyTarget::Inbox(store.inbox().into()), frame)
}

pub(crate) fn claim(key: &str, owner: &str) -> Claim {
    Claim::new(key, [7; 16], owner)
        .lease(Duration::from_secs(60))
        .retention(Duration::from_secs(60))
}
