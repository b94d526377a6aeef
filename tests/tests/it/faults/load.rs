//! Callers that call all the time, and what must be true of all their calls.

use super::rig::{eventually, until};
use replybus::{CallError, CallFailure, FailureKind, Never};
use replybus_tests::ledger::{Journal, LedgerClient, unix_time};
use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const CALLERS: usize = 64;

/// Beyond its deadline no call may last: a timer of the same runtime, which a busy machine keeps
/// waiting as long, must find it ended.
const LATE_BY: Duration = Duration::from_secs(1);

/// Between two calls of one caller: the load is to be steady, not to fill the machine.
const PAUSE: Duration = Duration::from_millis(20);

/// What a caller does, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Command,
    KeyedCommand,
    Send,
}

const KINDS: [Kind; 4] = [Kind::Query, Kind::Command, Kind::KeyedCommand, Kind::Send];

/// What a caller was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// The attempt that did it, if it has an answer.
    pub(crate) outcome: Result<Option<u32>, Failed>,
}

/// What of a failure matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) kind: FailureKind,
    pub(crate) may_have_executed: bool,
}

impl From<CallFailure> for Failed {
    fn from(failure: CallFailure) -> Self {
        Self {
            kind: failure.kind(),
            may_have_executed: failure.may_have_executed(),
        }
    }
}

impl From<CallError<Never>> for Failed {
    fn from(error: CallError<Never>) -> Self {
        match error {
            CallError::Bus(failure) => failure.into(),
            CallError::Handler(never) => match never {},
        }
    }
}

/// Makes one call, and holds it to its deadline.
pub(crate) async fn call(client: &LedgerClient, kind: Kind, within: Duration) -> Told {
    call_named(client, kind, &unused_name(), within).await
}

/// Makes one command twice at once, under one key.
pub(crate) async fn call_twice(client: &LedgerClient, within: Duration) -> [Told; 2] {
    let name = unused_name();
    let again = || call_named(client, Kind::KeyedCommand, &name, within);
    let (one, other) = tokio::join!(again(), again());
    [one, other]
}

fn unused_name() -> String {
    Uuid::new_v4().simple().to_string()
}

