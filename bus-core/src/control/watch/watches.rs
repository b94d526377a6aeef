//! The service's end: who watches, what is to be told them, and the tasks that tell it.

use super::report::{CallReport, WatchReport, WatchRequest};
use crate::{
    call_id::CallId,
    codec::ContentType,
    limits::{WATCH_LEASE, WATCHED_IN_ONE_MAX, WATCHES_MAX},
    message::Text,
    presence::InstanceId,
    reply::{ReplyStore, Stored},
    work::Lifetime,
};
use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// The time in which calls gather before they are reported.
const REPORTED_EVERY: Duration = Duration::from_millis(200);

/// The time the store may take for a report. Meanwhile further calls wait, or are left out.
const STORED_WITHIN: Duration = Duration::from_secs(1);

/// Those who watch the calls that one service takes. If there is nobody a call costs a look at a flag.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    is_any: AtomicBool,
    watches: Mutex<Vec<Watch>>,
}

/// Whom reports go to.
#[derive(Debug, Clone)]
pub(in crate::control) struct Watcher {
    pub(in crate::control) id: CallId,
    pub(in crate::control) inbox: Text,
    pub(in crate::control) encoding: ContentType,
}

/// One who watches.
#[derive(Debug)]
struct Watch {
    watcher: Watcher,
    request: WatchRequest,
    until: Instant,
    /// Calls that were asked for.
    matched: u64,
    /// When the second began in which calls are counted, and how many there were.
    second: (Instant, u32),
    waiting: Vec<CallReport>,
    /// The watcher was not told yet that it is heard.
    owes_sign: bool,
}

impl Watches {
    /// `true` if anybody watches.
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// Takes a call in, for those who want to know of it.
    pub(crate) fn note(&self, call: &CallReport) {
        let now = Instant::now();
        for watch in &mut *self.watches() {
            watch.note(call, now);
        }
    }

