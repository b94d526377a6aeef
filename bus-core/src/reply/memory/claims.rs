//! The claims of commands: who may run one, and what came of it.

use super::expiring::{Expiring, after};
use crate::{
    contract::wall_clock,
    message::Text,
    reply::{Cancel, Cancelled, Claim, Claimed, CommandRecord},
};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// Claims by key.
#[derive(Debug, Default)]
pub(super) struct Claims(Expiring<Text, Record>);

#[derive(Debug, Clone)]
struct Record {
    /// `None` of a command that was cancelled before it came.
    fingerprint: Option<[u8; 16]>,
    /// Runs that were started.
    attempt: u32,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Running {
        owner: Text,
        lapses: Instant,
        /// When somebody else first asked for it although it should have been renewed by then.
        contested: Option<Instant>,
        /// What it noted last of how far it is.
        progress: Option<Bytes>,
        /// It was told of a cancel: the outcome if its worker dies.
        told: Option<Bytes>,
    },
    /// Given up: anyone may run it, unless it was told of a cancel. The run had noted this of how far
    /// it was.
    Free {
        progress: Option<Bytes>,
        told: Option<Bytes>,
    },
    Done {
        owner: Text,
        frame: Bytes,
    },
}

impl Record {
    fn is_run_by(&self, claim: &Claim) -> bool {
        self.fingerprint == Some(claim.fingerprint)
            && matches!(&self.state, State::Running { owner, .. } if *owner == claim.owner)
    }

    /// `true` if its run was told of a cancel: it is not begun anew.
    fn is_told(&self) -> bool {
        matches!(&self.state, State::Running { told: Some(_), .. })
    }

    /// The state of a run that gave its claim up.
    fn given_up(&self) -> State {
        let (progress, told) = match &self.state {
            State::Running { progress, told, .. } => (progress.clone(), told.clone()),
            State::Free { .. } | State::Done { .. } => (None, None),
        };
        State::Free { progress, told }
    }

    /// The outcome of this request, if it is known.
    fn outcome(&self, claim: &Claim) -> Option<&Bytes> {
        match &self.state {
            State::Done { frame, .. } if !self.conflicts_with(claim) => Some(frame),
            _ => None,
        }
    }

    fn conflicts_with(&self, claim: &Claim) -> bool {
        let fingerprint = self.fingerprint;
        fingerprint.is_some_and(|fingerprint| fingerprint != claim.fingerprint)
    }
}

impl Claims {
    pub(super) fn claim(&mut self, claim: &Claim) -> Claimed {
        let now = Instant::now();
        let attempt = match self.0.get_mut(claim.key.as_str()) {
            None if claim.until.is_some_and(|until| until <= wall_clock()) => {
                return Claimed::Expired;
            }
            None => 1,
            Some(record) if record.conflicts_with(claim) => return Claimed::Conflict,
            // The same run, asking again because it did not hear the answer.
            Some(record) if record.is_run_by(claim) => record.attempt,
            Some(record) => {
                let told = match &mut record.state {
                    State::Done { frame, .. } => return Claimed::Done(frame.clone()),
                    State::Free { told, .. } => told.take(),
                    State::Running {
                        lapses,
                        contested,
                        told,
                        ..
                    } => {
                        if !is_lost(now, *lapses, contested, claim.lease) {
                            return Claimed::Running;
                        }
                        told.take()
                    }
                };
                let attempt = record.attempt;
                if let Some(frame) = told {
                    let owner = Text::default();
                    self.set(
                        claim,
                        attempt,
                        State::Done {
                            owner,
                            frame: frame.clone(),
                        },
                    );
                    return Claimed::Done(frame);
                }
                attempt.saturating_add(1)
            }
        };
        self.run(claim, attempt);
        Claimed::Run { attempt }
    }

    /// True if the claim is still this owner's. One whose record is gone is made again.
    pub(super) fn renew(&mut self, claim: &Claim) -> bool {
        let attempt = match self.0.get(claim.key.as_str()) {
            None => 1,
            Some(record) if record.is_run_by(claim) => record.attempt,
            Some(record) => {
                return matches!(&record.state, State::Done { owner, .. } if *owner == claim.owner);
            }
        };
        self.run(claim, attempt);
        true
    }