async fn call_named(client: &LedgerClient, kind: Kind, name: &str, within: Duration) -> Told {
    let until = u64::try_from((unix_time() + within).as_millis()).ok();
    // What comes twice must be the same each time.
    let until = until.filter(|_| kind == Kind::Command);
    let started = Instant::now();
    // Whoever is told that nobody serves the queue is the matter of other tests.
    let enter = || {
        let call = client.enter(name.to_owned(), until);
        call.timeout(within).wait_for_service()
    };
    let echo = || client.echo(7).timeout(within).wait_for_service();
    let calling = async {
        match kind {
            Kind::Query => answered(echo().await.map(|_| None)),
            Kind::Command => answered(enter().await.map(Some)),
            Kind::KeyedCommand => answered(enter().idempotency_key(name).await.map(Some)),
            // Its own timeout says when it must have been started, not how long the broker may
            // take.
            Kind::Send => {
                let sent = client.enter(name.to_owned(), until);
                let sent = sent.deadline(started + within).send().await;
                sent.map(|_| None).map_err(Failed::from)
            }
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = calling => outcome,
        // Begun after the call, which is polled first.
        () = async { sleep(within + LATE_BY).await } => {
            panic!("{kind:?} was given {within:?} and is told nothing")
        }
    };
    Told {
        kind,
        name: name.to_owned(),
        outcome,
    }
}

fn answered(answer: Result<Option<u32>, CallError<Never>>) -> Result<Option<u32>, Failed> {
    answer.map_err(Failed::from)
}

/// [`CALLERS`] that call until told to stop.
pub(crate) struct Load {
    callers: JoinSet<Vec<Told>>,
    /// Of each caller, how many calls in a row went well.
    in_a_row: Arc<Vec<AtomicU64>>,
    stop: CancellationToken,
}

impl Load {
    /// Starts them; each call has so much time.
    pub(crate) fn start(client: &LedgerClient, within: Duration) -> Self {
        let in_a_row: Arc<Vec<AtomicU64>> =
            Arc::new((0..CALLERS).map(|_| AtomicU64::new(0)).collect());
        let stop = CancellationToken::new();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (client, stop) = (client.clone(), stop.clone());
            let in_a_row = Arc::clone(&in_a_row);
            callers.spawn(async move {
                let mut told = Vec::new();
                let kinds = KINDS.iter().cycle().skip(caller);
                for kind in kinds.take_while(|_| !stop.is_cancelled()) {
                    let now = match kind {
                        Kind::KeyedCommand => call_twice(&client, within).await.into(),
                        _ => vec![call(&client, *kind, within).await],
                    };
                    let row = &in_a_row[caller];
                    if now.iter().all(|one| one.outcome.is_ok()) {
                        row.fetch_add(1, Ordering::Relaxed);
                    } else {
                        row.store(0, Ordering::Relaxed);
                    }
                    told.extend(now);
                    sleep(PAUSE).await;
                }
                told
            });
        }
        Self {
            callers,
            in_a_row,
            stop,
        }
    }

    /// Waits until every caller has had an answer to every kind of call, from now on.
    pub(crate) async fn flows(&self) {
        for row in self.in_a_row.iter() {
            row.store(0, Ordering::Relaxed);
        }
        // One more than there are kinds: the first may have been on its way.
        let enough = u64::try_from(KINDS.len()).unwrap() + 1;
        until("calls flow", || async {
            let rows = self.in_a_row.iter();
            let rows: Vec<_> = rows.map(|row| row.load(Ordering::Relaxed)).collect();
            let all = rows.iter().all(|row| *row >= enough);
            all.then_some(()).ok_or(rows)
        })
        .await;
    }

    /// Stops the callers, waits for their last calls, and gives out what all were told.
    pub(crate) async fn stop(mut self) -> Account {
        self.stop.cancel();
        let mut told = Vec::new();
        while let Some(of_one) = self.callers.join_next().await {
            match of_one {
                Ok(of_one) => told.extend(of_one),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        Account(told)
    }
}

/// What callers were told, to be compared with what was done.
#[derive(Debug)]
pub(crate) struct Account(pub(crate) Vec<Told>);

impl Account {
    /// Everybody got what was asked for.
    pub(crate) fn all_went_well(&self) {
        let failed: Vec<&Told> = self.0.iter().filter(|one| one.outcome.is_err()).collect();
        assert!(
            failed.is_empty(),
            "{} of {} calls failed, such as {:?}",
            failed.len(),
            self.0.len(),
            failed.first()
        );
    }

    /// Waits until all is done that went well: sends can still be on their way.
    pub(crate) async fn are_done(&self, journal: &Journal) {
        eventually("what was sent is done", || async {
            let all = self.0.iter();
            let mut done = all.filter(|one| one.kind != Kind::Query && one.outcome.is_ok());
            done.all(|one| !journal.page(&one.name).done.is_empty())
        })
        .await;
    }

    /// Nothing was said that is not true, once the queues are empty.
    pub(crate) fn is_true_of(&self, journal: &Journal) {
        let mut counted = std::collections::BTreeMap::<String, usize>::new();
        for one in &self.0 {
            let outcome = match one.outcome {
                Ok(_) => "ok".to_owned(),
                Err(failed) => format!("{:?}", failed.kind),
            };
            *counted
                .entry(format!("{:?} {outcome}", one.kind))
                .or_default() += 1;
        }
        println!("{counted:?}");
        for one in &self.0 {
            is_true(one, journal);
        }
    }
}

/// That a command is done once at most, not begun when its time is over, done if its caller was
/// told so and not done if its caller was told that.
fn is_true(one: &Told, journal: &Journal) {
    if one.kind == Kind::Query {
        return;
    }
    let page = journal.page(&one.name);
    assert!(page.done.len() <= 1, "done twice: {one:?}, {page:?}");
    assert_eq!(page.late, 0, "begun when its caller was gone: {one:?}");
    match one.outcome {
        Ok(_) => assert_eq!(page.done.len(), 1, "lost: {one:?}, {page:?}"),
        // Of what was called twice, the other can have been run.
        Err(failed) if !failed.may_have_executed && one.kind != Kind::KeyedCommand => {
            assert_eq!(page.began, 0, "begun all the same: {one:?}, {page:?}");
        }
        Err(_) => {}
    }
}

/// The one outcome that is right, or the end of the test.
#[track_caller]
pub(crate) fn refused<T: Debug>(outcome: Result<T, Failed>, kind: FailureKind) {
    let expected = Failed {
        kind,
        may_have_executed: false,
    };
    assert_eq!(outcome.unwrap_err(), expected);
}
