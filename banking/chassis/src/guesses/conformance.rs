//! What counts promise, those of a process and those that replicas share.

use super::{Admission, Rules, Verdict, own::OwnCounts, shared::SharedCounts};
use crate::{redis_connection::redis_manager, replicas::Replicas, settings::TlsSettings};
use redis::{Script, aio::ConnectionManager};
use replybus_testkit::live::unique;
use std::time::Duration;
use tokio::time::{Instant, advance};
use uuid::Uuid;

/// The first pause: so long that the time that a test takes is nothing beside it.
const UNIT: Duration = Duration::from_secs(1000);

/// Rules of whole units.
pub(super) const RULES: Rules = Rules {
    free: 5,
    pause_first: UNIT,
    pause_max: Duration::from_secs(30 * UNIT.as_secs()),
    forgotten_after: Duration::from_secs(900 * UNIT.as_secs()),
    lapses_after: Duration::from_secs(15 * UNIT.as_secs()),
    names_max: 20,
};

enum Counts {
    Own(OwnCounts),
    Shared(SharedCounts, Redis),
}

struct Redis {
    connection: ConnectionManager,
    /// The key of the index of all records.
    index: String,
}

impl Redis {
    /// Runs a script on the index.
    async fn run<T: redis::FromRedisValue>(&self, code: &str, argument: u64) -> T {
        let script = Script::new(code);
        let mut step = script.prepare_invoke();
        let step = step.key(&self.index).arg(argument);
        step.invoke_async(&mut self.connection.clone())
            .await
            .unwrap()
    }
}

impl Counts {
    fn own(rules: Rules) -> Self {
        Self::Own(OwnCounts::new(rules))
    }

    fn shared(url: &str, rules: Rules) -> Self {
        let connection = redis_manager(url, &TlsSettings::default()).unwrap();
        let namespace = unique("counts");
        let replicas = Replicas::new(connection.clone(), &namespace, "guesses:test", [7; 32]);
        let index = replicas.key_beside("names");
        Self::Shared(
            SharedCounts::new(rules, replicas),
            Redis { connection, index },
        )
    }

    async fn try_admit(&self, name: &str, id: Uuid) -> Admission {
        match self {
            Self::Own(counts) => counts.try_admit(name, true, Instant::now()),
            Self::Shared(counts, _) => counts.try_admit(name, id).await.unwrap(),
        }
    }

    async fn settle(&self, name: &str, id: Uuid, verdict: Verdict) {
        match self {
            Self::Own(counts) => counts.settle(name, verdict, Instant::now()),
            Self::Shared(counts, _) => counts.settle(name, Some(id), verdict).await,
        }
    }

    async fn note_wrong(&self, name: &str) {
        match self {
            Self::Own(counts) => counts.note_wrong(name, Instant::now()),
            Self::Shared(counts, _) => counts.settle(name, None, Verdict::Wrong).await,
        }
    }

    async fn pausing(&self, name: &str) -> Option<Duration> {
        match self {
            Self::Own(counts) => counts.pausing(name, Instant::now()),
            Self::Shared(counts, _) => counts.pausing(name).await.unwrap(),
        }
    }

    /// Lets time pass. In Redis, where only the server has a clock, all moments become earlier.
    async fn pass(&self, time: Duration) {
        let redis = match self {
            Self::Own(_) => return advance(time).await,
            Self::Shared(_, redis) => redis,
        };
        let earlier = "
            for _, record in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
              local fields = redis.call('HGETALL', record)
              for i = 1, #fields, 2 do
                if fields[i] ~= 'wrong' then
                  local moment = string.format('%.0f', fields[i + 1] - ARGV[1])
                  redis.call('HSET', record, fields[i], moment)
                end
              end
              redis.call('PEXPIRE', record, redis.call('PTTL', record) - ARGV[1])
              redis.call('ZINCRBY', KEYS[1], -ARGV[1], record)
            end
            return 0";
        let millis = u64::try_from(time.as_millis()).unwrap();
        let () = redis.run(earlier, millis).await;
    }

    /// `true` if nothing is remembered.
    async fn is_empty(&self) -> bool {
        match self {
            Self::Own(counts) => counts.is_empty(),
            Self::Shared(_, redis) => {
                redis
                    .run("return 1 - redis.call('EXISTS', KEYS[1])", 0)
                    .await
            }
        }
    }