    pub(super) fn release(&mut self, claim: &Claim) {
        let record = self.0.get(claim.key.as_str());
        match record.filter(|record| record.is_run_by(claim)) {
            None => {}
            Some(record) if record.attempt <= 1 && !record.is_told() => {
                self.0.remove(claim.key.as_str());
            }
            Some(record) => self.set(claim, record.attempt - 1, record.given_up()),
        }
    }

    pub(super) fn lapse(&mut self, claim: &Claim) {
        let record = self.0.get(claim.key.as_str());
        if let Some(record) = record.filter(|record| record.is_run_by(claim)) {
            self.set(claim, record.attempt, record.given_up());
        }
    }

    /// Records the outcome of a run that still holds its claim, or whose record is gone.
    ///
    /// Returns the outcome that counts, which is the first one; `None` if another owner has the
    /// claim by now and its outcome is still to come.
    pub(super) fn finish(&mut self, claim: &Claim, frame: Bytes) -> Option<Bytes> {
        let attempt = match self.0.get(claim.key.as_str()) {
            None => 1,
            Some(record) if record.is_run_by(claim) => record.attempt,
            Some(record) => return record.outcome(claim).cloned(),
        };
        let done = State::Done {
            owner: claim.owner.clone(),
            frame: frame.clone(),
        };
        self.set(claim, attempt, done);
        Some(frame)
    }

    pub(super) fn cancel(&mut self, cancel: &Cancel) -> Cancelled {
        let done = |frame: &Bytes| State::Done {
            owner: Text::default(),
            frame: frame.clone(),
        };
        let (record, answer) = match self.0.get_mut(cancel.key.as_str()) {
            None => {
                let record = Record {
                    fingerprint: None,
                    attempt: 0,
                    state: done(&cancel.never_started),
                };
                (record, Cancelled::NeverStarted)
            }
            Some(record) => match &mut record.state {
                State::Done { frame, .. } => return Cancelled::Done(frame.clone()),
                State::Running { told, .. } => {
                    *told = Some(cancel.interrupted.clone());
                    return Cancelled::Running;
                }
                State::Free { .. } => {
                    let record = Record {
                        state: done(&cancel.interrupted),
                        ..record.clone()
                    };
                    (record, Cancelled::Done(cancel.interrupted.clone()))
                }
            },
        };
        self.0.insert(cancel.key.clone(), record, cancel.retention);
        answer
    }

    pub(super) fn note(&mut self, claim: &Claim, noted: Bytes) {
        let record = self.0.get_mut(claim.key.as_str());
        if let Some(record) = record.filter(|record| record.is_run_by(claim))
            && let State::Running { progress, .. } = &mut record.state
        {
            *progress = Some(noted);
        }
    }

    pub(super) fn record(&self, key: &str) -> Option<CommandRecord> {
        let record = self.0.get(key)?;
        let attempt = record.attempt;
        Some(match &record.state {
            State::Done { frame, .. } => CommandRecord::Done(frame.clone()),
            State::Free { progress, .. } => CommandRecord::Running {
                attempt,
                lease_left: Duration::ZERO,
                progress: progress.clone(),
            },
            State::Running {
                lapses, progress, ..
            } => CommandRecord::Running {
                attempt,
                lease_left: lapses.saturating_duration_since(Instant::now()),
                progress: progress.clone(),
            },
        })
    }

    fn run(&mut self, claim: &Claim, attempt: u32) {
        let (mut noted, mut told) = (None, None);
        let mut lapses = after(Instant::now(), claim.lease);
        // Renewing never shortens: it may come from a runtime whose clock is behind.
        if let Some(record) = self
            .0
            .get(claim.key.as_str())
            .filter(|record| record.is_run_by(claim))
            && let State::Running {
                lapses: before,
                progress,
                told: told_before,
                ..
            } = &record.state
        {
            lapses = lapses.max(*before);
            noted.clone_from(progress);
            told.clone_from(told_before);
        }
        let running = State::Running {
            owner: claim.owner.clone(),
            lapses,
            contested: None,
            progress: noted,
            told,
        };
        self.set(claim, attempt, running);
    }

