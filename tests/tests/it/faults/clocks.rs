//! Clocks on the wall that jump: those of workers, and that of Redis. What runs keeps its promises, and
//! what is refused because clocks differ is refused by word, and was not begun.
//!
//! The clock of a caller that is ahead is to its worker what the worker's is that is behind, and the
//! other way round.

use super::{
    load::{Kind, Load, call},
    rig::{Rig, Settings, connect, eventually, until},
    workers::{journal, served, worker_with},
};
use replybus::{Bus, FailureKind};
use replybus_testkit::{
    live::{require_or_skip, unique},
    servers::{Persistence, PrivateRabbit, PrivateRedis, Shown, WallClock, Worker},
};
use replybus_tests::ledger::{Journal, LedgerClient};
use std::time::Duration;
use tokio::task::JoinSet;

const HOUR: Duration = Duration::from_secs(3600);
/// Longer than the lease of a dead worker's claim, and shorter than any jump.
const WITHIN: Duration = Duration::from_secs(100);

/// Servers whose clocks are right, a clock for workers, and a bus that calls.
struct Site {
    rig: Rig,
    clock: WallClock,
    namespace: String,
    bus: Bus,
}

impl Site {
    /// The clock is that of workers.
    async fn of_workers() -> Option<Self> {
        let clock = require_or_skip(WallClock::new())?;
        Self::on(Rig::start(Persistence::None).await?, clock).await
    }

    /// The clock is that of Redis.
    async fn of_redis() -> Option<Self> {
        let clock = require_or_skip(WallClock::new())?;
        let (rabbit, redis) = tokio::join!(PrivateRabbit::start(), PrivateRedis::by(&clock));
        let (rabbit, redis) = (require_or_skip(rabbit)?, require_or_skip(redis)?);
        Self::on(Rig { rabbit, redis }, clock).await
    }

    async fn on(rig: Rig, clock: WallClock) -> Option<Self> {
        let namespace = unique("clocks");
        let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
        Some(Self {
            rig,
            clock,
            namespace,
            bus,
        })
    }

    fn client(&self) -> LedgerClient {
        LedgerClient::new(&self.bus)
    }

    fn set(&self, shown: Shown) {
        self.clock.set(shown).unwrap();
    }

    /// A worker whose clock is right.
    fn worker(&self, more: &[(&str, &str)]) -> Worker {
        worker_with(&self.rig, &self.namespace, more)
    }

    /// A worker that sees the clock.
    fn clocked(&self, more: &[(&str, &str)]) -> Worker {
        let variables = self.clock.variables().unwrap();
        let variables = variables.iter().map(|(name, value)| (*name, &**value));
        let settings: Vec<_> = variables.chain(more.iter().copied()).collect();
        self.worker(&settings)
    }
}

/// Commands that a worker has begun and does not end.
async fn begun(site: &Site, worker: &Worker) -> JoinSet<super::load::Told> {
    let mut calls = JoinSet::new();
    for number in 0..16 {
        let client = site.client();
        let kind = [Kind::Command, Kind::KeyedCommand][number % 2];
        calls.spawn(async move { call(&client, kind, WITHIN).await });
    }
    eventually("the worker runs them all", || async {
        journal([worker]).begun() == 16
    })
    .await;
    calls
}

/// They are done by the second run, once.
async fn taken_over(calls: JoinSet<super::load::Told>, before: &Worker, after: &Worker) {
    let told = calls.join_all().await;
    let (before, after) = (journal([before]), journal([after]));
    for one in told {
        assert_eq!(one.outcome, Ok(Some(2)), "{one:?}");
        assert!(before.page(&one.name).done.is_empty());
        assert_eq!(after.page(&one.name).done, [2]);
    }
}

/// A request says how long it lives, which counts from its publish and takes no clock, and until
/// when, for one that was held up before that. So a worker whose clock is behind does its work, and
/// one whose clock is ahead begins nothing that somebody waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_clock_jumps_ahead_refuses_and_goes_on_when_it_is_put_right() {
    let Some(site) = Site::of_workers().await else {
        return;
    };
    let client = site.client();
    let mut worker = site.clocked(&[]);
    served(&client, &mut worker).await;
    for _ in 0..2 {
        site.set(Shown::Behind(HOUR));
        served(&client, &mut worker).await;
        site.set(Shown::Ahead(HOUR));
        for kind in [Kind::Query, Kind::Command] {
            let refused = until("it is refused", || async {
                call(&client, kind, WITHIN)
                    .await
                    .outcome
                    .err()
                    .ok_or("it was run")
            })
            .await;
            assert_eq!(refused.kind, FailureKind::Expired, "{kind:?}");
            assert!(!refused.may_have_executed, "{kind:?}");
        }
        site.set(Shown::Right);
        served(&client, &mut worker).await;
    }
    site.rig.drained().await;
    assert!(worker.is_running(), "{}", worker.log_tail());
    assert_eq!(site.bus.health().calls_waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_worker_runs_when_its_clock_jumps_is_done_once() {
    let Some(site) = Site::of_workers().await else {
        return;
    };
    for shown in [Shown::Ahead(HOUR), Shown::Behind(HOUR)] {
        site.set(Shown::Right);
        let mut first = site.clocked(&[("GATE", "closed")]);
        served(&site.client(), &mut first).await;
        let calls = begun(&site, &first).await;
        site.set(shown);
        // It keeps what it has, for much longer than a lease.
        let second = site.worker(&[]);
        tokio::time::sleep(replybus::limits::CLAIM_LEASE * 3).await;
        assert_eq!(journal([&second]).begun(), 0, "{shown:?}");
        first.kill();
        taken_over(calls, &first, &second).await;
    }
}

/// Redis counts leases and expiries by it. What was to be forgotten within the jump is forgotten at
/// once, and a command that says until when it lives is not begun by a Redis that is past that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_redis_jumps_under_load() {
    let Some(site) = Site::of_redis().await else {
        return;
    };
    let client = site.client();
    let mut worker = site.worker(&[]);
    served(&client, &mut worker).await;
    let load = Load::start(&client, WITHIN);
    load.flows().await;
    for _ in 0..2 {
        site.set(Shown::Behind(HOUR));
        load.flows().await;
        site.set(Shown::Right);
        load.flows().await;
        site.set(Shown::Ahead(HOUR));
        let query = call(&client, Kind::Query, WITHIN).await;
        assert_eq!(query.outcome, Ok(None));
        let refused = until("it is refused", || async {
            let command = call(&client, Kind::Command, WITHIN).await;
            command.outcome.err().ok_or("it was run")
        })
        .await;
        assert_eq!(refused.kind, FailureKind::Expired);
        site.set(Shown::Right);
        load.flows().await;
    }
    let account = load.stop().await;
    site.rig.drained().await;
    account.is_true_of(&journal([&worker]));
    assert_eq!(site.bus.health().calls_waiting, 0);
}

