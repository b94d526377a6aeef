//! Answers of queries that are kept for others.

use super::bench::{Bench, End, LONG, SHORT, changed};
use futures_util::future::join_all;
use replybus::{
    Bytes, CallId,
    message::Text,
    reply::{CacheEntry, CacheFound, CacheKey, CacheLookup},
};
use std::time::Duration;

const QUEUE: &str = "product.requests";

fn key(name: &str, tags: &[&str]) -> CacheKey {
    CacheKey::new(QUEUE, name, tags.iter().copied().map(Text::from).collect())
}

fn lookup(key: &CacheKey, owner: &str) -> CacheLookup {
    CacheLookup::new(key.clone(), owner, LONG).lease(LONG)
}

impl End {
    async fn look_up(&self, lookup: &CacheLookup) -> CacheFound {
        self.store.look_up(lookup).await.unwrap()
    }

    /// The versions that a turn begins with.
    async fn turn(&self, lookup: &CacheLookup) -> Bytes {
        match self.look_up(lookup).await {
            CacheFound::Missing { versions } => versions,
            other => panic!("{other:?}"),
        }
    }

    async fn keep(&self, lookup: &CacheLookup, versions: Bytes, answer: &'static str) -> bool {
        let entry = CacheEntry::ended(lookup, versions).keep(answer.into(), lookup.ttl);
        self.store.end_turn(&entry).await.unwrap()
    }

    async fn invalidate(&self, tags: &[&str]) {
        let tags: Vec<Text> = tags.iter().copied().map(Text::from).collect();
        self.store.invalidate(QUEUE, &tags).await.unwrap();
    }
}

fn answer(text: &'static str) -> CacheFound {
    CacheFound::Answer(text.into())
}

pub(crate) async fn an_answer_is_kept_until_a_tag_of_it_is_invalidated(bench: Bench) {
    let (one, other) = (bench.open().await, bench.open().await);
    let theirs = bench.open_namespace(&bench.namespace("other")).await;
    for tags in [&[][..], &["a"], &["a", "b"]] {
        let key = key(&format!("get:{}", tags.len()), tags);
        let first = lookup(&key, "first");
        let versions = one.turn(&first).await;
        assert!(one.keep(&first, versions, "pen").await);
        // Invalidated are others, of this queue or of this name.
        one.invalidate(&["c"]).await;
        one.invalidate(&[]).await;
        one.store
            .invalidate("other", &["a".into(), "b".into()])
            .await
            .unwrap();
        theirs.invalidate(&["a", "b"]).await;
        for end in [&one, &other] {
            assert_eq!(end.look_up(&lookup(&key, "second")).await, answer("pen"));
        }
        theirs.turn(&lookup(&key, "theirs")).await;
        let Some(last) = tags.last() else { continue };
        other.invalidate(&[last]).await;
        other.invalidate(&[last]).await;
        one.turn(&lookup(&key, "third")).await;
    }
}

pub(crate) async fn an_answer_that_was_overtaken_is_never_given(bench: Bench) {
    let end = bench.open().await;
    let key = key("get", &["a", "b"]);
    let slow = lookup(&key, "slow");
    let old = end.turn(&slow).await;
    end.invalidate(&["b"]).await;
    assert!(!end.keep(&slow, old.clone(), "old").await);
    // Its turn is over all the same.
    let next = lookup(&key, "next");
    let new = end.turn(&next).await;
    // Nor when it is kept late, nor when the same owner looks again and keeps what it had before.
    assert!(!end.keep(&slow, old.clone(), "old").await);
    assert!(end.keep(&next, new, "new").await);
    assert_eq!(end.look_up(&slow).await, answer("new"));
    end.invalidate(&["a"]).await;
    let again = end.turn(&slow).await;
    assert_ne!(again, old);
    assert!(!end.keep(&slow, old, "old").await);
}

