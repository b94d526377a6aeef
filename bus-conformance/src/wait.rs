//! Waiting for a state. Nothing here proves anything by its time: a bound only ends what would hang.

use futures_util::FutureExt;
use std::{
    cell::Cell,
    fmt,
    panic::{AssertUnwindSafe, resume_unwind},
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// Between two looks at what is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

tokio::task_local! {
    /// What the case waits for, or waited for last, if that has a name.
    static AWAITED: Cell<Option<&'static str>>;
}

/// How a case ended, and the same again for who runs it.
#[must_use]
pub(crate) struct Checked(std::thread::Result<()>);

impl Checked {
    /// Panics as the case did, if it did.
    pub(crate) fn report(self) {
        if let Err(failure) = self.0 {
            resume_unwind(failure);
        }
    }
}

/// Lets a case come to its end, which must not take longer than `bound`.
pub(crate) async fn checked(
    case: impl fmt::Display,
    bound: Duration,
    promise: impl Future<Output = ()>,
) -> Checked {
    let bounded = AWAITED.scope(Cell::new(None), async {
        if timeout(bound, promise).await.is_err() {
            let awaited = AWAITED.with(Cell::get);
            let last =
                awaited.map_or_else(String::new, |what| format!(", waited for last: {what}"));
            panic!("{case}: it hangs, for {bound:?} by now{last}");
        }
    });
    Checked(AssertUnwindSafe(bounded).catch_unwind().await)
}

/// Asks until the answer is yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &'static str,
    mut asked: impl FnMut() -> F,
) {
    // Outside a case there is nothing to tell.
    let _ = AWAITED.try_with(|awaited| awaited.set(Some(what)));
    while !asked().await {
        sleep(LOOK_EVERY).await;
    }
}

/// Asks until the answer is another than `now`, and returns it.
pub(crate) async fn changed<T, F>(now: T, ask: impl Fn() -> F) -> T
where
    T: PartialEq,
    F: Future<Output = T>,
{
    loop {
        let answer = ask().await;
        if answer != now {
            return answer;
        }
        sleep(LOOK_EVERY).await;
    }
}
