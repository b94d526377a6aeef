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
    /// Calls answered in a second.
    pub calls_per_s: f64,
}

/// Runs the load and returns when every caller has its last reply.
///
/// # Errors
/// A call fails, a reply is not what its call sent, or no call was answered in time.
pub async fn measure<C: Caller>(caller: &Arc<C>, load: Load) -> Result<Slice> {
    let counted_from = Instant::now() + load.ramp;
    let counted_to = counted_from + load.length;
    let mut tasks = JoinSet::new();
    for first in 0..u64::from(load.callers) {
        let caller = Arc::clone(caller);
        tasks.spawn(async move {
            let mut took = Vec::new();
            let mut number = first;
            loop {
                let echo = Echo::numbered(number);
                let begun = Instant::now();
                if begun >= counted_to {
                    return anyhow::Ok(took);
                }
                let reply = caller.call(&echo).await?;
                let ended = Instant::now();
                ensure!(reply == echo, "a caller got the reply to another call");
                if begun >= counted_from && ended <= counted_to {
                    took.push(ended - begun);
                }
                number += u64::from(load.callers);
            }
        });
    }
    let mut took = Vec::new();
    while let Some(task) = tasks.join_next().await {
        took.append(&mut task??);
    }
    ensure!(
        !took.is_empty(),
        "no call was answered in {:?}",
        load.length
    );
    took.sort_unstable();
    Ok(Slice {
        p50_us: micros(stats::percentile(&took, 50)),
        p99_us: micros(stats::percentile(&took, 99)),
        calls_per_s: f64::from(u32::try_from(took.len())?) / load.length.as_secs_f64(),
    })
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
            Ok(Echo::numbered(u64::MAX))
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
        let slice = measure(&Arc::new(Mirror), SHORT).await.unwrap();
        assert!(slice.calls_per_s > 0.0);
        assert!(slice.p50_us <= slice.p99_us);
    }

    #[tokio::test]
    async fn a_wrong_reply_or_a_failed_call_ends_the_run() {
        assert!(measure(&Arc::new(Mixed), SHORT).await.is_err());
        assert!(measure(&Arc::new(Broken), SHORT).await.is_err());
    }
}
