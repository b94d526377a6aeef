//! The time of a call while there are more and more queues, instances or calls that wait.

use super::{CrowdServiceClient, CrowdServiceServer, Gate, Of, Row};
use crate::{
    cpu,
    stats::{median, round},
};
use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use replybus::{
    Bus, reply::memory::MemoryReplies, server::Serving, transport::memory::MemoryBroker,
};
use std::time::{Duration, Instant};
use tokio::{sync::watch, task::JoinSet};

/// Calls under way at once.
const CALLERS: usize = 64;
/// The most a call may be given.
const TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// Where the calls go, and all that is around them.
#[derive(Debug)]
struct Scene {
    of: Of,
    number: u32,
    clients: Vec<CrowdServiceClient>,
    _serving: Vec<Serving>,
    _waiting: JoinSet<()>,
    _open: watch::Sender<bool>,
    /// Microseconds of a call, by round.
    times: Vec<f64>,
}

/// Measures all scenes in turns, and compares each with the first of its kind.
///
/// # Errors
/// A call fails.
pub async fn run(numbers: &[(Of, u32)], rounds: u32, seconds: Duration) -> Result<Vec<Row>> {
    let mut scenes = Vec::new();
    for (of, number) in numbers {
        scenes.push(Scene::set(*of, *number).await?);
    }
    for _ in 0..rounds {
        for scene in &mut scenes {
            let time = scene.time(seconds).await?;
            scene.times.push(time);
        }
    }
    scenes.iter().map(|scene| row(scene, &scenes)).collect()
}

fn row(scene: &Scene, scenes: &[Scene]) -> Result<Row> {
    let first = scenes.iter().find(|first| first.of == scene.of);
    let first = first.context("a scene is the first of its kind, or there is one")?;
    let ratios = scene.times.iter().zip(&first.times);
    Ok(Row {
        of: scene.of,
        number: scene.number,
        bytes_per_call: None,
        us_per_call: round(median(scene.times.iter().copied()), 100.0),
        us_per_answer: None,
        ratio: round(median(ratios.map(|(time, first)| time / first)), 100.0),
    })
}

impl Scene {
    async fn set(of: Of, number: u32) -> Result<Self> {
        let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
        let (open, gate) = watch::channel(false);
        let (_opened, open_gate) = watch::channel(true);
        let caller = Bus::connect(broker.clone(), replies.clone()).await?;
        let client = CrowdServiceClient::new(&caller);
        let mut scene = Self {
            of,
            number,
            clients: Vec::new(),
            _serving: Vec::new(),
            _waiting: JoinSet::new(),
            _open: open,
            times: Vec::new(),
        };
        let server = || CrowdServiceServer::new(Gate(open_gate.clone()));
        match of {
            Of::Queues => {
                for queue in 0..number {
                    let queue = format!("crowd.{queue}");
                    let serving = caller.serve(server()).on_queue(&queue).await?;
                    scene._serving.push(serving);
                    scene.clients.push(client.clone().on_queue(queue));
                }
            }
            Of::Instances => {
                for _ in 0..number {
                    let instance = Bus::connect(broker.clone(), replies.clone()).await?;
                    scene._serving.push(instance.serve(server()).await?);
                }
                scene.clients.push(client);
            }
            Of::Waiting | Of::Crowd => {
                scene._serving.push(caller.serve(server()).await?);
                let closed = CrowdServiceServer::new(Gate(gate));
                let serving = caller.serve(closed).on_queue("crowd.closed").await?;
                scene._serving.push(serving);
                let waiting = client.clone().on_queue("crowd.closed");
                for number in 0..number {
                    let call = waiting.pass(u64::from(number)).timeout(TIMEOUT);
                    scene._waiting.spawn(async { drop(call.await) });
                }
                scene.clients.push(client);
            }
        }
        Ok(scene)
    }

    /// Microseconds of a call, of as many as fit into the time, and some at least.
    async fn time(&self, seconds: Duration) -> Result<f64> {
        // Not counted: what the scene before left in the caches.
        self.calls(0).await?;
        let (began, taken, mut calls) = (Instant::now(), cpu::taken(), 0_u32);
        while calls == 0 || began.elapsed() < seconds {
            self.calls(usize::try_from(calls)?).await?;
            calls += u32::try_from(CALLERS)?;
        }
        let taken = cpu::taken().saturating_sub(taken);
        Ok(taken.as_secs_f64() * 1e6 / f64::from(calls))
    }

    async fn calls(&self, first: usize) -> Result<()> {
        let clients = self.clients.iter().cycle();
        let skipped = first.checked_rem(self.clients.len()).unwrap_or_default();
        let calls = clients.skip(skipped).take(CALLERS);
        try_join_all(calls.map(|client| async { client.pass(0).await })).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_number_is_compared_with_the_first_of_its_kind() {
        let numbers = [
            (Of::Queues, 1),
            (Of::Queues, 3),
            (Of::Instances, 2),
            (Of::Waiting, 10),
        ];
        let rows = run(&numbers, 1, Duration::from_millis(5)).await.unwrap();
        let measured: Vec<_> = rows.iter().map(|row| (row.of, row.number)).collect();
        assert_eq!(measured, numbers);
        assert!(rows.iter().all(|row| row.us_per_call > 0.0));
        // Also on a machine that stands still for all of its time.
        let rows = run(&numbers, 1, Duration::ZERO).await.unwrap();
        assert!(
            [0, 2, 3]
                .iter()
                .all(|first| rows[*first].ratio.to_bits() == 1.0_f64.to_bits())
        );
    }
}
