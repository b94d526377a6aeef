//! Whether there is a server to test on, and what every test of it needs.

use crate::waiters::Waiters;
use bytes::Bytes;
use deadpool_redis::redis::{Client, aio::MultiplexedConnection};
use replybus::{
    CallId,
    reply::{Claim, Reply, ReplyBackend, ReplyStore, ReplyTarget},
};
use replybus_redis::RedisReplies;
use std::{env, future::Future, process::Command, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// No test may take longer, however broken what it tests.
const TEST_BOUND: Duration = Duration::from_secs(120);

/// Says why a test did not run, or fails it where servers are required.
fn skip(reason: &str) {
    assert!(
        env::var("BUS_REQUIRE_LIVE").as_deref() != Ok("1"),
        "{reason}"
    );
    eprintln!("skipped: {reason}");
}

/// The shared server, which no test may stop, freeze or flush.
pub(crate) async fn shared() -> Option<String> {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379/0".into());
    let client = Client::open(url.as_str()).expect("REDIS_URL");
    match timeout(
        Duration::from_secs(2),
        client.get_multiplexed_async_connection(),
    )
    .await
    {
        Ok(Ok(_)) => Some(url),
        _ => {
            skip("no Redis at REDIS_URL");
            None
        }
    }
}

/// Whether a private server can be started.
pub(crate) fn can_start(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

pub(crate) async fn raw(url: &str) -> MultiplexedConnection {
    let client = Client::open(url).expect("a URL");
    client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection")
}

pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", Uuid::new_v4().simple())
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
    Reply {
        id: CallId::new(),
        target,
        frame: Bytes::from(frame.to_owned()),
        ttl: Duration::from_secs(60),
        record: None,
    }
}

pub(crate) fn to_inbox(store: &Arc<dyn ReplyStore>, frame: &str) -> Reply {
    reply(ReplyTarget::Inbox(store.inbox().to_owned()), frame)
}

pub(crate) fn claim(key: &str, owner: &str) -> Claim {
    Claim {
        key: key.to_owned(),
        fingerprint: [7; 16],
        owner: owner.to_owned(),
        lease: Duration::from_secs(60),
        retention: Duration::from_secs(60),
    }
}

/// Ends a test that hangs.
pub(crate) async fn bounded<T>(test: impl Future<Output = T>) -> T {
    timeout(TEST_BOUND, test)
        .await
        .expect("the test ends within its bound")
}

/// Asks until the answer is yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut asked: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !asked().await {
        assert!(Instant::now() < deadline, "{what}: not within 30 s");
        sleep(Duration::from_millis(10)).await;
    }
}