/// A lease ends for all that the clock by which it is counted was put back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_a_worker_that_died_are_run_by_another_though_redis_clock_was_put_back() {
    let Some(site) = Site::of_redis().await else {
        return;
    };
    let mut first = site.worker(&[("GATE", "closed")]);
    served(&site.client(), &mut first).await;
    let calls = begun(&site, &first).await;
    first.kill();
    site.set(Shown::Behind(HOUR));
    let second = site.worker(&[]);
    taken_over(calls, &first, &second).await;
}

/// What waits on the broker is due by the broker's clock, from when it was given to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delayed_and_what_is_put_off_comes_once_whatever_clocks_show() {
    let Some(site) = Site::of_workers().await else {
        return;
    };
    let client = site.client();
    let mut worker = site.clocked(&[]);
    served(&client, &mut worker).await;
    let mut names = Vec::new();
    for (number, shown) in [Shown::Ahead(HOUR), Shown::Behind(HOUR), Shown::Right]
        .into_iter()
        .enumerate()
    {
        let (later, put_off) = (format!("later-{number}"), format!("put-off-{number}"));
        let delay = Duration::from_secs(3);
        client
            .enter(later.clone(), None)
            .send_after(delay)
            .await
            .unwrap();
        client.put_off(put_off.clone(), false).send().await.unwrap();
        site.set(shown);
        names.extend([later, put_off]);
    }
    let is_done = |journal: &Journal| names.iter().all(|name| journal.page(name).done.len() == 1);
    eventually("all is done", || async { is_done(&journal([&worker])) }).await;
    site.rig.drained().await;
    assert!(is_done(&journal([&worker])));
}

/// A program that is ahead runs ticks that are to come, and the hour that the clock is put back by is
/// not one without any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_go_on_when_a_clock_that_was_ahead_is_put_right() {
    let Some(site) = Site::of_workers().await else {
        return;
    };
    let worker = site.clocked(&[("SCHEDULE", "* * * * * *")]);
    let ticks = || journal([&worker]).begun();
    let more_ticks = async |what| {
        let before = ticks();
        eventually(what, || async { ticks() > before + 3 }).await;
    };
    more_ticks("ticks are run").await;
    for _ in 0..2 {
        site.set(Shown::Ahead(HOUR));
        more_ticks("ticks of the hour that is to come are run").await;
        site.set(Shown::Right);
        more_ticks("ticks are run again").await;
    }
    let journal = journal([&worker]);
    for name in journal.names() {
        assert_eq!(journal.page(&name).done.len(), 1, "{name}");
    }
}

/// A clock that gains a tenth is wrong by more and more: by a second after ten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_clock_is_a_tenth_fast_does_its_work() {
    let Some(site) = Site::of_workers().await else {
        return;
    };
    site.set(Shown::Fast);
    let client = site.client();
    let mut worker = site.clocked(&[("SCHEDULE", "* * * * * *")]);
    served(&client, &mut worker).await;
    let load = Load::start(&client, WITHIN);
    let ticks = || {
        let names = journal([&worker]).names().into_iter();
        names.filter(|name| name.starts_with("ticks/")).count()
    };
    eventually("ticks are run for a while", || async { ticks() > 20 }).await;
    load.flows().await;
    let account = load.stop().await;
    account.all_went_well();
    // Ticks wait on the broker all the time.
    account.are_done(&journal([&worker])).await;
    let journal = journal([&worker]);
    account.is_true_of(&journal);
    for name in journal.names() {
        assert!(journal.page(&name).done.len() <= 1, "{name}");
    }
}

/// As [`a_worker_whose_clock_is_a_tenth_fast_does_its_work`], of Redis: its leases are a tenth shorter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_whose_clock_is_a_tenth_fast_gives_no_claim_twice() {
    let clock = WallClock::new();
    let Some(clock) = require_or_skip(clock) else {
        return;
    };
    clock.set(Shown::Fast).unwrap();
    let (rabbit, redis) = tokio::join!(PrivateRabbit::start(), PrivateRedis::by(&clock));
    let (Some(rabbit), Some(redis)) = (require_or_skip(rabbit), require_or_skip(redis)) else {
        return;
    };
    let site = Site::on(Rig { rabbit, redis }, clock).await.unwrap();
    let mut first = site.worker(&[("GATE", "closed")]);
    served(&site.client(), &mut first).await;
    let calls = begun(&site, &first).await;
    let second = site.worker(&[]);
    tokio::time::sleep(replybus::limits::CLAIM_LEASE * 4).await;
    assert_eq!(journal([&second]).begun(), 0);
    first.kill();
    taken_over(calls, &first, &second).await;
}
