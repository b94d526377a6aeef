//! What opening a store refuses, and how soon.

use crate::{
    opened::{claim, open, private, raw},
    waiters::Waiters,
};
use deadpool_redis::redis;
use replybus::{
    Bytes, CallId, SetupError,
    presence::InstanceId,
    reply::{DelayedNote, FlightBatch, FlightCursor, Presence, ReplyBackend, StoreHealth},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::require_or_skip,
    servers::{PrivateRedis, ReservedPort},
    wait::{bounded, eventually},
};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

pub(crate) async fn refused(replies: RedisReplies, namespace: &str) -> SetupError {
    match Box::new(replies)
        .open(namespace, Arc::new(Waiters::default()))
        .await
    {
        Ok(store) => panic!("opened {store:?}"),
        Err(refused) => refused,
    }
}

/// Makes a user with these rights.
async fn allow(server: &PrivateRedis, rights: &str) {
    let mut admin = raw(&server.url()).await;
    let mut set = redis::cmd("ACL");
    set.arg("SETUSER")
        .arg(rights.split_whitespace().collect::<Vec<_>>());
    let _: () = set.query_async(&mut admin).await.unwrap();
}

/// The connections that were ever made to it.
async fn connections(link: &mut redis::aio::MultiplexedConnection) -> u64 {
    let mut info = redis::cmd("INFO");
    let info: String = info.arg("stats").query_async(link).await.unwrap();
    let made = info
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    made.unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_that_may_not_read_its_inbox_connects_twice_a_second_at_most() {
    let Some(server) = private().await else {
        return;
    };
    allow(&server, "bus on >s3cret ~* &* +@all").await;
    let url = format!("redis://bus:s3cret@127.0.0.1:{}", server.port());
    let (store, _waiters) = bounded(open(&RedisReplies::new(url))).await;
    let mut link = raw(&server.url()).await;
    allow(&server, "bus -xread").await;
    eventually("it hears nothing", async || {
        store.health() != StoreHealth::Up
    })
    .await;
    let (before, began) = (connections(&mut link).await, Instant::now());
    eventually("it connects again and again", async || {
        connections(&mut link.clone()).await >= before + 5
    })
    .await;
    // The first may have come at once.
    assert!(began.elapsed() >= Duration::from_secs(2));
    allow(&server, "bus +xread").await;
    eventually("it hears again", async || store.health() == StoreHealth::Up).await;
}

#[tokio::test]
async fn settings_are_refused_before_anything_is_tried() {
    let replies = RedisReplies::new("redis://h");
    for (replies, namespace) in [
        (RedisReplies::new("http://h"), ""),
        (replies.clone().pool_size(0), ""),
        (replies.clone().response_timeout(Duration::ZERO), ""),
        (replies.clone().key_prefix("{"), ""),
        (replies, "a b"),
    ] {
        let refused = refused(replies, namespace).await;
        assert!(matches!(refused, SetupError::Setting { .. }), "{refused}");
    }
}

#[tokio::test]
async fn an_absent_server_is_reported_after_the_time_allowed() {
    let nobody = ReservedPort::new().unwrap();
    let url = format!("redis://:hunter2@{}", nobody.address());
    let replies = RedisReplies::new(url).connect_within(Duration::from_millis(300));
    let refused = bounded(refused(replies, "")).await;
    assert!(
        matches!(refused, SetupError::Unreachable { .. }),
        "{refused}"
    );
    assert!(!format!("{refused:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_starts_later_is_waited_for() {
    let Some(mut server) = private().await else {
        return;
    };
    server.kill();
    let replies = RedisReplies::new(server.url());
    let (opened, restarted) = tokio::join!(bounded(open(&replies)), server.restart());
    restarted.unwrap();
    assert_eq!(opened.0.health(), StoreHealth::Up);
}

#[tokio::test]
async fn passwords_are_checked_at_once() {
    let started = PrivateRedis::set_up(|redis| redis.password("s/cret")).await;
    let Some(server) = require_or_skip(started) else {
        return;
    };
    let port = server.port();
    for wrong in [
        format!("redis://127.0.0.1:{port}"),
        format!("redis://:hunter2@127.0.0.1:{port}"),
        format!("redis://nobody:hunter2@127.0.0.1:{port}"),
    ] {
        let refused = bounded(refused(RedisReplies::new(wrong), "")).await;
        assert!(matches!(refused, SetupError::Refused { .. }), "{refused:?}");
        assert!(!format!("{refused:?}").contains("hunter2"));
    }
    let right = RedisReplies::new(format!("redis://:s%2Fcret@127.0.0.1:{port}"));
    bounded(open(&right)).await;
}

#[tokio::test]
async fn missing_rights_and_databases_are_refused_at_once() {
    let Some(server) = private().await else {
        return;
    };
    allow(&server, "reader on >pw ~* +@read +@connection").await;
    for wrong in [
        format!("redis://reader:pw@127.0.0.1:{}", server.port()),
        format!("redis://127.0.0.1:{}/999", server.port()),
    ] {
        let refused = bounded(refused(RedisReplies::new(wrong), "")).await;
        assert!(matches!(refused, SetupError::Refused { .. }), "{refused:?}");
    }
}

/// All that is documented.
const RIGHTS: &str = "bus on >pw ~replybus:* ~response:* +@connection +multi +exec +evalsha \
                      +script|load +time +xadd +xread +xtrim +xinfo|stream +pexpire +set +get \
                      +mget +del +hmget +hset";

#[tokio::test]
async fn the_rights_it_needs_are_those_it_documents() {
    let Some(server) = private().await else {
        return;
    };
    allow(&server, RIGHTS).await;
    let replies = RedisReplies::new(format!("redis://bus:pw@127.0.0.1:{}", server.port()));
    bounded(crate::claims::table(&replies)).await;
    allow(&server, "bus +hget").await;
    bounded(crate::cache::kept_and_invalidated(&replies)).await;
    bounded(crate::faults::finds_what_was_stored_without_inbox(
        &server, &replies,
    ))
    .await;
}

/// What is documented beside that for what is only looked at.
const RIGHTS_TO_LIST: &str = "bus +hget +zadd +zrem +zcard +zrangebyscore +zremrangebyscore +hdel \
                              +hstrlen +pttl";

#[tokio::test]
async fn what_is_listed_takes_the_rights_that_are_documented_for_it() {
    let Some(server) = private().await else {
        return;
    };
    allow(&server, RIGHTS).await;
    let replies = RedisReplies::new(format!("redis://bus:pw@127.0.0.1:{}", server.port()));
    let (store, _) = open(&replies).await;
    let id = CallId::new();
    let instance = InstanceId::from_bytes(*id.as_bytes());
    let presence = Presence::new("q", instance, Bytes::from_static(b"record"));
    let due = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(60);
    let note = DelayedNote::new("q", id, due, Bytes::from_static(b"note"));
    for refused in [
        store.announce(&presence).await,
        store.note_delayed(&note).await,
    ] {
        let text = format!("{:?}", refused.unwrap_err());
        assert!(text.contains("+zadd"), "{text}");
    }
    allow(&server, RIGHTS_TO_LIST).await;
    let minute = Duration::from_secs(60);
    store.announce(&presence).await.unwrap();
    assert_eq!(store.present_queues().await.unwrap(), ["q"]);
    assert_eq!(store.present("q").await.unwrap(), ["record"]);
    store.withdraw("q", instance).await.unwrap();
    assert!(store.give_up("q", id, minute).await.unwrap());
    assert_eq!(store.given_up("q").await.unwrap().len(), 1);
    store.note_delayed(&note).await.unwrap();
    assert_eq!(store.delayed("q").await.unwrap(), ["note"]);
    store.forget_delayed("q", id).await.unwrap();
    assert!(store.delayed("q").await.unwrap().is_empty());
}

#[tokio::test]
async fn the_flight_record_is_written_with_the_rights_of_all_else_and_read_with_one_more() {
    let Some(server) = private().await else {
        return;
    };
    allow(&server, RIGHTS).await;
    let replies = RedisReplies::new(format!("redis://bus:pw@127.0.0.1:{}", server.port()));
    let (store, _) = open(&replies).await;
    let events = vec![Bytes::from_static(b"event"); 2];
    store
        .record_flight(&FlightBatch::new(events, 10))
        .await
        .unwrap();
    let read = store
        .flight_page(&FlightCursor::Since(Duration::ZERO))
        .await;
    let text = format!("{:?}", read.unwrap_err());
    assert!(text.contains("+xrange"), "{text}");
    allow(&server, "bus +xrange").await;
    bounded(crate::flight::recorded_and_read(&RedisReplies::new(
        format!("redis://bus:pw@127.0.0.1:{}/1", server.port()),
    )))
    .await;
}

#[tokio::test]
async fn each_right_that_lacks_is_refused_at_once_with_the_rule_that_gives_it() {
    let Some(server) = private().await else {
        return;
    };
    let url = format!("redis://bus:pw@127.0.0.1:{}", server.port());
    let rights = RIGHTS.split_whitespace().skip(3);
    for lacking in rights.filter(|right| !right.starts_with("+@")) {
        allow(&server, "bus reset").await;
        let others: Vec<_> = RIGHTS
            .split_whitespace()
            .filter(|right| *right != lacking)
            .collect();
        allow(&server, &others.join(" ")).await;
        let refused = bounded(refused(RedisReplies::new(&url), "")).await;
        assert!(
            matches!(refused, SetupError::Refused { .. }),
            "{lacking}: {refused:?}"
        );
        let text = refused.to_string();
        let rule = text.split_once("ACL SETUSER <user> ").unwrap_or_default().1;
        assert!(
            rule.split(' ').any(|right| right == lacking),
            "{lacking}: {text}"
        );
        assert!(!format!("{refused:?}").contains("trial:"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_command_that_was_renamed_is_refused_at_once() {
    for renamed in ["EVALSHA", "XADD", "MGET"] {
        let rename = ["--rename-command", renamed, "hidden"];
        let started = PrivateRedis::set_up(|redis| redis.arguments(rename)).await;
        let Some(server) = require_or_skip(started) else {
            return;
        };
        let refused = bounded(refused(RedisReplies::new(server.url()), "")).await;
        assert!(matches!(refused, SetupError::Refused { .. }), "{refused:?}");
        let text = format!("{refused:?}");
        assert!(
            text.contains(renamed) && text.contains("not renamed"),
            "{text}"
        );
        assert!(
            !text.contains("trial:") && !text.contains("response:"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_store_shows_where_it_is() {
    let Some(server) = private().await else {
        return;
    };
    let url = format!("redis://127.0.0.1:{}/3", server.port());
    let (store, _) = open(&RedisReplies::new(url)).await;
    let place = format!("place: \"127.0.0.1:{}/3\"", server.port());
    assert!(format!("{store:?}").contains(&place), "{store:?}");
}

/// The commands that the server refused to run for want of a right.
async fn rejected(server: &PrivateRedis, command: &str) -> u64 {
    let stats = server.cli(&["info", "commandstats"]).await.unwrap();
    let line = stats
        .lines()
        .find(|line| line.starts_with(&format!("cmdstat_{command}:")));
    let count = line.and_then(|line| line.split_once("rejected_calls=")?.1.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_told_steadily_and_without_a_key() {
    let Some(server) = private().await else {
        return;
    };
    allow(&server, RIGHTS).await;
    let replies = RedisReplies::new(format!("redis://bus:pw@127.0.0.1:{}", server.port()));
    let (store, _) = open(&replies).await;
    allow(&server, "bus -evalsha").await;
    let refused = store.claim(&claim("the-secret", "me")).await.unwrap_err();
    assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    // Looked for again and again, and not found to work because something else does.
    let before = rejected(&server, "evalsha").await;
    eventually("it was tried a few times", || async {
        let StoreHealth::Down(reason) = store.health() else {
            panic!("up without scripts");
        };
        assert!(
            !reason.contains("secret") && !reason.contains("trial:"),
            "{reason}"
        );
        rejected(&server, "evalsha").await >= before + 3
    })
    .await;
    allow(&server, "bus +evalsha").await;
    eventually("it is up again", || async {
        store.health() == StoreHealth::Up
    })
    .await;
}
