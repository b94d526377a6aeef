//! The bound of every test that needs a server: one that hangs fails, with its name.

use std::{
    cell::OnceCell,
    collections::BTreeMap,
    io::Write,
    process,
    sync::{Mutex, MutexGuard, Once, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// No test takes longer, on a machine that does much else.
const TEST_WITHIN: Duration = Duration::from_secs(8 * 60);

/// Between two looks at the tests that run.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The exit code of the test harness when a test failed.
const FAILED: i32 = 101;

thread_local! {
    /// The test that runs on this thread. The harness gives each a thread of its own, which bears
    /// its name and ends with it.
    static TEST: OnceCell<Running> = const { OnceCell::new() };
}

/// The ends of the bounds of the tests that run, by their names.
static ENDS: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

/// A test that has not ended.
struct Running {
    name: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        ends().remove(&self.name);
    }
}

/// Bounds the test that runs on this thread, from its first call on.
pub(crate) fn begin() {
    begin_within(TEST_WITHIN);
}

/// Gives the test that runs on this thread longer than others: `within` from now on.
pub(crate) fn begin_within(within: Duration) {
    static WATCH: Once = Once::new();
    let thread = thread::current();
    // A program's own thread is not a test's.
    let Some(name) = thread.name().filter(|name| *name != "main") else {
        return;
    };
    WATCH.call_once(|| drop(thread::spawn(watch)));
    // Not while the thread ends: nothing runs on it any more.
    let _ = TEST.try_with(|test| {
        let name = || name.to_owned();
        test.get_or_init(|| Running { name: name() });
        let end = Instant::now() + within;
        let mut ends = ends();
        let known = ends.entry(name()).or_insert(end);
        *known = end.max(*known);
    });
}

fn ends() -> MutexGuard<'static, BTreeMap<String, Instant>> {
    ENDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process when a test has not ended in time: nothing less ends a thread. Private servers
/// end with it.
fn watch() {
    loop {
        let now = Instant::now();
        let late = ends().iter().find(|(_, end)| **end < now).map(name_of);
        if let Some(test) = late {
            // Past the harness, which keeps for itself what the threads of a test print.
            let _ = writeln!(std::io::stderr(), "\nthe test {test} hangs: it is ended");
            process::exit(FAILED);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn name_of((name, _): (&String, &Instant)) -> String {
    name.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_thread(name: &str, test: impl FnOnce() + Send + 'static) {
        let thread = thread::Builder::new().name(name.to_owned()).spawn(test);
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn a_bound_lasts_as_long_as_its_test() {
        on_a_thread("bounded", || {
            begin();
            begin();
            assert!(ends().contains_key("bounded"));
        });
        assert!(!ends().contains_key("bounded"));
    }

    #[test]
    fn a_longer_bound_holds() {
        on_a_thread("longer", || {
            begin_within(10 * TEST_WITHIN);
            begin();
            assert!(ends()["longer"] > Instant::now() + 9 * TEST_WITHIN);
        });
    }
}