    async fn end(self) {
        if let Self::Shared(_, redis) = self {
            let all_go = "
                for _, record in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
                  redis.call('DEL', record)
                end
                return redis.call('DEL', KEYS[1])";
            let _: u64 = redis.run(all_go, 0).await;
        }
    }

    /// The id of a guess that is admitted, and whether it is the first.
    async fn admitted(&self, name: &str) -> (Uuid, bool) {
        let id = Uuid::new_v4();
        match self.try_admit(name, id).await {
            Admission::Now { is_first } => (id, is_first),
            other => panic!("{other:?}"),
        }
    }

    async fn admission(&self, name: &str) -> Admission {
        self.try_admit(name, Uuid::new_v4()).await
    }

    /// A guess, and what becomes of it.
    async fn guess(&self, name: &str, verdict: Verdict) {
        let (id, _) = self.admitted(name).await;
        self.settle(name, id, verdict).await;
    }

    /// So many wrong ones, each as soon as it is looked at.
    async fn wrong(&self, name: &str, times: u32) {
        for _ in 0..times {
            if let Some(pause) = self.pausing(name).await {
                self.pass(pause).await;
            }
            self.guess(name, Verdict::Wrong).await;
        }
    }

    /// The name has to wait for so many units, but for the moments that the test took.
    async fn waits(&self, name: &str, units: f64) {
        let expected = UNIT.mul_f64(units);
        let is_so = |pause: Duration| pause <= expected && pause > expected - UNIT / 4;
        match self.admission(name).await {
            Admission::After(pause) => assert!(is_so(pause), "{pause:?}"),
            other => panic!("{other:?}"),
        }
        assert!(is_so(self.pausing(name).await.unwrap()));
    }
}