    /// Goes on telling a watcher, or ends that, as it asks. `true` if it is new: somebody must
    /// [report](Reporter) to it then.
    pub(in crate::control) fn ask(&self, watcher: Watcher, request: WatchRequest) -> bool {
        let now = Instant::now();
        let mut watches = self.watches();
        let has_room = watches.len() < WATCHES_MAX;
        let known = watches.iter_mut().find(|watch| watch.is_of(&watcher));
        match known {
            Some(known) if request.end => known.until = now,
            Some(known) => {
                known.until = now + WATCH_LEASE;
                known.request = request;
                known.owes_sign = true;
            }
            None if request.end || !has_room => {}
            None => {
                watches.push(Watch {
                    watcher,
                    request,
                    until: now + WATCH_LEASE,
                    matched: 0,
                    second: (now, 0),
                    waiting: Vec::new(),
                    owes_sign: true,
                });
                self.is_any.store(true, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// What is to be told a watcher now, if there is anything; `None` once its time is over, and it
    /// is forgotten.
    fn take(&self, watcher: &Watcher) -> Option<Option<(u64, Vec<CallReport>)>> {
        let mut watches = self.watches();
        let watch = watches.iter_mut().find(|watch| watch.is_of(watcher))?;
        if watch.until <= Instant::now() {
            drop(watches);
            self.forget(watcher);
            return None;
        }
        let is_told = mem::take(&mut watch.owes_sign) || !watch.waiting.is_empty();
        Some(is_told.then(|| (watch.matched, mem::take(&mut watch.waiting))))
    }

    fn forget(&self, watcher: &Watcher) {
        let mut watches = self.watches();
        watches.retain(|watch| !watch.is_of(watcher));
        if watches.is_empty() {
            self.is_any.store(false, Ordering::Relaxed);
        }
    }

    fn watches(&self) -> MutexGuard<'_, Vec<Watch>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// `true` if it is that of this watcher: an id is nobody's secret.
    fn is_of(&self, watcher: &Watcher) -> bool {
        self.watcher.id == watcher.id && self.watcher.inbox == watcher.inbox
    }

    fn note(&mut self, call: &CallReport, now: Instant) {
        if !self.request.wants(call) {
            return;
        }
        self.matched = self.matched.saturating_add(1);
        let (since, calls) = &mut self.second;
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            (*since, *calls) = (now, 0);
        }
        if *calls < self.request.per_second && self.waiting.len() < WATCHED_IN_ONE_MAX {
            *calls += 1;
            self.waiting.push(call.clone());
        }
    }
}

/// What tells one watcher.
#[derive(Debug)]
pub(in crate::control) struct Reporter {
    pub(in crate::control) watches: Arc<Watches>,
    pub(in crate::control) watcher: Watcher,
    pub(in crate::control) instance: InstanceId,
    pub(in crate::control) store: Arc<dyn ReplyStore>,
    pub(in crate::control) lifetime: Lifetime,
}

impl Reporter {
    /// Reports until the watcher has not asked for a while, is gone, or the service has ended.
    pub(in crate::control) async fn report(self) {
        let mut has_ended = false;
        while let Some(told) = self.watches.take(&self.watcher) {
            if let Some((matched, calls)) = told
                && !self.tell(matched, calls).await
            {
                break;
            }
            if has_ended {
                break;
            }
            tokio::select! {
                biased;
                () = sleep(REPORTED_EVERY) => {}
                // What it took last is told as well.
                _ = self.lifetime.ended() => has_ended = true,
            }
        }
        self.watches.forget(&self.watcher);
    }

    /// `false` if there is nobody to be told. A report that the store does not take is lost: its calls
    /// are among those that were asked for, and so among those that are missed.
    async fn tell(&self, matched: u64, calls: Vec<CallReport>) -> bool {
        let report = WatchReport {
            instance: self.instance,
            matched,
            calls,
        };
        let Watcher {
            id,
            inbox,
            encoding,
        } = &self.watcher;
        let frame = report.encode(*encoding);
        let stored = timeout(STORED_WITHIN, self.store.append(inbox, *id, frame)).await;
        !matches!(stored, Ok(Ok(Stored::InboxAbsent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::watch::report::tests::call;

    fn watcher(id: u8) -> Watcher {
        Watcher {
            id: CallId::from_bytes([id; 16]),
            inbox: "inbox".into(),
            encoding: ContentType::default(),
        }
    }

    fn request(per_second: u32) -> WatchRequest {
        WatchRequest {
            per_second,
            method: None,
            failed: false,
            end: false,
        }
    }

    fn take(watches: &Watches, id: u8) -> (u64, usize) {
        let told = watches.take(&watcher(id)).unwrap();
        let (matched, calls) = told.unwrap();
        (matched, calls.len())
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_no_more_in_a_second_than_was_asked_for_and_the_others_are_counted() {
        let watches = Watches::default();
        assert!(watches.ask(watcher(1), request(3)));
        assert_eq!(take(&watches, 1), (0, 0), "the sign that it is heard");
        assert!(watches.take(&watcher(1)).unwrap().is_none());
        for second in 1..=2 {
            for _ in 0..10 {
                watches.note(&call("post", "ok"));
            }
            assert_eq!(take(&watches, 1), (second * 10, 3));
            assert!(watches.take(&watcher(1)).unwrap().is_none());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(watches.ask(watcher(2), request(u32::MAX)));
        for _ in 0..2 * WATCHED_IN_ONE_MAX {
            watches.note(&call("post", "ok"));
        }
        assert_eq!(take(&watches, 2).1, WATCHED_IN_ONE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_ask_again_is_told_nothing_more() {
        let watches = Watches::default();
        assert!(!watches.is_any());
        assert!(watches.ask(watcher(1), request(3)));
        tokio::time::advance(WATCH_LEASE / 2).await;
        assert!(!watches.ask(watcher(1), request(3)));
        tokio::time::advance(WATCH_LEASE / 2).await;
        assert!(watches.is_any() && watches.take(&watcher(1)).is_some());
        tokio::time::advance(WATCH_LEASE / 2).await;
        assert!(watches.take(&watcher(1)).is_none());
        assert!(!watches.is_any());
        // Who says that it is enough is forgotten as soon.
        assert!(watches.ask(watcher(1), request(3)));
        let end = WatchRequest {
            end: true,
            ..request(3)
        };
        assert!(!watches.ask(watcher(1), end.clone()));
        assert!(watches.take(&watcher(1)).is_none());
        assert!(!watches.ask(watcher(1), end) && !watches.is_any());
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_may_watch_at_a_time() {
        let watches = Watches::default();
        for id in 0..200 {
            let is_new = watches.ask(watcher(id), request(1));
            assert_eq!(is_new, usize::from(id) < WATCHES_MAX);
        }
        let another = Watcher {
            inbox: "another".into(),
            ..watcher(0)
        };
        assert!(watches.take(&another).is_none());
    }
}
