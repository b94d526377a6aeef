//! A call that is awaited, and tells meanwhile how far it is.

use super::{Call, cancel::CancelHandle};
use crate::{contract::Outcome, error::CallError, job::Progress};
use std::{
    convert::Infallible,
    fmt,
    future::{Future, IntoFuture, pending},
    pin::{Pin, pin},
};

/// A call to a [job](crate::contract::MethodContract::job) whose caller hears how far it is; see
/// [`Call::on_progress`].
#[must_use = "a call does nothing until it is awaited"]
pub struct ProgressCall<R, F> {
    call: Call<R>,
    told: F,
}

impl<R: Outcome> Call<R> {
    /// Awaits the call, and has `told` called with each word of the
    /// [job](crate::contract::MethodContract::job) on how far it is. It is called in the task that
    /// awaits, so it must return at once. Words that come fast are left out, and the last one may
    /// be: the reply is the end.
    ///
    /// ```
    /// use replybus::{Bus, Context, Never, queue_handler};
    ///
    /// #[queue_handler("report.requests")]
    /// pub trait Reports {
    ///     #[command(job = "1h")]
    ///     async fn yearly(&self, year: u16) -> Result<String, Never>;
    /// }
    ///
    /// struct Archive;
    ///
    /// impl Reports for Archive {
    ///     async fn yearly(&self, year: u16) -> Result<String, Never> {
    ///         for month in 1..=12 {
    ///             Context::current().progress(month, 12, "adding up");
    ///             // ..
    /// #           tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    ///         }
    ///         Ok(format!("{year}: a good one"))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(ReportsServer::new(Archive)).await?;
    /// # let (told, mut months) = tokio::sync::mpsc::unbounded_channel();
    /// let report = ReportsClient::new(&bus)
    ///     .yearly(2025)
    ///     .on_progress(move |progress| {
    ///         println!("{progress}");
    /// #       told.send(progress.done).unwrap();
    ///     })
    ///     .await?;
    /// assert_eq!(report, "2025: a good one");
    /// # for month in 1..=12 {
    /// #     assert_eq!(months.recv().await, Some(month));
    /// # }
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_progress<F>(self, told: F) -> ProgressCall<R, F>
    where
        F: FnMut(Progress) + Send + 'static,
    {
        ProgressCall { call: self, told }
    }
}

/// Tells of a call that has been made, for as long as it is polled.
async fn tell<R: Outcome>(handle: CancelHandle<R>, mut told: impl FnMut(Progress)) -> Infallible {
    if let Some(mut watch) = handle.watch() {
        while let Some(progress) = watch.next().await {
            told(progress);
        }
    }
    pending().await
}

impl<R, F> IntoFuture for ProgressCall<R, F>
where
    R: Outcome,
    F: FnMut(Progress) + Send + 'static,
{
    type Output = Result<R::Ok, CallError<R::Err>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Makes the call and waits for its reply. Dropped, it cancels the call as any other.
    fn into_future(mut self) -> Self::IntoFuture {
        let handle = self.call.cancel_handle();
        Box::pin(async move {
            let mut called = pin!(self.call.into_future());
            let mut telling = pin!(tell(handle, self.told));
            tokio::select! {
                // It is made before it is looked for.
                biased;
                outcome = &mut called => outcome,
                never = &mut telling => match never {},
            }
        })
    }
}

impl<R, F> fmt::Debug for ProgressCall<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProgressCall").field(&self.call).finish()
    }
}