macro_rules! promises {
    ($($(#[$doc:meta])* async fn $name:ident($counts:ident: &Counts) $body:block)+) => {
        mod of_a_process {
            use super::*;
            $(
                $(#[$doc])*
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    let $counts = &Counts::own(RULES);
                    $body
                }
            )+
        }

        mod of_replicas {
            use super::*;
            $(
                $(#[$doc])*
                #[tokio::test]
                async fn $name() {
                    let Some(url) = replybus_testkit::live::redis().await else {
                        return;
                    };
                    let counts = Counts::shared(&url, RULES);
                    {
                        let $counts = &counts;
                        $body
                    }
                    counts.end().await;
                }
            )+
        }
    };
}

promises! {
    async fn the_first_wrong_secrets_cost_nothing(counts: &Counts) {
        assert_eq!(counts.pausing("ada").await, None);
        counts.wrong("ada", RULES.free - 1).await;
        assert_eq!(counts.pausing("ada").await, None);
        counts.wrong("ada", 1).await;
        counts.waits("ada", 1.0).await;
        assert_eq!(counts.pausing("bob").await, None, "another is not delayed");
        counts.pass(UNIT / 4).await;
        counts.waits("ada", 0.75).await;
    }

    async fn pauses_double_up_to_the_longest(counts: &Counts) {
        counts.wrong("ada", RULES.free - 1).await;
        for units in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            counts.wrong("ada", 1).await;
            counts.waits("ada", units).await;
        }
        for _ in 0..100 {
            counts.note_wrong("ada").await;
        }
        counts.waits("ada", 30.0).await;
    }

    async fn no_more_are_looked_at_at_once_than_may_be_wrong(counts: &Counts) {
        let mut looked_at = Vec::new();
        for number in 0..RULES.free {
            let (id, is_first) = counts.admitted("ada").await;
            assert_eq!(is_first, number == 0);
            looked_at.push(id);
        }
        assert_eq!(counts.admission("ada").await, Admission::Later);
        for id in looked_at {
            counts.settle("ada", id, Verdict::Wrong).await;
        }
        counts.waits("ada", 1.0).await;
        // At the end of the pause it is one.
        counts.pass(UNIT).await;
        let (next, _) = counts.admitted("ada").await;
        assert_eq!(counts.admission("ada").await, Admission::Later);
        counts.settle("ada", next, Verdict::Wrong).await;
        counts.waits("ada", 2.0).await;
    }

    async fn wrong_ones_leave_less_room_for_those_at_once(counts: &Counts) {
        counts.wrong("ada", 3).await;
        let (first, _) = counts.admitted("ada").await;
        counts.admitted("ada").await;
        assert_eq!(counts.admission("ada").await, Admission::Later);
        counts.settle("ada", first, Verdict::None).await;
        counts.admitted("ada").await;
    }

    async fn a_guess_without_a_verdict_does_not_count(counts: &Counts) {
        for _ in 0..20 {
            counts.guess("ada", Verdict::None).await;
        }
        assert!(counts.is_empty().await);
        counts.wrong("ada", RULES.free).await;
        counts.pass(UNIT).await;
        counts.guess("ada", Verdict::None).await;
        // Nothing was lost by it: the next is looked at now, and the pause after it is the second.
        counts.guess("ada", Verdict::Wrong).await;
        counts.waits("ada", 2.0).await;
    }

    async fn the_right_secret_and_time_make_up_for_wrong_ones(counts: &Counts) {
        counts.wrong("ada", RULES.free + 20).await;
        counts.waits("ada", 30.0).await;
        counts.pass(30 * UNIT).await;
        counts.guess("ada", Verdict::Right).await;
        assert!(counts.is_empty().await);
        counts.wrong("ada", RULES.free - 1).await;
        assert_eq!(counts.pausing("ada").await, None);

        counts.wrong("bob", RULES.free + 20).await;
        counts.pass(RULES.forgotten_after).await;
        assert!(counts.admitted("bob").await.1, "the old ones are forgotten");
        counts.wrong("bob", RULES.free - 2).await;
        assert_eq!(counts.pausing("bob").await, None);
    }

    async fn a_brake_notes_what_is_wrong_elsewhere(counts: &Counts) {
        for _ in 0..RULES.free - 1 {
            counts.note_wrong("ada").await;
        }
        assert_eq!(counts.pausing("ada").await, None);
        counts.note_wrong("ada").await;
        counts.waits("ada", 1.0).await;
        assert_eq!(counts.pausing("bob").await, None);
        counts.pass(RULES.forgotten_after).await;
        assert_eq!(counts.pausing("ada").await, None);
    }

    async fn names_are_bounded_and_the_quietest_goes_first(counts: &Counts) {
        let (looked_at, _) = counts.admitted("looked at").await;
        counts.wrong("first", RULES.free).await;
        for name in 0..RULES.names_max {
            counts.pass(Duration::from_millis(5)).await;
            counts.wrong(&name.to_string(), RULES.free).await;
        }
        assert_eq!(counts.pausing("first").await, None);
        assert_eq!(counts.pausing("0").await, None);
        for name in 2..RULES.names_max {
            assert!(counts.pausing(&name.to_string()).await.is_some(), "{name}");
        }
        counts.settle("looked at", looked_at, Verdict::Wrong).await;
        assert!(!counts.admitted("looked at").await.1, "it was remembered");
    }
}

/// The counts of a process end with it; those in Redis outlive a process that was killed.
#[tokio::test]
async fn a_guess_that_nobody_settles_lapses_and_counts_if_it_was_wrong_after_all() {
    let Some(url) = replybus_testkit::live::redis().await else {
        return;
    };
    let counts = Counts::shared(&url, RULES);
    let mut looked_at = Vec::new();
    for _ in 0..RULES.free {
        looked_at.push(counts.admitted("ada").await.0);
    }
    assert_eq!(counts.admission("ada").await, Admission::Later);
    counts.pass(RULES.lapses_after).await;
    assert!(counts.admitted("ada").await.1);
    for id in looked_at {
        counts.settle("ada", id, Verdict::Wrong).await;
    }
    counts.waits("ada", 1.0).await;
    counts.end().await;
}

#[tokio::test]
async fn a_guess_that_is_asked_for_again_is_admitted_once() {
    let Some(url) = replybus_testkit::live::redis().await else {
        return;
    };
    let counts = Counts::shared(&url, RULES);
    let id = Uuid::new_v4();
    for _ in 0..RULES.free + 3 {
        let admitted = counts.try_admit("ada", id).await;
        assert_eq!(admitted, Admission::Now { is_first: true });
    }
    counts.settle("ada", id, Verdict::None).await;
    assert!(counts.is_empty().await);
    counts.end().await;
}
