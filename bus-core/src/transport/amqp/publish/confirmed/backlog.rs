//! Messages that are not written yet and want a confirm.
//!
//! In order, but for those that can't be written yet for a reason that others do not share: they
//! are set aside, and cost nothing until the reason is gone.

use crate::{
    message::Text,
    transport::amqp::publish::job::{Job, drain_queue},
};
use std::collections::{HashMap, VecDeque};

#[derive(Default)]
pub(super) struct Backlog {
    /// To be looked at, in order.
    next: VecDeque<Job>,
    /// Set aside by `message_id`, each behind one of the same that is on its way. All that are set
    /// aside are older than those in `next`.
    behind: HashMap<Text, VecDeque<Job>>,
    /// Ids in `behind` of which the next is to be looked at, before all others.
    free: VecDeque<Text>,
    /// Set aside until it is known whether an exchange exists.
    asking: VecDeque<Job>,
}

impl Backlog {
    pub(super) fn push(&mut self, job: Job) {
        self.next.push_back(job);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty() && self.behind.is_empty() && self.asking.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        let behind: usize = self.behind.values().map(VecDeque::len).sum();
        self.next.len() + behind + self.asking.len()
    }

    /// Takes out the next one to look at. It is to be written or set aside.
    pub(super) fn take(&mut self) -> Option<Job> {
        while let Some(id) = self.free.pop_front() {
            let Some(queue) = self.behind.get_mut(&id) else {
                continue;
            };
            let job = queue.pop_front();
            if queue.is_empty() {
                self.behind.remove(&id);
            }
            if job.is_some() {
                return job;
            }
        }
        self.next.pop_front()
    }

    /// Sets a message aside until no other of its id is on its way.
    pub(super) fn set_behind(&mut self, id: Text, job: Job) {
        self.behind.entry(id).or_default().push_back(job);
    }

    /// No message of this id is on its way any more.
    pub(super) fn free(&mut self, id: Text) {
        if self.behind.contains_key(&id) {
            self.free.push_back(id);
        }
    }

    /// Sets a message aside until [`unset_asking`](Self::unset_asking).
    pub(super) fn set_asking(&mut self, job: Job) {
        self.asking.push_back(job);
    }

    /// It is known whether the exchange exists: those that waited for it are the next.
    pub(super) fn unset_asking(&mut self) {
        for job in self.asking.drain(..).rev() {
            self.next.push_front(job);
        }
    }

    /// Nothing is on its way any more: all that was set aside comes back, each id in its order.
    pub(super) fn release(&mut self) {
        self.unset_asking();
        self.free.clear();
        for (_, queue) in self.behind.drain() {
            for job in queue.into_iter().rev() {
                self.next.push_front(job);
            }
        }
    }

    /// Takes out what `matches`.
    pub(super) fn drain_where(&mut self, matches: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut taken = Vec::new();
        let queues = [&mut self.next, &mut self.asking];
        for queue in queues.into_iter().chain(self.behind.values_mut()) {
            drain_queue(queue, &matches, &mut taken);
        }
        self.behind.retain(|_, queue| !queue.is_empty());
        self.free.retain(|id| self.behind.contains_key(id));
        taken
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
        message.properties.message_id = Some(id.into());
        message.body = body.into();
        Job {
            outgoing: Outgoing::new(message),
            later: None,
            slip: Receipt::pair().0,
            permit: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        }
    }

    fn body(job: &Job) -> String {
        String::from_utf8(job.outgoing.message.body.to_vec()).unwrap()
    }

    fn take(backlog: &mut Backlog) -> Option<String> {
        backlog.take().as_ref().map(body)
    }

    fn backlog(jobs: [(&str, &'static str); 4]) -> Backlog {
        let mut backlog = Backlog::default();
        for (id, body) in jobs {
            backlog.push(job(id, body));
        }
        backlog
    }

    const ALL: [(&str, &str); 4] = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")];

    /// Sets all of `a` but the first aside, which is on its way with `b1`.
    fn set_aside() -> Backlog {
        let mut backlog = backlog(ALL);
        assert_eq!(take(&mut backlog).as_deref(), Some("a1"));
        let second = backlog.take().unwrap();
        backlog.set_behind("a".into(), second);
        assert_eq!(take(&mut backlog).as_deref(), Some("b1"));
        let third = backlog.take().unwrap();
        backlog.set_behind("a".into(), third);
        assert_eq!(take(&mut backlog), None);
        assert!(!backlog.is_empty());
        backlog
    }

    #[test]
    fn those_of_one_id_come_one_by_one_and_in_order() {
        let mut backlog = set_aside();
        backlog.push(job("a", "a4"));
        backlog.free("b".into());
        backlog.free("a".into());
        assert_eq!(take(&mut backlog).as_deref(), Some("a2"));
        let fourth = backlog.take().unwrap();
        assert_eq!(body(&fourth), "a4");
        backlog.set_behind("a".into(), fourth);
        for expected in ["a3", "a4"] {
            assert_eq!(take(&mut backlog), None);
            backlog.free("a".into());
            assert_eq!(take(&mut backlog).as_deref(), Some(expected));
        }
        assert!(backlog.is_empty());
    }

    #[test]
    fn those_that_are_dropped_hold_up_nobody() {
        let mut backlog = set_aside();
        backlog.free("a".into());
        let dropped = backlog.drain_where(|job| body(job).starts_with('a'));
        assert_eq!(dropped.iter().map(body).collect::<Vec<_>>(), ["a2", "a3"]);
        assert!(backlog.is_empty());
        // What was freed then does not free what comes now.
        backlog.set_behind("a".into(), job("a", "a5"));
        assert_eq!(take(&mut backlog), None);
    }

    #[test]
    fn all_come_back_in_order_when_nothing_is_on_its_way() {
        let mut backlog = set_aside();
        backlog.push(job("a", "a4"));
        backlog.set_asking(job("c", "c1"));
        backlog.set_asking(job("c", "c2"));
        backlog.release();
        let all: Vec<_> = std::iter::from_fn(|| take(&mut backlog)).collect();
        assert_eq!(all, ["a2", "a3", "c1", "c2", "a4"]);
        assert!(backlog.is_empty());
    }
}
