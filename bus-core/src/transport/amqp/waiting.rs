//! Messages that are not written yet and want a confirm.
//!
//! In order, but for those that can't be written yet for a reason that others do not share: they
//! are set aside, and cost nothing until the reason is gone.

use super::publisher::Job;
use std::collections::{HashMap, VecDeque};

#[derive(Default)]
pub(super) struct Waiting {
    /// To be looked at, in order.
    next: VecDeque<Job>,
    /// Set aside by `message_id`, each behind one of the same that is on its way. All that are set
    /// aside are older than those in `next`.
    behind: HashMap<String, VecDeque<Job>>,
    /// Ids in `behind` of which the next is to be looked at, before all others.
    free: VecDeque<String>,
    /// Set aside until it is known whether an exchange exists.
    asking: VecDeque<Job>,
}

impl Waiting {
    pub(super) fn push(&mut self, job: Job) {
        self.next.push_back(job);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty() && self.behind.is_empty() && self.asking.is_empty()
    }

    /// Takes out the next one to look at. It is to be written or set aside.
    pub(super) fn take(&mut self) -> Option<Job> {
        while let Some(id) = self.free.pop_front() {
            let Some(line) = self.behind.get_mut(&id) else {
                continue;
            };
            let job = line.pop_front();
            if line.is_empty() {
                self.behind.remove(&id);
            }
            if job.is_some() {
                return job;
            }
        }
        self.next.pop_front()
    }

    /// Sets a message aside until no other of its id is on its way.
    pub(super) fn set_behind(&mut self, id: String, job: Job) {
        self.behind.entry(id).or_default().push_back(job);
    }

    /// No message of this id is on its way any more.
    pub(super) fn free(&mut self, id: String) {
        if self.behind.contains_key(&id) {
            self.free.push_back(id);
        }
    }

    /// Sets a message aside until [`answered`](Self::answered).
    pub(super) fn set_asking(&mut self, job: Job) {
        self.asking.push_back(job);
    }

    /// It is known whether the exchange exists: those that waited for it are the next.
    pub(super) fn answered(&mut self) {
        for job in self.asking.drain(..).rev() {
            self.next.push_front(job);
        }
    }

    /// Nothing is on its way any more: all that was set aside comes back, each id in its order.
    pub(super) fn release(&mut self) {
        self.answered();
        self.free.clear();
        for (_, line) in self.behind.drain() {
            for job in line.into_iter().rev() {
                self.next.push_front(job);
            }
        }
    }

    /// Takes out what `matches`.
    pub(super) fn drain_where(&mut self, matches: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut taken = Vec::new();
        let lines = [&mut self.next, &mut self.asking];
        for line in lines.into_iter().chain(self.behind.values_mut()) {
            drain_line(line, &matches, &mut taken);
        }
        self.behind.retain(|_, line| !line.is_empty());
        self.free.retain(|id| self.behind.contains_key(id));
        taken
    }
}

/// Moves what `matches` out of `jobs`; the others keep their order.
pub(super) fn drain_line(
    jobs: &mut VecDeque<Job>,
    matches: impl Fn(&Job) -> bool,
    taken: &mut Vec<Job>,
) {
    for job in std::mem::take(jobs) {
        if matches(&job) {
            taken.push(job);
        } else {
            jobs.push_back(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Outgoing, Receipt};
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    /// A message with an id and a body that tells it from others.
    fn job(id: &str, body: &'static str) -> Job {
        let mut message = crate::message::Message::default();
        message.properties.message_id = Some(id.to_owned());
        message.body = body.into();
        Job {
            outgoing: Outgoing {
                message,
                deadline: None,
                mandatory: false,
                confirm: true,
            },
            slip: Receipt::new().0,
            permit: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        }
    }

    fn body(job: &Job) -> String {
        String::from_utf8(job.outgoing.message.body.to_vec()).unwrap()
    }

    fn take(waiting: &mut Waiting) -> Option<String> {
        waiting.take().as_ref().map(body)
    }

    fn waiting(jobs: [(&str, &'static str); 4]) -> Waiting {
        let mut waiting = Waiting::default();
        for (id, body) in jobs {
            waiting.push(job(id, body));
        }
        waiting
    }

    const ALL: [(&str, &str); 4] = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")];

    /// Sets all of `a` but the first aside, which is on its way with `b1`.
    fn set_aside() -> Waiting {
        let mut waiting = waiting(ALL);
        assert_eq!(take(&mut waiting).as_deref(), Some("a1"));
        let second = waiting.take().unwrap();
        waiting.set_behind("a".into(), second);
        assert_eq!(take(&mut waiting).as_deref(), Some("b1"));
        let third = waiting.take().unwrap();
        waiting.set_behind("a".into(), third);
        assert_eq!(take(&mut waiting), None);
        assert!(!waiting.is_empty());
        waiting
    }

    #[test]
    fn those_of_one_id_come_one_by_one_and_in_order() {
        let mut waiting = set_aside();
        waiting.push(job("a", "a4"));
        waiting.free("b".into());
        waiting.free("a".into());
        assert_eq!(take(&mut waiting).as_deref(), Some("a2"));
        let fourth = waiting.take().unwrap();
        assert_eq!(body(&fourth), "a4");
        waiting.set_behind("a".into(), fourth);
        for expected in ["a3", "a4"] {
            assert_eq!(take(&mut waiting), None);
            waiting.free("a".into());
            assert_eq!(take(&mut waiting).as_deref(), Some(expected));
        }
        assert!(waiting.is_empty());
    }

    #[test]
    fn those_that_are_dropped_hold_up_nobody() {
        let mut waiting = set_aside();
        waiting.free("a".into());
        let dropped = waiting.drain_where(|job| body(job).starts_with('a'));
        assert_eq!(dropped.iter().map(body).collect::<Vec<_>>(), ["a2", "a3"]);
        assert!(waiting.is_empty());
        // What was freed then does not free what comes now.
        waiting.set_behind("a".into(), job("a", "a5"));
        assert_eq!(take(&mut waiting), None);
    }

    #[test]
    fn all_come_back_in_order_when_nothing_is_on_its_way() {
        let mut waiting = set_aside();
        waiting.push(job("a", "a4"));
        waiting.set_asking(job("c", "c1"));
        waiting.set_asking(job("c", "c2"));
        waiting.release();
        let all: Vec<_> = std::iter::from_fn(|| take(&mut waiting)).collect();
        assert_eq!(all, ["a2", "a3", "c1", "c2", "a4"]);
        assert!(waiting.is_empty());
    }
}
