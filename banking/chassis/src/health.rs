//! How a program is, and what it is, by its own account.

use crate::{Database, Platform, vitals};
use contracts::{HealthStatus, PartHealth, ProgramHealth, ProgramInfo};
use futures_util::future::join_all;
use jiff::Timestamp;
use replybus::{Health, reply::StoreHealth, transport::TransportHealth};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// A database that answers takes less, or is as good as away.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// One that answered so lately is there. While all connections are at work, a question may wait
/// longer than it is waited for here.
const BELIEVED_FOR: Duration = Duration::from_secs(5);

/// The databases that a program has opened, and when each answered last. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Databases(Arc<Mutex<BTreeMap<&'static str, Opened>>>);

#[derive(Debug, Clone)]
struct Opened {
    database: Database,
    answered: Instant,
}

impl Databases {
    /// Adds the database of a service, which has just been brought up to date.
    pub(crate) fn opened(&self, schema: &'static str, database: Database) {
        let answered = Instant::now();
        self.all().insert(schema, Opened { database, answered });
    }

    /// Whether all of them answer; `None` if there is none.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub(crate) async fn are_up(&self) -> Option<bool> {
        let opened = self.all().clone();
        let looks = opened.into_iter().map(async |(schema, opened)| {
            if opened.answered.elapsed() < BELIEVED_FOR {
                return true;
            }
            let answers = timeout(ANSWER_WITHIN, opened.database.is_up()).await;
            let is_up = answers.unwrap_or(false);
            if is_up && let Some(opened) = self.all().get_mut(schema) {
                opened.answered = Instant::now();
            }
            is_up
        });
        let looks = join_all(looks).await;
        (!looks.is_empty()).then(|| looks.into_iter().all(|is_up| is_up))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<&'static str, Opened>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platform {
    /// How this program is: unhealthy without its broker, Redis or database, or if a queue that it
    /// serves gives it nothing; degraded if dead letters are lost.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn health(&self) -> ProgramHealth {
        let (database, vitals) = tokio::join!(self.databases.are_up(), vitals::vitals());
        let bus = self.bus.health();
        let names = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<Vec<_>>();
        ProgramHealth {
            status: status(&bus, database),
            timestamp: Timestamp::now(),
            uptime: vitals::began().1.as_secs_f64(),
            memory: vitals.memory,
            cpu: vitals.cpu,
            service: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            broker: PartHealth::of(bus.transport == TransportHealth::Up),
            replies: PartHealth::of(bus.replies == StoreHealth::Up),
            database: database.map(PartHealth::of),
            not_consumed: names(&bus.not_consumed),
            dead_letters_full: names(&bus.dead_letters_dropped),
            circuits_open: Vec::new(),
        }
    }

    /// What this program is.
    #[must_use]
    pub fn info(&self) -> ProgramInfo {
        let (started_at, uptime) = vitals::began();
        ProgramInfo {
            service: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            uptime: uptime.as_secs_f64(),
        }
    }
}

fn status(bus: &Health, database: Option<bool>) -> HealthStatus {
    if !bus.is_up() || database == Some(false) {
        HealthStatus::Unhealthy
    } else if bus.dead_letters_dropped.is_empty() {
        HealthStatus::Healthy
    } else {
        HealthStatus::Degraded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PlatformSettings;

    async fn platform() -> Platform {
        let platform = Platform::connect("teller", PlatformSettings::default());
        platform.await.unwrap()
    }

    #[tokio::test]
    async fn a_program_says_how_it_is_and_what() {
        let platform = platform().await;
        let health = platform.health().await;
        assert_eq!(health.status, HealthStatus::Healthy);
        assert_eq!((health.service.as_str(), health.database), ("teller", None));
        let json = serde_json::to_value(&health).unwrap();
        for (part, expected) in [("status", "healthy"), ("broker", "up"), ("replies", "up")] {
            assert_eq!(json[part], expected);
        }
        assert!(json["timestamp"].as_str().unwrap().ends_with('Z'), "{json}");
        assert!(json["memory"]["used"].as_u64().unwrap() > 0, "{json}");
        let info = platform.of_program("cashier").info();
        assert_eq!(info.service, "cashier");
        assert!(info.uptime >= health.uptime && info.started_at <= health.timestamp);
    }

    #[tokio::test]
    async fn without_its_database_or_its_bus_it_is_not_well() {
        let platform = platform().await;
        let none = crate::database::migrator(&[]);
        let database = platform.database("teller", &none).await.unwrap();
        assert_eq!(platform.health().await.database, Some(PartHealth::Up));
        database.close().await;
        // It is believed for a while.
        assert_eq!(platform.health().await.status, HealthStatus::Healthy);
        let forgotten = Instant::now().checked_sub(BELIEVED_FOR).unwrap();
        platform.databases.all().get_mut("teller").unwrap().answered = forgotten;
        let health = platform.health().await;
        assert_eq!(health.status, HealthStatus::Unhealthy);
        assert_eq!(health.database, Some(PartHealth::Down));

        let platform = self::platform().await;
        platform.bus.close(Duration::from_secs(1)).await;
        assert_eq!(platform.health().await.status, HealthStatus::Unhealthy);
    }
}
