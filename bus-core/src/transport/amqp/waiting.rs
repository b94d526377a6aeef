//! Messages that are not written yet, in order, apart by whether a confirm is wanted: neither kind
//! waits behind the other.

use super::publisher::Job;
use std::collections::VecDeque;

#[derive(Default)]
pub(super) struct Waiting {
    pub(super) confirmed: VecDeque<Job>,
    pub(super) unconfirmed: VecDeque<Job>,
}

impl Waiting {
    pub(super) fn push(&mut self, job: Job) {
        if job.outgoing.confirm {
            self.confirmed.push_back(job);
        } else {
            self.unconfirmed.push_back(job);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.confirmed.is_empty() && self.unconfirmed.is_empty()
    }

    /// Takes out what `matches`.
    pub(super) fn drain_where(&mut self, matches: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut taken = Vec::new();
        for jobs in [&mut self.confirmed, &mut self.unconfirmed] {
            for job in std::mem::take(jobs) {
                if matches(&job) {
                    taken.push(job);
                } else {
                    jobs.push_back(job);
                }
            }
        }
        taken
    }
}
