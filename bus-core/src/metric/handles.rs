//! The handles of metrics, remembered.

use metrics::Recorder;
use std::{
    fmt, ptr,
    sync::{PoisonError, RwLock},
    time::Duration,
};
use tokio::time::Instant;

/// A recorder is asked anew after this long: it may forget a metric that was idle for a while, and
/// what is counted by a handle from before is lost. Far shorter than any idle time.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// Handles that a recorder gave. To find a metric by its name and labels costs a recorder several
/// times what counting does.
pub(crate) struct Handles<T>(RwLock<Option<Given<T>>>);

struct Given<T> {
    /// The address of who gave them: a recorder may be installed at any time, and a thread may have
    /// one of its own.
    by: usize,
    at: Instant,
    handles: T,
}

impl<T> Handles<T> {
    pub(crate) const fn new() -> Self {
        Self(RwLock::new(None))
    }

    /// Counts by the handles of the present recorder.
    pub(crate) fn with(
        &self,
        now: Instant,
        ask: impl FnOnce(&dyn Recorder) -> T,
        count: impl FnOnce(&T),
    ) {
        metrics::with_recorder(|recorder| {
            // One without a size, such as the one that stands for none, is not told apart by its
            // address, and gives what costs nothing.
            if size_of_val(recorder) == 0 {
                return count(&ask(recorder));
            }
            let by = ptr::from_ref(recorder).addr();
            let given = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(given) = &*given
                && given.by == by
                && now.saturating_duration_since(given.at) < ASKED_EVERY
            {
                return count(&given.handles);
            }
            drop(given);
            let handles = ask(recorder);
            count(&handles);
            let given = Given {
                by,
                at: now,
                handles,
            };
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(given);
        });
    }
}

impl<T> fmt::Debug for Handles<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::METADATA;
    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit, with_local_recorder,
    };
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    /// Has one counter, and counts how often it is asked for it.
    #[derive(Default)]
    struct Asked {
        asked: AtomicU64,
        counted: Arc<AtomicU64>,
    }

    impl Asked {
        fn counts(&self) -> [u64; 2] {
            [&self.asked, &*self.counted].map(|count| count.load(Ordering::Relaxed))
        }
    }

    impl Recorder for Asked {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Counter::from_arc(Arc::clone(&self.counted))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    fn count(handles: &Handles<Counter>, now: Instant) {
        static KEY: Key = Key::from_static_name("counted");
        let ask = |recorder: &dyn Recorder| recorder.register_counter(&KEY, &METADATA);
        handles.with(now, ask, |counter| counter.increment(1));
    }

    #[test]
    fn a_recorder_is_asked_once_a_second_and_counts_all() {
        let (handles, began) = (Handles::new(), Instant::now());
        let recorder = Asked::default();
        with_local_recorder(&recorder, || {
            for tenth in 0..25 {
                count(&handles, began + Duration::from_millis(tenth * 100));
            }
        });
        assert_eq!(recorder.counts(), [3, 25]);
    }

    #[test]
    fn what_one_recorder_gave_is_not_used_for_another() {
        let (handles, now) = (Handles::new(), Instant::now());
        // Before there is any, nothing is counted.
        count(&handles, now);
        let recorders = [Asked::default(), Asked::default()];
        for recorder in [0, 1, 1, 0] {
            with_local_recorder(&recorders[recorder], || count(&handles, now));
        }
        assert_eq!(
            recorders.map(|recorder| recorder.counts()),
            [[2, 2], [1, 2]]
        );
    }
}
