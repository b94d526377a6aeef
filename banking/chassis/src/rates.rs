//! Bounds how often one client may ask for something: so many times a minute, all at once or spread
//! over it (GCRA, the generic cell rate algorithm).
//!
//! Each process counts in memory, and where there is Redis the replicas of a program count together,
//! with one script for each request that the process itself lets pass. While Redis is away each
//! counts alone, so that a client may ask as many more times as there are replicas.
//!
//! `governor` does the first half, but neither bounds how many clients it remembers nor shares them.

use crate::{guesses::Paused, replicas::Replicas};
use redis::Script;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// In this time a client may ask again for all that it may ask for at once.
const WINDOW: Duration = Duration::from_secs(60);
/// Clients that are remembered, until they may ask for all at once again; beyond them those that may
/// do so soonest are forgotten.
const CLIENTS_MAX: usize = 10_000;

/// A bound of how often each client may ask.
#[derive(Debug)]
pub struct RateLimit {
    name: &'static str,
    /// Nothing if there is no bound.
    counts: Option<Counts>,
}

#[derive(Debug)]
struct Counts {
    per_minute: u32,
    /// When each client may ask for all at once again.
    clients: Mutex<HashMap<IpAddr, Instant>>,
    shared: Option<(Replicas, Script)>,
}

impl RateLimit {
    /// So many times a minute for each client, of this process; 0 is without bound. It is counted
    /// under `name` who had to wait.
    #[must_use]
    pub fn of_process(name: &'static str, per_minute: u32) -> Self {
        let counts = (per_minute > 0).then(|| Counts {
            per_minute,
            clients: Mutex::default(),
            shared: None,
        });
        Self { name, counts }
    }

    /// The same of all replicas together.
    pub(crate) fn of_replicas(name: &'static str, per_minute: u32, replicas: Replicas) -> Self {
        let mut limit = Self::of_process(name, per_minute);
        if let Some(counts) = &mut limit.counts {
            let script = Script::new(include_str!("rates.lua"));
            counts.shared = Some((replicas, script));
        }
        limit
    }

    /// Counts a request of a client.
    ///
    /// # Errors
    /// It is one too many, is not counted, and has to wait.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the request may have been counted.
    pub async fn admit(&self, client: IpAddr) -> Result<(), Paused> {
        let Some(counts) = &self.counts else {
            return Ok(());
        };
        let mut admitted = counts.admit_here(client, Instant::now());
        if admitted.is_ok() {
            admitted = counts.admit_shared(client).await;
        }
        if admitted.is_err() {
            metrics::counter!("bank_requests_limited_total", "limit" => self.name).increment(1);
            tracing::debug!(limit = self.name, %client, "a client asks too often");
        }
        admitted
    }
}

impl Counts {
    fn admit_here(&self, client: IpAddr, now: Instant) -> Result<(), Paused> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = clients
            .get(&client)
            .map_or(now, |full_at| (*full_at).max(now));
        let full_at = full_at + WINDOW / self.per_minute;
        let ahead = full_at - now;
        if ahead > WINDOW {
            return Err(Paused(ahead - WINDOW));
        }
        if !clients.contains_key(&client) && clients.len() >= CLIENTS_MAX {
            make_room(&mut clients, now);
        }
        clients.insert(client, full_at);
        Ok(())
    }

    async fn admit_shared(&self, client: IpAddr) -> Result<(), Paused> {
        let Some((replicas, script)) = &self.shared else {
            return Ok(());
        };
        let mut step = script.prepare_invoke();
        step.key(replicas.key_of(&client.to_string()))
            .arg(self.per_minute)
            .arg(WINDOW.as_secs());
        match replicas.run::<u64>(&step).await {
            // Counted here, if not together.
            None | Some(0) => Ok(()),
            Some(millis) => Err(Paused(Duration::from_millis(millis))),
        }
    }
}

