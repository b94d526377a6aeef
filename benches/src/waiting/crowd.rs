//! So many calls that wait for a service that answers when it is told to.

use super::{CrowdServiceClient, CrowdServiceServer, Gate, Of, Row};
use crate::{cpu, stats::round};
use anyhow::{Context, Result, ensure};
use replybus::Bus;
use std::{fs, time::Duration};
use tokio::{sync::watch, task::JoinSet, time::sleep};

/// A bus takes 32,768 calls that wait: of more there are several buses.
const CALLS_PER_BUS: u32 = 32_000;
/// The most a call may be given.
const TIMEOUT: Duration = Duration::from_secs(20 * 60);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Makes so many calls, each in a task of its own, sees that all wait, and lets all be answered. The
/// memory is what the process has more of then: it must have done nothing else before.
///
/// # Errors
/// A call fails, or the system does not say how much memory there is.
pub async fn run(calls: u32) -> Result<Row> {
    let (open, gate) = watch::channel(false);
    let mut buses = Vec::new();
    for _ in 0..calls.div_ceil(CALLS_PER_BUS) {
        let bus = Bus::in_memory();
        let server = CrowdServiceServer::new(Gate(gate.clone()));
        buses.push((bus.serve(server).await?, CrowdServiceClient::new(&bus), bus));
    }
    let before = resident()?;
    let began = cpu::taken();
    let mut tasks = JoinSet::new();
    for number in 0..calls {
        let bus = usize::try_from(number / CALLS_PER_BUS)?;
        let (_, client, _) = buses.get(bus).context("there is no bus")?;
        let call = client.pass(u64::from(number)).timeout(TIMEOUT);
        tasks.spawn(async move { Ok::<_, anyhow::Error>(call.await? == u64::from(number)) });
    }
    let expected = usize::try_from(calls)?;
    let waiting = || {
        buses
            .iter()
            .map(|(.., bus)| bus.health().calls_waiting)
            .sum::<usize>()
    };
    while waiting() < expected {
        ensure!(tasks.len() == expected, "a call did not wait");
        sleep(LOOK_EVERY).await;
    }
    let asked = cpu::taken().saturating_sub(began);
    let bytes = resident()?.saturating_sub(before);
    let began = cpu::taken();
    open.send(true).context("nobody serves")?;
    while let Some(answered) = tasks.join_next().await {
        ensure!(answered??, "a call got the answer of another");
    }
    let answered = cpu::taken().saturating_sub(began);
    let each = |time: Duration| round(time.as_secs_f64() * 1e6 / f64::from(calls), 100.0);
    Ok(Row {
        of: Of::Crowd,
        number: calls,
        bytes_per_call: Some((f64::from(bytes) * 1024.0 / f64::from(calls)).round()),
        us_per_call: each(asked),
        us_per_answer: Some(each(answered)),
        ratio: 1.0,
    })
}

/// The memory of this process, in KiB.
fn resident() -> Result<u32> {
    let status = fs::read_to_string("/proc/self/status").context("could not read /proc")?;
    resident_in(&status).context("the system does not say how much memory is used")
}

fn resident_in(status: &str) -> Option<u32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_found_among_other_figures() {
        let status = "Name:\tx\nVmHWM:\t   9 kB\nVmRSS:\t  4711 kB\nThreads:\t1\n";
        assert_eq!(resident_in(status), Some(4711));
        assert_eq!(resident_in("VmRSS:\tmuch\n"), None);
    }

    #[tokio::test]
    async fn all_wait_and_all_are_answered() {
        let row = run(100).await.unwrap();
        assert_eq!((row.of, row.number), (Of::Crowd, 100));
        assert!(row.us_per_call > 0.0 && row.us_per_answer.is_some_and(|us| us > 0.0));
    }
}
