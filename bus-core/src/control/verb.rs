//! What an instance can be asked, and the answers as they travel.

use super::{contract::InstanceContract, histogram::DurationHistogram};
use crate::{
    call_id::CallId,
    job::RunningJob,
    limits::{CONTRACT_ANSWER_BYTES_MAX, JOBS_TOLD_MAX},
    presence::{Instance, InstanceId, is_shown},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// What is asked: the type of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Ping,
    Info,
    Stats,
    Contract,
    Jobs,
    Drain,
}

impl Verb {
    const ALL: [Self; 6] = [
        Self::Ping,
        Self::Info,
        Self::Stats,
        Self::Contract,
        Self::Jobs,
        Self::Drain,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Info => "info",
            Self::Stats => "stats",
            Self::Contract => "contract",
            Self::Jobs => "jobs",
            Self::Drain => "drain",
        }
    }

    /// The verb of a message of this type, if it is one.
    pub(super) fn of(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == kind)
    }
}

/// The body of a message that drains; those of the others are empty.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct DrainRequest {
    /// When an instance that is not done yet says so, in milliseconds.
    pub(super) within_ms: u64,
}

/// An answer that names its instance.
pub(super) trait InstanceAnswer: DeserializeOwned {
    fn instance(&self) -> InstanceId;

    /// `true` if it can be shown to people as it is.
    fn is_sound(&self) -> bool {
        true
    }
}

/// An instance that hears and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pong {
    /// The instance.
    pub instance: InstanceId,
    /// From the question to its answer.
    pub took: Duration,
}

/// A ping as it is answered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Pinged {
    pub(super) instance: InstanceId,
}

/// What an instance has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InstanceStats {
    /// The instance.
    pub instance: InstanceId,
    /// When it was served, by the clock of its machine: its counts begin there.
    #[serde(rename = "since_ms", with = "crate::presence::millis")]
    pub since: SystemTime,
    /// Deliveries that it works on.
    pub in_flight: u64,
    /// By method; those that were never called are left out.
    pub methods: BTreeMap<String, MethodStats>,
}

/// What came of the requests for one method.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MethodStats {
    /// Answered by the handler, its own errors included, or out of a record.
    pub served: u64,
    /// Those of them whose answer was an error of the handler's own.
    #[serde(default)]
    pub errors: u64,
    /// Those that came to anything else.
    pub failed: u64,
    /// How long all of these took: from when a request reached the instance until its answer was
    /// known, its wait for a handler to be free included. Empty from an instance of a version that
    /// does not measure.
    #[serde(default)]
    pub took: DurationHistogram,
    /// How long those had waited that say when they were published, which awaited calls do: from then
    /// until they reached the instance. The two moments are of two clocks, so it is as wrong as these
    /// are apart.
    #[serde(default)]
    pub waited: DurationHistogram,
}

/// The jobs that an instance runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InstanceJobs {
    /// The instance.
    pub instance: InstanceId,
    /// The jobs, the oldest first, up to [`JOBS_TOLD_MAX`](crate::limits::JOBS_TOLD_MAX).
    pub jobs: Vec<RunningJob>,
    /// The number of those that are left out.
    #[serde(default)]
    pub more: u64,
}

impl InstanceJobs {
    /// `true` if the instance runs the job of this call, or may: nothing is known of those that are
    /// left out.
    #[must_use]
    pub fn may_run(&self, id: CallId) -> bool {
        self.more > 0 || self.jobs.iter().any(|job| job.id == id)
    }
}

/// What came of draining one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InstanceDrain {
    /// The instance.
    pub instance: InstanceId,
    /// How far it has come.
    #[serde(flatten)]
    pub outcome: DrainOutcome,
}

/// How far an instance that was to drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DrainOutcome {
    /// It takes no more, and all that it took is done.
    Drained {
        /// Deliveries that were not done when its own time was up, and went back to the queue.
        given_back: u64,
    },
    /// It takes no more, and still works on what it took.
    Draining,
    /// It was not served with [`allow_drain`](crate::server::Serve::allow_drain), and goes on.
    Refused,
}

