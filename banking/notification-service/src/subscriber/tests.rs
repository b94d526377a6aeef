use super::*;
use futures_util::FutureExt as _;
use replybus::limits::{CALL_TIMEOUT_MAX, EVENT_ATTEMPTS_MAX};
use std::cell::Cell;

#[tokio::test(start_paused = true)]
async fn a_database_that_is_away_is_waited_for() {
    let since = Instant::now();
    let back = TRY_FOR - PAUSE_MAX * 2;
    let never = CancellationToken::new();
    let tried = patiently(
        || async {
            if since.elapsed() < back {
                Err(sqlx::Error::PoolTimedOut)
            } else {
                Ok("stored")
            }
        },
        &never,
    );
    assert_eq!(tried.await.unwrap(), "stored");
}

#[tokio::test(start_paused = true)]
async fn it_is_not_waited_for_longer_than_a_delivery_may_take() {
    let since = Instant::now();
    let away = || async { Err::<(), _>(sqlx::Error::PoolTimedOut) };
    let gave_up = patiently(away, &CancellationToken::new()).await;
    assert!(matches!(gave_up, Err(sqlx::Error::PoolTimedOut)));
    let all_runs = since.elapsed() * EVENT_ATTEMPTS_MAX;
    assert!(all_runs >= Duration::from_secs(10 * 60), "{all_runs:?}");
    assert!(all_runs < CALL_TIMEOUT_MAX, "{all_runs:?}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_good_is_not_tried_again() {
    let tries = Cell::new(0);
    let never = CancellationToken::new();
    let refused = patiently(
        || async {
            tries.set(tries.get() + 1);
            Err::<(), _>(sqlx::Error::RowNotFound)
        },
        &never,
    );
    assert!(matches!(refused.await, Err(sqlx::Error::RowNotFound)));
    assert_eq!(tries.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_event_went_back_has_no_outcome() {
    let ended = CancellationToken::new();
    let closed = || {
        ended.cancel();
        async { Err::<(), _>(sqlx::Error::PoolClosed) }
    };
    let mut run = std::pin::pin!(patiently(closed, &ended));
    assert!(run.as_mut().now_or_never().is_none());
    assert!(run.now_or_never().is_none(), "still");
}
