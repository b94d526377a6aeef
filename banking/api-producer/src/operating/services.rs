//! `/services/status`: every service, its instances and its queue, and how the gateway does.

use super::{
    breakers::{BreakerStatus, CircuitBreakers},
    latency::{Reading, Requests},
    look::{Look, Queue, Seen},
};
use crate::{
    gateway::Gateway,
    request::Admin,
    routes::openapi::{Forbidden, Guessing},
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use contracts::{ProgramInfo, program};
use jiff::Timestamp;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What was looked at so lately is not looked at again, however many ask: each look is a few
/// questions to every service.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// The looks of all who watch. Nobody looks while nobody asks.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<Option<Taken>>);

#[derive(Debug)]
struct Taken {
    look: Look,
    reading: Reading,
    status: Arc<ServicesStatus>,
}

impl Looks {
    /// How all is, or was a second ago.
    ///
    /// # Cancel safety
    /// Safe; the next who asks looks.
    pub(super) async fn status(&self, gateway: &Gateway) -> Arc<ServicesStatus> {
        let mut taken = self.0.lock().await;
        if let Some(taken) = taken.as_ref().filter(|taken| taken.is_fresh()) {
            return Arc::clone(&taken.status);
        }
        let before = taken.as_ref();
        let look = Look::take(&gateway.platform.bus, before.map(|taken| &taken.look)).await;
        let reading = Reading::of(&chassis::metrics_text());
        let status = Arc::new(ServicesStatus::of(gateway, &look, &reading, before));
        *taken = Some(Taken {
            look,
            reading,
            status: Arc::clone(&status),
        });
        status
    }
}

impl Taken {
    fn is_fresh(&self) -> bool {
        let now = Instant::now();
        now.saturating_duration_since(self.look.at) < KEPT_FOR
    }
}

/// The services of the bank.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServicesStatus {
    /// When this was so.
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// `false` if the registry of instances can't be read now: all seem to have none.
    registry: bool,
    /// By queue.
    services: Vec<ServiceStatus>,
    /// The gateway that was asked.
    gateway: GatewayStatus,
    /// The breakers of its calls.
    breakers: CircuitBreakers,
}

/// One queue, and who serves it.
#[derive(Debug, Serialize, ToSchema)]
struct ServiceStatus {
    /// The program; of a queue that is not the bank's own, what its first instance says.
    service: String,
    /// Its queue, or the group of its events.
    queue: String,
    /// Whether anybody takes from the queue.
    status: QueueStatus,
    /// Those who serve it. Of a group of events nobody keeps a list: its consumers are counted.
    instances: Vec<InstanceStatus>,
    /// Requests that all of them work on.
    in_flight: u64,
    /// Messages that wait in the queue; null if that is not known now.
    queue_depth: Option<u64>,
    /// Consumers of the queue; null if that is not known now.
    consumers: Option<u64>,
    /// Messages that were given up; null if that is not known now.
    dead_letters: Option<u64>,
    /// Requests a second since the last look; null of the first.
    calls_per_second: Option<f64>,
    /// Those that were not answered by the handler.
    failures_per_second: Option<f64>,
    /// The worst state of the breakers of this gateway's calls to it; null if it makes none.
    breaker: Option<BreakerStatus>,
}

/// Whether a queue is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum QueueStatus {
    /// It is.
    Up,
    /// All that serve it end what they have, and take no more.
    Draining,
    /// Nobody does.
    Down,
    /// The broker does not say.
    Unknown,
}

/// An instance of a service, by its own word.
#[derive(Debug, Serialize, ToSchema)]
struct InstanceStatus {
    /// Its id.
    id: String,
    /// Its version, if it says one.
    version: Option<String>,
    /// The program it is part of.
    program: String,
    /// The machine or container it runs on.
    host: String,
    /// The number of its process there.
    process: u32,
    /// When it began to serve.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When it last answered this gateway; null if it never did. One that does not answer any more
    /// is listed until its record lapses.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen: Option<Timestamp>,
    /// Requests that it works on.
    in_flight: u64,
    /// It takes no more, and ends what it has.
    draining: bool,
}

/// The gateway that was asked.
#[derive(Debug, Serialize, ToSchema)]
struct GatewayStatus {
    /// What it is.
    #[serde(flatten)]
    info: ProgramInfo,
    /// Its requests since the last look; null of the first.
    requests: Option<Requests>,
}

impl ServicesStatus {
    fn of(gateway: &Gateway, look: &Look, reading: &Reading, before: Option<&Taken>) -> Self {
        let earlier = before.map(|before| &before.look);
        let services = look.queues.iter().map(|queue| {
            let rates = look.rates(queue, earlier);
            let breaker = gateway.breakers.of_queue(&queue.name);
            ServiceStatus {
                breaker,
                calls_per_second: rates.map(|rates| rates.calls),
                failures_per_second: rates.map(|rates| rates.failures),
                ..ServiceStatus::of(queue)
            }
        });
        let requests = before.map(|before| {
            let apart = look.at.saturating_duration_since(before.look.at);
            reading.since(&before.reading, apart)
        });
        Self {
            timestamp: look.time,
            registry: look.knows_instances,
            services: services.collect(),
            gateway: GatewayStatus {
                info: gateway.platform.info(),
                requests,
            },
            breakers: gateway.breakers.states(),
        }
    }
}

impl ServiceStatus {
    fn of(queue: &Queue) -> Self {
        let own = program::queue(&queue.name);
        let first = queue.instances.first();
        let service = own.map(|of| of.program.to_owned());
        let service = service.or_else(|| first.map(|seen| seen.instance.program.clone()));
        let consumers = queue.waiting.map(|(_, consumers)| consumers);
        let (all, draining) = (
            queue.instances.len(),
            queue.instances.iter().filter(|seen| seen.instance.draining),
        );
        let status = match consumers {
            _ if all > 0 && draining.count() == all => QueueStatus::Draining,
            None => QueueStatus::Unknown,
            Some(0) => QueueStatus::Down,
            Some(_) => QueueStatus::Up,
        };
        Self {
            service: service.unwrap_or_default(),
            queue: queue.name.clone(),
            status,
            instances: queue.instances.iter().map(InstanceStatus::of).collect(),
            in_flight: queue.instances.iter().map(|seen| seen.in_flight).sum(),
            queue_depth: queue.waiting.map(|(waiting, _)| waiting),
            consumers,
            dead_letters: queue.dead,
            calls_per_second: None,
            failures_per_second: None,
            breaker: None,
        }
    }
}

impl InstanceStatus {
    fn of(seen: &Seen) -> Self {
        let instance = &seen.instance;
        Self {
            id: instance.id.to_string(),
            version: instance.version.clone(),
            program: instance.program.clone(),
            host: instance.host.clone(),
            process: instance.process,
            started_at: instance.started_at.try_into().ok(),
            last_seen: seen.last_seen,
            in_flight: seen.in_flight,
            draining: instance.draining,
        }
    }
}

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default().routes(routes!(status))
}

/// Every service with its instances, its queue and its breaker, and how this gateway does.
#[utoipa::path(
    get,
    path = "/services/status",
    tag = "operating",
    security(("admin" = [])),
    responses((status = OK, body = ServicesStatus), Forbidden, Guessing)
)]
async fn status(State(gateway): State<Arc<Gateway>>, _: Admin) -> Response {
    let status = gateway.looks.status(&gateway).await;
    Json(&*status).into_response()
}
