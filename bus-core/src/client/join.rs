//! Many calls at once, with one result for each.

use super::Call;
use crate::{contract::Outcome, error::CallError, limits::JOINED_AT_ONCE};
use futures_util::{StreamExt, stream::FuturesUnordered};
use std::future::IntoFuture;

/// Makes many calls of one type at once and waits for all replies: a result for each, in the order of
/// the calls. One that fails fails alone.
///
/// It takes any number of calls, without a task for each. [`JOINED_AT_ONCE`] are under way at a time,
/// in the order they are given; the next one is made when one of them has ended, whichever that is,
/// and its time begins then.
///
/// It is no faster than `futures::future::join_all`: in both, what is called while something is
/// being written leaves together. But `join_all` makes all calls at once: beyond
/// [`WAITING_MAX`](crate::limits::WAITING_MAX) that wait it fails them as `Overloaded`, and the last
/// ones' time runs while the queue holds the first. So for a few dozen calls take either, and
/// `tokio::join!` for calls of different types.
///
/// ```
/// use replybus::{Bus, Never, queue_handler};
///
/// #[queue_handler("stock.requests")]
/// pub trait Stock {
///     #[query]
///     async fn count(&self, article: u32) -> Result<u32, Never>;
/// }
/// # struct Shelf;
/// # impl Stock for Shelf {
/// #     async fn count(&self, article: u32) -> Result<u32, Never> { Ok(article % 7) }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// # let serving = bus.serve(StockServer::new(Shelf)).await?;
/// let stock = StockClient::new(&bus);
/// let counts = replybus::join((0..1_000).map(|article| stock.count(article))).await;
/// let in_stock = counts.iter().filter(|count| count.as_ref().is_ok_and(|count| *count > 0));
/// assert_eq!(in_stock.count(), 857);
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// Dropped before it is ready, it drops all calls that are under way, as each of them is dropped by
/// itself, and makes no further one.
pub async fn join<R: Outcome>(
    calls: impl IntoIterator<Item = Call<R>>,
) -> Vec<Result<R::Ok, CallError<R::Err>>> {
    let mut calls = calls.into_iter().enumerate().fuse();
    let mut results = Vec::with_capacity(calls.size_hint().0);
    let mut under_way = FuturesUnordered::new();
    loop {
        let room = JOINED_AT_ONCE.saturating_sub(under_way.len());
        for (position, call) in calls.by_ref().take(room) {
            results.push(None);
            let call = call.into_future();
            under_way.push(async move { (position, call.await) });
        }
        let Some((position, result)) = under_way.next().await else {
            return results.into_iter().flatten().collect();
        };
        if let Some(place) = results.get_mut(position) {
            *place = Some(result);
        }
    }
}
