//! What lapin logs, as far as it is passed on.
//!
//! lapin calls an error what is an answer: that there is no such queue, that a connection is closed
//! which was asked to. What matters of it reaches us as an error, and is logged by those who know
//! what it means for them. And it logs returned messages with their bodies. So its words of level
//! `info` and above end here; what it says at `debug` and `trace` goes where all else goes. The
//! program's own subscriber is left as it is: only lapin's thread and tasks are given another, in
//! front of it.

use std::cell::RefCell;
use tracing::{
    Event, Level, Metadata, Subscriber,
    dispatcher::{self, DefaultGuard, Dispatch},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

/// Its words about a thread that panicked are nobody else's.
const PASSED_ON: &str = "lapin::thread";

thread_local! {
    /// Ends with the thread.
    static QUIET: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
}

/// The present subscriber, behind one that takes lapin's words.
pub(super) fn dispatch() -> Dispatch {
    // What is in front of a subscriber must not be asked for less than that one.
    let level_max = LevelFilter::current().max(LevelFilter::INFO);
    let behind = dispatcher::get_default(Dispatch::clone);
    Dispatch::new(Quiet { behind, level_max })
}

/// Gives this thread, which is lapin's, `dispatch` until it ends.
pub(super) fn install(dispatch: &Dispatch) {
    QUIET.with_borrow_mut(|quiet| {
        quiet.get_or_insert_with(|| dispatcher::set_default(dispatch));
    });
}

struct Quiet {
    behind: Dispatch,
    level_max: LevelFilter,
}

/// `true` for what ends here.
fn is_lapins(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let crate_name = target.split("::").next();
    metadata.is_event()
        && *metadata.level() <= Level::INFO
        && crate_name == Some("lapin")
        && target != PASSED_ON
}

impl Subscriber for Quiet {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_lapins(metadata) {
            Interest::never()
        } else {
            self.behind.register_callsite(metadata)
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !is_lapins(metadata) && self.behind.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level_max)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.behind.new_span(attributes)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.behind.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.behind.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.behind.event(event);
    }

    fn enter(&self, span: &Id) {
        self.behind.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.behind.exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.behind.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.behind.try_close(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Takes all there is, and keeps the names of events' targets.
    #[derive(Clone, Default)]
    struct Taken(Arc<Mutex<Vec<(String, Level)>>>);

    impl Subscriber for Taken {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let metadata = event.metadata();
            let entry = (metadata.target().to_owned(), *metadata.level());
            self.0.lock().unwrap().push(entry);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn only_lapins_loud_words_end_here() {
        let taken = Taken::default();
        let behind = Dispatch::new(taken.clone());
        let quiet = dispatcher::with_default(&behind, dispatch);
        dispatcher::with_default(&quiet, || {
            tracing::error!(target: "lapin::channels", "Connection error");
            tracing::warn!(target: "lapin::returned_messages", "Server returned us a message");
            tracing::info!(target: "lapin", "Connection closed");
            tracing::debug!(target: "lapin::channels", "received heartbeat from server");
            tracing::error!(target: "lapin::thread", "Thread panicked");
            tracing::error!(target: "lapinary", "a namesake");
            tracing::info!(target: "replybus", "connected");
            tracing::info_span!(target: "lapin", "io_loop").in_scope(|| {});
        });
        let taken = taken.0.lock().unwrap();
        let expected = [
            ("lapin::channels", Level::DEBUG),
            ("lapin::thread", Level::ERROR),
            ("lapinary", Level::ERROR),
            ("replybus", Level::INFO),
        ];
        let taken: Vec<_> = taken
            .iter()
            .map(|(target, level)| (target.as_str(), *level))
            .collect();
        assert_eq!(taken, expected);
    }
}
