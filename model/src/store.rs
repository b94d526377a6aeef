//! The scripts of the store, each one step: `bus-redis/src/scripts`, and `bus-core/src/reply/memory`,
//! which does the same.

use crate::{
    mistake::Mistake,
    state::{Claimed, Owner, Record, WorkerId},
};

/// `scripts/claim.lua`, in the order of its branches. Fingerprints, records that have a time until
/// which they are kept, and cancels are left out.
pub(crate) fn claim(
    record: &mut Record,
    by: WorkerId,
    waited: bool,
    mistake: Option<Mistake>,
) -> Claimed {
    let is_forgotten = *record == Record::Nothing && waited;
    let attempt = match *record {
        Record::Done(number) if mistake != Some(Mistake::RunsWhatIsDone) => {
            return Claimed::Done(number);
        }
        Record::Nothing if is_forgotten && mistake != Some(Mistake::ForgottenIsFree) => {
            *record = Record::Running {
                owner: Owner::Absent,
                attempt: 1,
                lapsed: false,
            };
            return Claimed::Running;
        }
        Record::Nothing | Record::Released | Record::Done(_) => 1,
        Record::Running { owner, attempt, .. } if owner == Owner::Of(by) => attempt,
        Record::Running { lapsed: false, .. } => return Claimed::Running,
        Record::Running { attempt, .. } => attempt + 1,
    };
    *record = Record::Running {
        owner: Owner::Of(by),
        attempt,
        lapsed: false,
    };
    Claimed::Run { attempt }
}

/// `scripts/renew.lua`: of a claim that the store lost it makes one again.
pub(crate) fn renew(record: &mut Record, by: WorkerId) {
    let attempt = match *record {
        Record::Nothing | Record::Released => 1,
        Record::Running { owner, attempt, .. }
            if owner == Owner::Absent || owner == Owner::Of(by) =>
        {
            attempt
        }
        Record::Running { .. } | Record::Done(_) => return,
    };
    *record = Record::Running {
        owner: Owner::Of(by),
        attempt,
        lapsed: false,
    };
}

/// What became of an outcome that was to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    /// This is the outcome: the one that was recorded first.
    Recorded(u8),
    /// Another has the claim.
    TakenOver,
}

/// `scripts/finish.lua`, without its reply, which is stored in the same step.
pub(crate) fn finish(
    record: &mut Record,
    by: WorkerId,
    outcome: u8,
    mistake: Option<Mistake>,
) -> Finished {
    let is_fenced = mistake != Some(Mistake::RecordWithoutFence);
    match *record {
        Record::Done(first) if is_fenced => return Finished::Recorded(first),
        Record::Running { owner, .. }
            if is_fenced && owner != Owner::Of(by) && owner != Owner::Absent =>
        {
            return Finished::TakenOver;
        }
        _ => {}
    }
    *record = Record::Done(outcome);
    Finished::Recorded(outcome)
}

/// `scripts/lapse.lua`: a run came to no outcome, and counts.
pub(crate) fn lapse(record: &mut Record, by: WorkerId) {
    if let Record::Running { owner, lapsed, .. } = record
        && *owner == Owner::Of(by)
    {
        *owner = Owner::Nobody;
        *lapsed = true;
    }
}

/// `scripts/release.lua`: a run did nothing, and does not count.
pub(crate) fn release(record: &mut Record, by: WorkerId) {
    if let Record::Running { owner, attempt, .. } = *record
        && owner == Owner::Of(by)
    {
        *record = match attempt {
            0 | 1 => Record::Released,
            more => Record::Running {
                owner: Owner::Nobody,
                attempt: more - 1,
                lapsed: true,
            },
        };
    }
}
