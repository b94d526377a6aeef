//! A closed loop: so many callers, each of which calls again as soon as it has its reply.

use crate::{echo::Echo, path::Caller, stats};
use anyhow::{Result, ensure};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How hard and how long to call.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Calls under way at any time.
    pub callers: u32,
    /// Time at the start in which calls are made and not counted.
    pub ramp: Duration,
    /// Time in which they are counted.
    pub length: Duration,
}

/// What one path did in one round.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// Half of the calls took no longer, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 calls took no longer, in microseconds.
    pub p99_us: f64,
    /// 999 of 1,000 calls took no longer, in microseconds.
    pub p999_us: f64,
    /// Calls answered in a second.
    pub calls_per_s: f64,
}

/// Runs the load and returns when every caller has its last reply.
///
/// # Errors
/// A call fails, or a reply is not what its call sent.
pub async fn measure<C: Caller>(caller: &Arc<C>, load: Load, payload_bytes: u32) -> Result<Slice> {
    let bytes = usize::try_from(payload_bytes)?;
    let caller = Arc::clone(caller);
    closed_loop(load, move |number| {
        let caller = Arc::clone(&caller);
        async move {
            let echo = Echo::numbered(number, bytes);
            let reply = caller.call(&echo).await?;
            ensure!(reply == echo, "a caller got the reply to another call");
            Ok(())
        }
    })
    .await
}

/// Runs the load with anything that is called with a number no other call has.
///
/// # Errors
/// A call fails.
pub async fn closed_loop<F, C>(load: Load, call: F) -> Result<Slice>
where
    F: Fn(u64) -> C + Clone + Send + 'static,
    C: Future<Output = Result<()>> + Send,
{
    let counted_from = Instant::now() + load.ramp;
    let counted_to = counted_from + load.length;
    let mut tasks = JoinSet::new();
    for first in 0..u64::from(load.callers) {
        let call = call.clone();
        tasks.spawn(async move {
            let mut counted = Counted::default();
            let mut number = first;
            loop {
                let begun = Instant::now();
                // One call at least, however long the machine stood still.
                if begun >= counted_to && !counted.took.is_empty() {
                    return anyhow::Ok(counted);
                }
                call(number).await?;
                let ended = Instant::now();
                if begun >= counted_from {
                    // A call that outlasts the turn is a slow one: p99 is to know of it.
                    counted.took.push(ended - begun);
                }
                counted.in_time += u32::from(counted_from <= ended && ended <= counted_to);
                number += u64::from(load.callers);
            }
        });
    }
    let mut all = Counted::default();
    while let Some(task) = tasks.join_next().await {
        let mut counted = task??;
        all.took.append(&mut counted.took);
        all.in_time += counted.in_time;
    }
    all.took.sort_unstable();
    Ok(Slice {
        p50_us: micros(stats::quantile(&all.took, 500)),
        p99_us: micros(stats::quantile(&all.took, 990)),
        p999_us: micros(stats::quantile(&all.took, 999)),
        calls_per_s: f64::from(all.in_time) / load.length.as_secs_f64(),
    })
}

/// What one caller counted.
#[derive(Default)]
struct Counted {
    /// How long the calls took that were begun while they counted.
    took: Vec<Duration>,
    /// The calls that were answered while they counted.
    in_time: u32,
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    const SHORT: Load = Load {
        callers: 3,
        ramp: Duration::from_millis(1),
        length: Duration::from_millis(200),
    };

    struct Mirror;

    impl Caller for Mirror {
        async fn call(&self, echo: &Echo) -> Result<Echo> {
            tokio::task::yield_now().await;
            Ok(echo.clone())
        }
    }

    struct Mixed;

    impl Caller for Mixed {
        async fn call(&self, _echo: &Echo) -> Result<Echo> {
            Ok(Echo::numbered(u64::MAX, 16))
        }
    }

    struct Broken;

    impl Caller for Broken {
        async fn call(&self, _echo: &Echo) -> Result<Echo> {
            bail!("the line is dead")
        }
    }

    #[tokio::test]
    async fn counts_the_calls_of_all_callers() {
        let slice = measure(&Arc::new(Mirror), SHORT, 64).await.unwrap();
        assert!(slice.calls_per_s > 0.0);
        assert!(slice.p50_us <= slice.p99_us && slice.p99_us <= slice.p999_us);
    }

    #[tokio::test]
    async fn a_wrong_reply_or_a_failed_call_ends_the_run() {
        assert!(measure(&Arc::new(Mixed), SHORT, 64).await.is_err());
        assert!(measure(&Arc::new(Broken), SHORT, 64).await.is_err());
    }
}