    fn set(&mut self, claim: &Claim, attempt: u32, state: State) {
        let ttl = match &state {
            // The count of attempts has to outlive the run that did not end.
            State::Running { .. } => claim.retention.saturating_add(claim.lease),
            State::Free { .. } | State::Done { .. } => claim.retention,
        };
        let until = claim
            .until
            .and_then(|until| until.duration_since(wall_clock()).ok());
        let ttl = until.map_or(ttl, |until| until.max(ttl));
        let record = Record {
            fingerprint: Some(claim.fingerprint),
            attempt,
            state,
        };
        self.0.insert(claim.key.clone(), record, ttl);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// `true` if a claim is over for who holds it: its lease is, and for half of one somebody else has
/// been asking, so that it could have been renewed if everything had only stood still.
fn is_lost(
    now: Instant,
    lapses: Instant,
    contested: &mut Option<Instant>,
    lease: Duration,
) -> bool {
    let half = lease / 2;
    if after(now, half) < lapses {
        return false;
    }
    let since = *contested.get_or_insert(now);
    lapses <= now && now.duration_since(since) >= half
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LEASE: Duration = Duration::from_secs(15);
    const RETENTION: Duration = Duration::from_secs(60);

    fn by(owner: &str) -> Claim {
        Claim::new("Accounts.post:42", [1; 16], owner)
            .lease(LEASE)
            .retention(RETENTION)
    }

    /// Lets a lease go by while somebody else asks for the claim.
    async fn lapse(claims: &mut Claims, by_whom: &str) {
        tokio::time::advance(LEASE / 2).await;
        assert_eq!(claims.claim(&by(by_whom)), Claimed::Running);
        tokio::time::advance(LEASE / 2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_tells_how_far_its_run_is() {
        let mut claims = Claims::default();
        let key = by("a").key;
        assert_eq!(claims.record(&key), None);
        claims.claim(&by("a"));
        claims.note(&by("b"), "not theirs".into());
        tokio::time::advance(LEASE / 3).await;
        let running = |attempt, lease_left, progress: Option<&'static str>| {
            let progress = progress.map(Bytes::from);
            Some(CommandRecord::Running {
                attempt,
                lease_left,
                progress,
            })
        };
        assert_eq!(claims.record(&key), running(1, LEASE - LEASE / 3, None));
        claims.note(&by("a"), "half".into());
        // It outlives a renewal, and not the run.
        claims.renew(&by("a"));
        assert_eq!(claims.record(&key), running(1, LEASE, Some("half")));
        lapse(&mut claims, "b").await;
        assert_eq!(
            claims.record(&key),
            running(1, Duration::ZERO, Some("half"))
        );
        claims.claim(&by("b"));
        assert_eq!(claims.record(&key), running(2, LEASE, None));
        claims.note(&by("b"), "a third".into());
        claims.lapse(&by("b"));
        assert_eq!(
            claims.record(&key),
            running(2, Duration::ZERO, Some("a third"))
        );
        claims.claim(&by("b"));
        claims.finish(&by("b"), "ok".into());
        claims.note(&by("b"), "after the end".into());
        assert_eq!(claims.record(&key), Some(CommandRecord::Done("ok".into())));
    }

    fn done(text: &'static str) -> Claimed {
        Claimed::Done(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn one_runs_and_the_others_wait_for_its_outcome() {
        let mut claims = Claims::default();
        assert_eq!(claims.claim(&by("a")), Claimed::Run { attempt: 1 });
        assert_eq!(claims.claim(&by("a")), Claimed::Run { attempt: 1 });
        assert_eq!(claims.claim(&by("b")), Claimed::Running);
        claims.finish(&by("a"), "ok".into());
        for owner in ["a", "b"] {
            assert_eq!(claims.claim(&by(owner)), done("ok"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_fingerprint_is_a_conflict_in_every_state() {
        let mut claims = Claims::default();
        let other = Claim {
            fingerprint: [2; 16],
            ..by("a")
        };
        claims.claim(&by("a"));
        assert_eq!(claims.claim(&other), Claimed::Conflict);
        assert!(!claims.renew(&other));
        tokio::time::advance(2 * LEASE).await;
        assert_eq!(claims.claim(&other), Claimed::Conflict);
        claims.finish(&by("a"), "ok".into());
        assert_eq!(claims.claim(&other), Claimed::Conflict);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lapsed_claim_goes_to_the_next_owner_for_good() {
        let mut claims = Claims::default();
        claims.claim(&by("a"));
        tokio::time::advance(LEASE - SECOND).await;
        assert!(claims.renew(&by("a")));
        tokio::time::advance(LEASE - SECOND).await;
        assert_eq!(claims.claim(&by("b")), Claimed::Running);
        tokio::time::advance(SECOND).await;
        // Late, but nobody else asked: still its own.
        assert!(claims.renew(&by("a")));
        lapse(&mut claims, "b").await;
        assert_eq!(claims.claim(&by("b")), Claimed::Run { attempt: 2 });
        assert!(!claims.renew(&by("a")));
        claims.release(&by("a"));
        assert_eq!(claims.finish(&by("a"), "from the dead".into()), None);
        assert_eq!(claims.claim(&by("a")), Claimed::Running);
        for (owner, frame) in [("b", "ok"), ("b", "again"), ("a", "from the dead")] {
            let counts = claims.finish(&by(owner), frame.into());
            assert_eq!(counts, Some("ok".into()));
        }
        assert_eq!(claims.claim(&by("c")), done("ok"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_run_does_not_count() {
        let mut claims = Claims::default();
        claims.claim(&by("a"));
        claims.release(&by("a"));
        assert_eq!(claims.claim(&by("b")), Claimed::Run { attempt: 1 });
        lapse(&mut claims, "c").await;
        assert_eq!(claims.claim(&by("c")), Claimed::Run { attempt: 2 });
        claims.release(&by("c"));
        claims.finish(&by("c"), "given up".into());
        assert_eq!(claims.claim(&by("c")), Claimed::Run { attempt: 2 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_lapsed_counts() {
        let mut claims = Claims::default();
        claims.claim(&by("a"));
        claims.lapse(&by("b"));
        assert_eq!(claims.claim(&by("b")), Claimed::Running);
        claims.lapse(&by("a"));
        assert_eq!(claims.finish(&by("a"), "from the dead".into()), None);
        assert_eq!(claims.claim(&by("b")), Claimed::Run { attempt: 2 });
        claims.finish(&by("b"), "ok".into());
        claims.lapse(&by("b"));
        assert_eq!(claims.claim(&by("c")), done("ok"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_outcome_is_forgotten_after_its_retention() {
        let mut claims = Claims::default();
        claims.claim(&by("a"));
        claims.finish(&by("a"), "ok".into());
        tokio::time::advance(RETENTION - SECOND).await;
        assert_eq!(claims.claim(&by("b")), done("ok"));
        tokio::time::advance(SECOND).await;
        assert_eq!(claims.claim(&by("b")), Claimed::Run { attempt: 1 });
        tokio::time::advance(RETENTION - SECOND).await;
        lapse(&mut claims, "c").await;
        assert_eq!(claims.claim(&by("c")), Claimed::Run { attempt: 2 });
        assert_eq!(claims.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_standstill_who_holds_a_claim_has_half_a_lease_to_renew_it() {
        let mut claims = Claims::default();
        claims.claim(&by("a"));
        for standstill in [LEASE, 3 * LEASE] {
            tokio::time::advance(standstill).await;
            assert_eq!(claims.claim(&by("b")), Claimed::Running);
            tokio::time::advance(LEASE / 2 - SECOND).await;
            assert_eq!(claims.claim(&by("b")), Claimed::Running);
            assert!(claims.renew(&by("a")));
        }
        // Who asked before it was renewed does not count.
        tokio::time::advance(LEASE).await;
        assert_eq!(claims.claim(&by("b")), Claimed::Running);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_others_wait_for_lapses_with_its_lease() {
        let mut claims = Claims::default();
        claims.claim(&by("a"));
        tokio::time::advance(LEASE / 2).await;
        assert_eq!(claims.claim(&by("b")), Claimed::Running);
        tokio::time::advance(LEASE / 2 - SECOND).await;
        assert_eq!(claims.claim(&by("b")), Claimed::Running);
        tokio::time::advance(SECOND).await;
        assert_eq!(claims.claim(&by("c")), Claimed::Run { attempt: 2 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_is_gone_is_made_again() {
        let mut claims = Claims::default();
        assert!(claims.renew(&by("a")));
        assert_eq!(claims.claim(&by("b")), Claimed::Running);
        claims.release(&by("a"));
        claims.finish(&by("a"), "ok".into());
        assert_eq!(claims.claim(&by("b")), done("ok"));
        assert!(claims.renew(&by("a")));
        assert!(!claims.renew(&by("b")));
    }
}
