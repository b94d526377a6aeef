//! Replies that wait under the call's own key.

use super::bench::{Bench, SHORT, changed, reply};
use replybus::{CallId, reply::ReplyTarget};

pub(crate) async fn a_reply_is_kept_under_its_key(bench: Bench) {
    let (service, other) = (bench.open().await, bench.open().await);
    let id = CallId::new();
    assert_eq!(other.fetch(id).await, None);
    service.send(id, ReplyTarget::Key, "ok").await;
    // It is there for whoever asks, as often as they ask.
    for _ in 0..2 {
        assert_eq!(other.fetch(id).await, Some("ok".into()));
    }
    assert_eq!(other.fetch(CallId::new()).await, None);
}

pub(crate) async fn the_first_reply_wins(bench: Bench) {
    let service = bench.open().await;
    let id = CallId::new();
    service.send(id, ReplyTarget::Key, "first").await;
    service.send(id, ReplyTarget::Key, "second").await;
    assert_eq!(service.fetch(id).await, Some("first".into()));
}

pub(crate) async fn a_kept_reply_expires(bench: Bench) {
    let service = bench.open().await;
    let id = CallId::new();
    let short = reply(id, ReplyTarget::Key, "ok").ttl(SHORT);
    service.store.store(short).await.unwrap();
    let expired = changed(Some("ok".into()), || service.fetch(id)).await;
    assert_eq!(expired, None);
    service.send(id, ReplyTarget::Key, "new").await;
    assert_eq!(service.fetch(id).await, Some("new".into()));
}

pub(crate) async fn a_one_way_reply_is_kept_nowhere(bench: Bench) {
    let service = bench.open().await;
    let id = CallId::new();
    service.send(id, ReplyTarget::None, "ok").await;
    assert_eq!(service.fetch(id).await, None);
}