/// Forgets who may ask for all at once again, and if all are still needed, a tenth of them.
fn make_room(clients: &mut HashMap<IpAddr, Instant>, now: Instant) {
    clients.retain(|_, full_at| *full_at > now);
    if clients.len() >= CLIENTS_MAX {
        let mut moments: Vec<_> = clients.values().copied().collect();
        let (_, soon, _) = moments.select_nth_unstable(CLIENTS_MAX / 10);
        clients.retain(|_, full_at| *full_at > *soon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{redis_connection::redis_manager, settings::TlsSettings};
    use replybus_testkit::live::unique;
    use std::net::Ipv4Addr;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    fn client(number: u32) -> IpAddr {
        Ipv4Addr::from(number).into()
    }

    /// What each bound promises, whoever counts.
    async fn a_client_may_ask_so_often(limit: &RateLimit) {
        for _ in 0..3 {
            limit.admit(client(1)).await.unwrap();
        }
        let Paused(wait) = limit.admit(client(1)).await.unwrap_err();
        assert!(wait <= 20 * SECOND, "{wait:?}");
        limit.admit(client(2)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_too_often_waits_for_the_next_of_a_minute() {
        let limit = RateLimit::of_process("test", 3);
        a_client_may_ask_so_often(&limit).await;
        assert_eq!(limit.admit(client(1)).await, Err(Paused(20 * SECOND)));
        // What was refused does not count.
        advance(20 * SECOND).await;
        limit.admit(client(1)).await.unwrap();
        assert_eq!(limit.admit(client(1)).await, Err(Paused(20 * SECOND)));
        advance(WINDOW).await;
        a_client_may_ask_so_often(&limit).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_bound_is_kept_too() {
        let limit = RateLimit::of_process("test", 6007);
        for _ in 0..6007 {
            limit.admit(client(1)).await.unwrap();
        }
        assert!(limit.admit(client(1)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_without_bound_and_remembers_nobody() {
        let limit = RateLimit::of_process("test", 0);
        for _ in 0..1000 {
            limit.admit(client(1)).await.unwrap();
        }
        assert!(limit.counts.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_bounded_and_who_asked_most_is_remembered() {
        let limit = RateLimit::of_process("test", 2);
        for _ in 0..2 {
            limit.admit(client(0)).await.unwrap();
        }
        let many = u32::try_from(2 * CLIENTS_MAX).unwrap();
        for number in 1..=many {
            advance(Duration::from_millis(1)).await;
            limit.admit(client(number)).await.unwrap();
        }
        let clients = &limit.counts.as_ref().unwrap().clients;
        let remembered = clients.lock().unwrap().len();
        assert!(
            (CLIENTS_MAX / 2..=CLIENTS_MAX).contains(&remembered),
            "{remembered}"
        );
        assert!(limit.admit(client(0)).await.is_err());
        advance(WINDOW).await;
        let more = many + u32::try_from(CLIENTS_MAX).unwrap();
        for number in many + 1..=more {
            limit.admit(client(number)).await.unwrap();
        }
        let clients = clients.lock().unwrap();
        let is_remembered = |number| clients.contains_key(&client(number));
        assert!(is_remembered(more) && !is_remembered(0) && !is_remembered(many));
    }

    #[tokio::test]
    async fn replicas_count_together() {
        let Some(url) = replybus_testkit::live::redis().await else {
            return;
        };
        let (connection, namespace) = (
            redis_manager(&url, &TlsSettings::default()).unwrap(),
            unique("rates"),
        );
        let limit = || {
            let replicas = Replicas::new(connection.clone(), &namespace, "rate:test", [7; 32]);
            RateLimit::of_replicas("test", 3, replicas)
        };
        a_client_may_ask_so_often(&limit()).await;
        for _ in 0..2 {
            let Paused(wait) = limit().admit(client(1)).await.unwrap_err();
            assert!(wait <= 20 * SECOND, "{wait:?}");
        }
    }

    #[tokio::test]
    async fn without_redis_each_process_counts_alone() {
        // Nothing listens there.
        let connection = redis_manager("redis://127.0.0.1:1/0", &TlsSettings::default()).unwrap();
        let replicas = Replicas::new(connection, "", "rate:test", [7; 32]);
        let limit = RateLimit::of_replicas("test", 3, replicas);
        a_client_may_ask_so_often(&limit).await;
    }
}
