//! What Redis says of itself.

use super::{Findings, State};
use crate::{output::duration, settings::Servers};
use redis::{AsyncConnectionConfig, RedisResult, aio::MultiplexedConnection};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time for all of it.
const WITHIN: Duration = Duration::from_secs(5);

/// Clocks that are further apart make late calls of punctual ones.
const SKEW_NOTED: Duration = Duration::from_millis(500);

/// Clocks that are further apart make records of commands expire that are needed.
const SKEW_WRONG: Duration = Duration::from_secs(60);

pub(super) async fn look(servers: &Servers, findings: &mut Findings) {
    let url = servers.redis.expose();
    if !["redis://", "rediss://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        findings.note(
            "Redis settings",
            "not looked at: it is a cluster, or behind Sentinel",
        );
        return;
    }
    match tokio::time::timeout(WITHIN, ask(servers)).await {
        Ok(Ok(said)) => judge(&said, findings),
        // That it can't be reached, or asked for, was said.
        Ok(Err(error)) => {
            let reason = error.category();
            findings.note(
                "Redis settings",
                format!("not known: {reason}; INFO and TIME say them"),
            );
        }
        Err(_) => findings.note("Redis settings", "not known: it gives no answer in time"),
    }
}

/// What it said.
struct Said {
    info: String,
    /// Its clock less ours, as far as it is known: half the time that the question took.
    ahead: Skew,
}

#[derive(Debug, Clone, Copy)]
struct Skew {
    apart: Duration,
    uncertain: Duration,
}

async fn ask(servers: &Servers) -> RedisResult<Said> {
    let client = servers.redis_tls.client(servers.redis.expose())?;
    // By default it gives a server half a second for each answer.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(WITHIN))
        .set_response_timeout(Some(WITHIN));
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    let mut redis: MultiplexedConnection = connecting.await?;
    let info: String = redis::cmd("INFO").query_async(&mut redis).await?;
    let before = SystemTime::now();
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut redis).await?;
    let took = before.elapsed().unwrap_or_default();
    let theirs = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros);
    let ours = before + took / 2;
    let apart = match theirs.duration_since(ours) {
        Ok(ahead) => ahead,
        Err(behind) => behind.duration(),
    };
    let uncertain = took / 2;
    Ok(Said {
        info,
        ahead: Skew { apart, uncertain },
    })
}

fn judge(said: &Said, findings: &mut Findings) {
    let field = |name: &str| {
        let mut lines = said.info.lines();
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let version = field("redis_version").unwrap_or("unknown");
    match is_old(version) {
        true => findings.wrong("Redis version", format!("{version}: take 6.2 or later")),
        false => findings.ok("Redis version", version),
    }
    match field("maxmemory_policy") {
        Some("noeviction") => findings.ok("Redis memory", "nothing is evicted"),
        Some(policy) => findings.wrong(
            "Redis memory",
            format!(
                "{policy}: replies and records can vanish; CONFIG SET maxmemory-policy noeviction"
            ),
        ),
        None => findings.note("Redis memory", "its policy is not known"),
    }
    match field("aof_enabled") {
        Some("1") => findings.ok("Redis disk", "what is written is appended to a file"),
        _ => findings.note(
            "Redis disk",
            "a crash forgets all since the last snapshot; appendonly yes keeps it",
        ),
    }
    let Skew { apart, uncertain } = said.ahead;
    let sure = apart.saturating_sub(uncertain);
    let text = format!(
        "this machine and Redis are {} apart, give or take {}",
        duration(apart),
        duration(uncertain)
    );
    let state = match sure {
        sure if sure >= SKEW_WRONG => State::Wrong,
        sure if sure >= SKEW_NOTED => State::Note,
        _ => State::Ok,
    };
    let advice = if state == State::Ok {
        ""
    } else {
        "; set the clocks, by NTP say"
    };
    findings.say(state, "clocks", format!("{text}{advice}"));
}

fn is_old(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < (6, 2),
        // Who names no version is none of the old ones.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(info: &str, apart: Duration) -> Vec<(State, String, String)> {
        let mut findings = Findings::default();
        let ahead = Skew {
            apart,
            uncertain: Duration::from_millis(1),
        };
        judge(
            &Said {
                info: info.to_owned(),
                ahead,
            },
            &mut findings,
        );
        findings.0
    }

    #[test]
    fn settings_that_lose_data_and_clocks_that_are_apart_are_said() {
        let good = "redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n";
        let all_ok = judged(good, Duration::from_millis(2));
        assert!(
            all_ok.iter().all(|(state, ..)| *state == State::Ok),
            "{all_ok:?}"
        );
        let bad = "redis_version:6.0.1\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\n";
        let states: Vec<_> = judged(bad, Duration::from_secs(90))
            .into_iter()
            .map(|f| f.0)
            .collect();
        assert_eq!(
            states,
            [State::Wrong, State::Wrong, State::Note, State::Wrong]
        );
        let states: Vec<_> = judged(good, Duration::from_secs(2))
            .into_iter()
            .map(|f| f.0)
            .collect();
        assert_eq!(states.last(), Some(&State::Note));
    }
}
