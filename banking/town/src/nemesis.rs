//! A killer of a bank's processes, who starts them again.

use crate::Bank;
use anyhow::Result;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::time::Duration;
use tokio::time::sleep;

/// Replicas that are hit in one blow.
const AT_ONCE_MAX: usize = 3;
/// The longest time that a replica is gone, and that there is peace.
const DOWN_MS_MAX: u64 = 2_000;
const PEACE_MS_MAX: u64 = 2_500;

/// Kills 1 to 3 replicas at a time (SIGKILL), of any services, and starts them again, at moments
/// that the seed decides, until `stop` says so between two blows, told how many were killed.
/// Returns how many were killed; all of them run again.
///
/// # Errors
/// A process can't be started.
///
/// # Cancel safety
/// Dropped before it is ready, some replicas may be down.
pub async fn rage(bank: &Bank, seed: u64, stop: impl Fn(usize) -> bool) -> Result<usize> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut replicas: Vec<usize> = (0..bank.replicas().len()).collect();
    let mut killed = 0;
    while !stop(killed) {
        replicas.shuffle(&mut dice);
        let hit = dice.random_range(1..=AT_ONCE_MAX.min(replicas.len()));
        let hit: Vec<usize> = replicas.iter().copied().take(hit).collect();
        for replica in &hit {
            bank.kill(*replica);
        }
        killed += hit.len();
        for replica in hit {
            sleep(Duration::from_millis(dice.random_range(0..DOWN_MS_MAX))).await;
            bank.start(replica)?;
        }
        sleep(Duration::from_millis(dice.random_range(0..PEACE_MS_MAX))).await;
    }
    Ok(killed)
}
