//! Guesses as their users see them, and what becomes of them where there are replicas.

use super::{conformance::RULES, *};
use crate::{redis_connection::redis_manager, settings::TlsSettings};
use futures_util::FutureExt as _;
use redis::AsyncCommands as _;
use replybus_testkit::{
    live::{require_or_skip, unique},
    servers::{Persistence, PrivateRedis},
    wait::bounded,
};
use std::mem::forget;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

fn guesses() -> Guesses {
    Guesses::of_process(Rules::with_pauses_up_to(PAUSE_MAX))
}

/// What becomes of a guess now; nothing if it waits for others.
fn admit<'a>(guesses: &'a Guesses, name: &str) -> Option<Result<Guess<'a>, Paused>> {
    guesses.admit(name).now_or_never()
}

#[test]
fn pauses_double_up_to_the_longest() {
    let rules = Rules::with_pauses_up_to(PAUSE_MAX);
    let pauses = (0..=FREE + 6).map(|count| rules.pause(count).as_secs());
    let pauses: Vec<_> = pauses.collect();
    assert_eq!(pauses, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30]);
    assert_eq!(rules.pause(u32::MAX), PAUSE_MAX);
}

#[tokio::test(start_paused = true)]
async fn of_many_wrong_ones_at_once_no_more_are_looked_at_than_one_after_the_other() {
    let guesses = guesses();
    let looked_at: Vec<_> = (0..128).filter_map(|_| admit(&guesses, "ada")).collect();
    assert_eq!(looked_at.len(), 5, "the others wait for them");
    let mut waits = pin!(guesses.admit("ada"));
    assert!(waits.as_mut().now_or_never().is_none());
    for guess in looked_at {
        guess.unwrap().wrong().await;
    }
    assert_eq!(waits.await.err(), Some(Paused(SECOND)));
    // At the end of the pause it is one.
    advance(SECOND).await;
    let next = admit(&guesses, "ada").unwrap().unwrap();
    assert!(admit(&guesses, "ada").is_none());
    next.wrong().await;
    let paused = admit(&guesses, "ada").unwrap();
    assert_eq!(paused.err(), Some(Paused(2 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn right_ones_at_once_all_get_through() {
    let guesses = guesses();
    let first: Vec<_> = (0..FREE)
        .map(|_| admit(&guesses, "ada").unwrap().unwrap())
        .collect();
    let mut waits = pin!(guesses.admit("ada"));
    assert!(waits.as_mut().now_or_never().is_none());
    for guess in first {
        guess.right().await;
    }
    waits.await.unwrap().right().await;
    assert!(guesses.own.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_guess_without_a_verdict_does_not_count() {
    let guesses = guesses();
    for _ in 0..20 {
        drop(admit(&guesses, "ada").unwrap().unwrap());
    }
    assert!(guesses.own.is_empty());
}

/// Replicas of a program, on one Redis.
struct Program {
    connection: redis::aio::ConnectionManager,
    namespace: String,
}

impl Program {
    fn on(url: &str) -> Self {
        Self {
            connection: redis_manager(url, &TlsSettings::default()).unwrap(),
            namespace: unique("guesses"),
        }
    }

    fn replica(&self) -> Guesses {
        self.replica_with(RULES)
    }

    fn replica_with(&self, rules: Rules) -> Guesses {
        let connection = self.connection.clone();
        let replicas = Replicas::new(connection, &self.namespace, "guesses:test", [7; 32]);
        Guesses::of_replicas(rules, replicas)
    }

    /// All that is kept, and under what.
    async fn kept(&self) -> String {
        let mut connection = self.connection.clone();
        let pattern = format!("{}*", self.namespace);
        let keys: Vec<String> = connection.keys(pattern).await.unwrap();
        let mut kept = format!("{keys:?}");
        for key in keys.iter().filter(|key| !key.ends_with(":names")) {
            let fields: Vec<String> = connection.hgetall(key).await.unwrap();
            kept += &format!("{fields:?}");
        }
        kept
    }

    async fn end(self) {
        let mut connection = self.connection.clone();
        let pattern = format!("{}*", self.namespace);
        let keys: Vec<String> = connection.keys(pattern).await.unwrap();
        if !keys.is_empty() {
            let () = connection.unlink(keys).await.unwrap();
        }
    }
}

/// So many wrong ones, one after the other.
async fn wrong(guesses: &Guesses, name: &str, times: u32) {
    for _ in 0..times {
        let guess = bounded(guesses.admit(name)).await;
        guess.unwrap().wrong().await;
    }
}

/// A right one; `true` if it was the first.
async fn right(guesses: &Guesses, name: &str) -> bool {
    let guess = bounded(guesses.admit(name)).await.unwrap();
    let is_first = guess.is_first();
    guess.right().await;
    is_first
}

#[tokio::test]
async fn a_guess_at_one_replica_counts_at_the_others() {
    let Some(url) = replybus_testkit::live::redis().await else {
        return;
    };
    let program = Program::on(&url);
    let (one, other) = (program.replica(), program.replica());
    assert!(right(&one, "yolanda").await);
    wrong(&one, "yolanda", 3).await;
    assert!(!bounded(other.admit("yolanda")).await.unwrap().is_first());
    wrong(&other, "yolanda", 2).await;
    for replica in [&one, &other] {
        assert!(bounded(replica.admit("yolanda")).await.is_err());
        assert!(right(replica, "bob").await);
    }
    for _ in 0..RULES.free {
        one.note_wrong("brake").await;
    }
    assert!(other.pausing("brake").await.is_some());
    // Redis is told neither who is counted nor what was typed. Its keys are random digits, a to f
    // among them, so a name of those alone could be there by chance.
    let kept = program.kept().await;
    assert!(kept.contains("wrong"), "{kept}");
    assert!(
        !kept.contains("yolanda") && !kept.contains("brake"),
        "{kept}"
    );

    // The right one at a replica makes up for the wrong ones at all.
    wrong(&one, "eve", 4).await;
    assert!(!right(&other, "eve").await);
    assert!(right(&one, "eve").await);
    program.end().await;
}

#[tokio::test]
async fn many_at_once_at_all_replicas_see_no_more_than_one_after_the_other() {
    let Some(url) = replybus_testkit::live::redis().await else {
        return;
    };
    let program = Program::on(&url);
    let replicas = [program.replica(), program.replica(), program.replica()];
    let guess = async |guesses: &Guesses| match guesses.admit("ada").await {
        Ok(guess) => {
            guess.wrong().await;
            1
        }
        Err(_) => 0,
    };
    let all = (0..96).map(|number| guess(&replicas[number % 3]));
    let looked_at = bounded(futures_util::future::join_all(all)).await;
    assert_eq!(looked_at.into_iter().sum::<u32>(), RULES.free);
    program.end().await;
}

#[tokio::test]
async fn who_waits_is_admitted_when_another_replica_has_looked_at_its_guesses() {
    let Some(url) = replybus_testkit::live::redis().await else {
        return;
    };
    let program = Program::on(&url);
    let (one, other) = (program.replica(), program.replica());
    let mut looked_at = Vec::new();
    for _ in 0..RULES.free {
        looked_at.push(bounded(one.admit("ada")).await.unwrap());
    }
    let (admitted, ()) = bounded(async {
        tokio::join!(other.admit("ada"), async {
            for guess in looked_at {
                guess.right().await;
            }
        })
    })
    .await;
    // Dropped, it is no longer looked at, which Redis is told beside.
    drop(admitted.unwrap());
    let all_forgotten = async || !program.kept().await.contains("wrong");
    replybus_testkit::wait::eventually("nothing is kept", all_forgotten).await;
    program.end().await;
}

#[tokio::test]
async fn while_redis_is_away_a_process_goes_on_with_what_it_saw_itself() {
    let redis = require_or_skip(PrivateRedis::start(Persistence::AppendOnly).await);
    let Some(mut redis) = redis else {
        return;
    };
    let program = Program::on(&redis.url());
    let (one, other) = (program.replica(), program.replica());
    wrong(&one, "ada", 5).await;
    wrong(&other, "bob", 3).await;
    let under_way = bounded(other.admit("eve")).await.unwrap();
    redis.kill();
    assert!(bounded(one.admit("ada")).await.is_err());
    bounded(under_way.wrong()).await;
    wrong(&other, "eve", 4).await;
    assert!(bounded(other.admit("eve")).await.is_err());
    wrong(&other, "bob", 2).await;
    assert!(bounded(other.admit("bob")).await.is_err());
    // What a replica has not seen costs nothing there.
    assert!(bounded(other.admit("ada")).await.unwrap().is_first());
    redis.restart().await.unwrap();
    // Counted together again, with what Redis knows.
    let paused = async || bounded(other.admit("ada")).await.is_err();
    replybus_testkit::wait::eventually("ada has to wait", paused).await;
}

#[tokio::test]
async fn guesses_of_a_process_that_was_killed_lapse() {
    let Some(url) = replybus_testkit::live::redis().await else {
        return;
    };
    let program = Program::on(&url);
    let soon = Rules {
        lapses_after: Duration::from_millis(300),
        ..RULES
    };
    let killed = program.replica_with(soon);
    for _ in 0..RULES.free {
        forget(bounded(killed.admit("ada")).await.unwrap());
    }
    let other = program.replica_with(soon);
    bounded(other.admit("ada")).await.unwrap().wrong().await;
    program.end().await;
}