impl InstanceAnswer for Pinged {
    fn instance(&self) -> InstanceId {
        self.instance
    }
}

impl InstanceAnswer for Instance {
    fn instance(&self) -> InstanceId {
        self.id
    }

    fn is_sound(&self) -> bool {
        Instance::is_sound(self)
    }
}

impl InstanceAnswer for InstanceStats {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn is_sound(&self) -> bool {
        self.methods.keys().all(|name| is_shown(name))
    }
}

impl InstanceAnswer for InstanceJobs {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn is_sound(&self) -> bool {
        self.jobs.len() <= JOBS_TOLD_MAX && self.jobs.iter().all(|job| is_shown(&job.method))
    }
}

impl InstanceAnswer for InstanceContract {
    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn is_sound(&self) -> bool {
        let document = self.document.as_ref();
        let told = document.is_none_or(|document| document.len() <= CONTRACT_ANSWER_BYTES_MAX);
        let reason = self.reason.as_ref();
        told && reason.is_none_or(|reason| reason.len() <= CONTRACT_ANSWER_BYTES_MAX)
    }
}

impl InstanceAnswer for InstanceDrain {
    fn instance(&self) -> InstanceId {
        self.instance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::INSTANCE_TEXT_MAX;

    #[test]
    fn a_job_that_is_left_out_may_run() {
        let mut jobs = InstanceJobs {
            instance: InstanceId::new(),
            jobs: vec![RunningJob {
                id: CallId::new(),
                method: "copy".to_owned(),
                since: SystemTime::now(),
                attempt: 1,
                progress: None,
            }],
            more: 0,
        };
        assert!(jobs.may_run(jobs.jobs[0].id));
        assert!(!jobs.may_run(CallId::new()));
        jobs.more = 1;
        assert!(jobs.may_run(CallId::new()));
    }

    #[test]
    fn what_is_more_than_an_instance_tells_or_can_not_be_shown_is_not_sound() {
        let instance = InstanceId::new();
        let job = |method: &str| {
            let id = CallId::new();
            format!(r#"{{"id":"{id}","method":{method},"since_ms":17,"attempt":1}}"#)
        };
        let jobs = |jobs: Vec<String>| {
            let jobs = jobs.join(",");
            let text = format!(r#"{{"instance":"{instance}","jobs":[{jobs}]}}"#);
            serde_json::from_str::<InstanceJobs>(&text).unwrap()
        };
        let long = format!("\"{}\"", "x".repeat(INSTANCE_TEXT_MAX + 1));
        assert!(jobs(vec![job(r#""copy""#); JOBS_TOLD_MAX]).is_sound());
        assert!(!jobs(vec![job(r#""copy""#); JOBS_TOLD_MAX + 1]).is_sound());
        assert!(!jobs(vec![job(r#""\u001b[2J""#)]).is_sound());
        assert!(!jobs(vec![job(&long)]).is_sound());
        let stats = |method: &str| InstanceStats {
            instance,
            since: SystemTime::now(),
            in_flight: 0,
            methods: [(method.to_owned(), MethodStats::default())].into(),
        };
        assert!(stats("copy").is_sound());
        assert!(!stats(&long).is_sound() && !stats("\u{1b}[2J").is_sound());
    }

    #[test]
    fn the_stats_of_an_older_version_are_read() {
        let instance = InstanceId::new();
        let text = format!(
            r#"{{"instance":"{instance}","since_ms":17,"in_flight":1,
                "methods":{{"balance":{{"served":3,"failed":1}}}}}}"#
        );
        let read: InstanceStats = serde_json::from_str(&text).unwrap();
        let stats = &read.methods["balance"];
        assert_eq!((stats.served, stats.failed, stats.errors), (3, 1, 0));
        assert_eq!(stats.took.quantile(0.99), None);
    }
}
