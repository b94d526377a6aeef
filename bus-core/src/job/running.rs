//! The jobs that one instance runs, as it tells of them.

use super::{Progress, Reports};
use crate::{call_id::CallId, limits::JOBS_TOLD_MAX};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// A job that an instance runs; see [`Control::jobs`](crate::control::Control::jobs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunningJob {
    /// The call that it is.
    pub id: CallId,
    /// Its method.
    pub method: String,
    /// When this run began, by the clock of its instance.
    #[serde(rename = "since_ms", with = "crate::presence::millis")]
    pub since: SystemTime,
    /// The run that this is, from 1.
    pub attempt: u32,
    /// How far it is, if it says so.
    #[serde(default)]
    pub progress: Option<Progress>,
}

/// The jobs of one instance, in the order in which they were begun.
#[derive(Debug, Default)]
pub(crate) struct RunningJobs(Mutex<BTreeMap<u64, Running>>);

#[derive(Debug)]
struct Running {
    id: CallId,
    method: &'static str,
    since: SystemTime,
    attempt: u32,
    reports: Reports,
}

/// The entry of one job. It goes when this is dropped.
#[derive(Debug)]
pub(crate) struct EnteredJob {
    jobs: Arc<RunningJobs>,
    place: u64,
}

impl RunningJobs {
    /// Enters a run that begins now, for as long as what is returned lives.
    pub(crate) fn enter(
        self: &Arc<Self>,
        id: CallId,
        method: &'static str,
        attempt: u32,
        reports: Reports,
    ) -> EnteredJob {
        let running = Running {
            id,
            method,
            since: SystemTime::now(),
            attempt,
            reports,
        };
        let mut entered = self.entered();
        let place = entered.last_key_value().map_or(0, |(last, _)| last + 1);
        entered.insert(place, running);
        EnteredJob {
            jobs: Arc::clone(self),
            place,
        }
    }

    /// The oldest of them, and the number of those that are left out.
    pub(crate) fn told(&self) -> (Vec<RunningJob>, u64) {
        let entered = self.entered();
        let told: Vec<_> = entered
            .values()
            .take(JOBS_TOLD_MAX)
            .map(Running::told)
            .collect();
        let more = entered.len() - told.len();
        (told, u64::try_from(more).unwrap_or(u64::MAX))
    }

    fn entered(&self) -> MutexGuard<'_, BTreeMap<u64, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn told(&self) -> RunningJob {
        RunningJob {
            id: self.id,
            method: self.method.to_owned(),
            since: self.since,
            attempt: self.attempt,
            progress: self.reports.newest(),
        }
    }
}

impl Drop for EnteredJob {
    fn drop(&mut self) {
        self.jobs.entered().remove(&self.place);
    }
}