pub(crate) async fn one_of_many_who_look_has_the_turn(bench: Bench) {
    let ends = [bench.open().await, bench.open().await];
    let key = key("get", &["a"]);
    let asked = (0..20_usize).map(|number| {
        let lookup = lookup(&key, &format!("{number}"));
        let end = &ends[number % 2];
        async move { (end.look_up(&lookup).await, lookup) }
    });
    let found = join_all(asked).await;
    let mut turns = found.iter().filter_map(|(found, lookup)| match found {
        CacheFound::Missing { versions } => Some((versions.clone(), lookup)),
        CacheFound::Awaited => None,
        other => panic!("{other:?}"),
    });
    let (versions, first) = turns.next().unwrap();
    assert!(turns.next().is_none());
    // The same owner asking again gets the same.
    assert_eq!(ends[1].turn(first).await, versions);
    // A turn that ends with nothing to keep goes to the next.
    let ended = CacheEntry::ended(first, versions);
    assert!(ends[0].store.end_turn(&ended).await.unwrap());
    let next = lookup(&key, "next");
    let versions = ends[0].turn(&next).await;
    assert_eq!(ends[1].look_up(first).await, CacheFound::Awaited);
    // Who wants it anew takes no turn, and ends none.
    let anew = lookup(&key, "anew").anew();
    let theirs = ends[1].turn(&anew).await;
    assert!(ends[1].keep(&anew, theirs, "new").await);
    assert_eq!(ends[0].look_up(&lookup(&key, "b")).await, answer("new"));
    ends[0].turn(&anew).await;
    assert!(ends[0].keep(&next, versions, "newer").await);
    assert_eq!(ends[1].look_up(first).await, answer("newer"));
}

pub(crate) async fn a_turn_that_is_not_held_on_to_goes_to_the_next(bench: Bench) {
    let end = bench.open().await;
    let key = key("get", &["a"]);
    let dead = lookup(&key, "dead").lease(SHORT);
    end.turn(&dead).await;
    let next = lookup(&key, "next").lease(SHORT);
    let found = changed(CacheFound::Awaited, || end.look_up(&next)).await;
    assert!(matches!(found, CacheFound::Missing { .. }), "{found:?}");
    // One that is held on to does not, by nobody else.
    let held = lookup(&key, "next").lease(LONG);
    end.store.hold_turn(&held).await.unwrap();
    end.store
        .hold_turn(&lookup(&key, "dead").lease(Duration::from_millis(1)))
        .await
        .unwrap();
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(end.look_up(&dead).await, CacheFound::Awaited);
}

pub(crate) async fn an_answer_goes_when_its_time_is_over(bench: Bench) {
    let end = bench.open().await;
    let long = key("long", &["a"]);
    let first = lookup(&long, "first");
    let versions = end.turn(&first).await;
    assert!(end.keep(&first, versions, "pen").await);
    let short = key("short", &["a"]);
    let mut second = lookup(&short, "second");
    second.ttl = SHORT;
    let versions = end.turn(&second).await;
    assert!(end.keep(&second, versions, "ink").await);
    let third = lookup(&short, "third");
    let found = changed(answer("ink"), || end.look_up(&third)).await;
    assert!(matches!(found, CacheFound::Missing { .. }), "{found:?}");
    // The tag of both lives as long as the longer one.
    assert_eq!(end.look_up(&first).await, answer("pen"));
}

pub(crate) async fn an_answer_is_given_as_it_was_kept(bench: Bench) {
    let end = bench.open().await;
    for (name, text) in [
        ("empty", Bytes::new()),
        ("bytes", Bytes::from(vec![0, 255, 13, 10, 7])),
    ] {
        let key = key(name, &["a"]);
        let look = lookup(&key, &CallId::new().to_string());
        let versions = end.turn(&look).await;
        let entry = CacheEntry::ended(&look, versions).keep(text.clone(), LONG);
        assert!(end.store.end_turn(&entry).await.unwrap());
        assert_eq!(end.look_up(&look).await, CacheFound::Answer(text));
    }
}
