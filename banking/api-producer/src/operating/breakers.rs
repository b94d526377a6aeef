//! Circuit breakers around the gateway's calls: one for each method of each service. While one is
//! open its calls are refused at once, with 503 and the time after which one is let through.

use super::one_of;
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{Admin, Body, Fields, FromFields},
    routes::openapi::{Bad, Forbidden, Guessing},
    settings::HttpSettings,
};
use axum::{Json, extract::State};
use contracts::{
    account::AccountsClient, auth::AuthClient, notification::NotificationsClient,
    transfer::TransfersClient,
};
use replybus::{
    client::{BreakerLayer, CallRequest, CircuitReport, CircuitState, ClientLayer, ClientService},
    contract::ServiceContract,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tower::{Layer as _, ServiceExt as _, layer::layer_fn, service_fn};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Asked in order to know how a service is: whether it is back is not to be guessed.
const NEVER_REFUSED: &str = "health";

/// The contracts that the gateway calls by.
const CONTRACTS: [&ServiceContract; 4] = [
    AuthClient::CONTRACT,
    AccountsClient::CONTRACT,
    TransfersClient::CONTRACT,
    NotificationsClient::CONTRACT,
];

/// The breakers of all calls of one gateway. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Breakers(BreakerLayer);

impl Breakers {
    /// All closed.
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        let open_for = Duration::from_secs(settings.breaker_open_seconds.into());
        let breaker = BreakerLayer::new().failures(settings.breaker_failures);
        Self(breaker.open_for(open_for))
    }

    /// The layer around a client.
    pub(crate) fn guarding(&self) -> impl ClientLayer + use<> {
        let breaker = self.0.clone();
        layer_fn(move |inner: ClientService| {
            let guarded = breaker.layer(inner.clone());
            service_fn(move |call: CallRequest| {
                let (inner, guarded) = (inner.clone(), guarded.clone());
                async move {
                    match call.method() {
                        NEVER_REFUSED => inner.oneshot(call).await,
                        _ => guarded.oneshot(call).await,
                    }
                }
            })
        })
    }

    /// The queues some of whose calls are not simply let through.
    pub(crate) fn open(&self) -> BTreeSet<String> {
        let reports = self.0.report().into_iter();
        let open = reports.filter(|report| report.state != CircuitState::Closed);
        open.map(|report| report.queue).collect()
    }

    /// The state of a queue: that of its worst method.
    pub(super) fn of_queue(&self, queue: &str) -> Option<BreakerStatus> {
        let queues = self.states().0;
        let methods = queues.get(queue)?.patterns.values();
        methods.map(|state| state.status).max()
    }

    /// All of them, those that were never called included.
    pub(super) fn states(&self) -> CircuitBreakers {
        let mut queues: BTreeMap<String, QueueBreakers> = BTreeMap::new();
        for contract in CONTRACTS {
            let patterns = &mut queues
                .entry(contract.queue.to_owned())
                .or_default()
                .patterns;
            for name in methods(contract) {
                patterns.insert(name.to_owned(), self.state(None));
            }
        }
        for report in self.0.report() {
            let state = self.state(Some(&report));
            let patterns = &mut queues.entry(report.queue).or_default().patterns;
            patterns.insert(report.method.to_owned(), state);
        }
        CircuitBreakers(queues)
    }

    fn state(&self, report: Option<&CircuitReport>) -> BreakerState {
        let timeout = self.0.is_open_for().as_millis();
        BreakerState {
            status: report.map_or(BreakerStatus::Closed, |report| report.state.into()),
            failure_count: report.map_or(0, |report| report.failures),
            success_count: report.map_or(0, |report| report.successes),
            threshold: self.0.failures_allowed(),
            timeout: u64::try_from(timeout).unwrap_or(u64::MAX),
        }
    }

    /// Closes all, or those of a queue, or of one of its methods; how many were not closed.
    fn reset(&self, of: &ResetBody) -> usize {
        let Some(queue) = of.queue else {
            return self.0.reset_all();
        };
        let reports = self.0.report().into_iter();
        let wanted = reports.filter(|report| {
            report.queue == queue && of.method.is_none_or(|method| method == report.method)
        });
        let reset = wanted.filter(|report| self.0.reset(&report.queue, report.method));
        reset.count()
    }
}

fn methods(contract: &ServiceContract) -> impl Iterator<Item = &'static str> + Clone + use<> {
    let names = contract.methods.iter().map(|method| method.name);
    names.filter(|name| *name != NEVER_REFUSED)
}

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(circuit_breakers))
        .routes(routes!(reset))
}

/// The breakers, by queue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CircuitBreakers(BTreeMap<String, QueueBreakers>);

/// The breakers of the calls to one queue.
#[derive(Debug, Default, Serialize, ToSchema)]
struct QueueBreakers {
    /// By method.
    patterns: BTreeMap<String, BreakerState>,
}

/// The breaker of one method.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BreakerState {
    /// Whether its calls pass.
    status: BreakerStatus,
    /// Failures in a row, or those that opened it.
    failure_count: u32,
    /// Answers in a row since it changed last.
    success_count: u32,
    /// Failures in a row that open it.
    threshold: u32,
    /// Milliseconds for which it refuses all calls when it opens.
    timeout: u64,
}

/// Whether calls pass. In the order from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum BreakerStatus {
    /// They do.
    Closed,
    /// One at a time, to try the service.
    HalfOpen,
    /// They don't.
    Open,
}

impl From<CircuitState> for BreakerStatus {
    fn from(state: CircuitState) -> Self {
        match state {
            CircuitState::Closed => Self::Closed,
            CircuitState::Open { .. } => Self::Open,
            // There may be more states some day; none of them is simply closed.
            _ => Self::HalfOpen,
        }
    }
}

/// Which breakers are to be closed; all of them unless given.
#[derive(ToSchema)]
struct ResetBody {
    /// Those of the calls to this queue.
    queue: Option<&'static str>,
    /// That of this method alone, of that queue.
    method: Option<&'static str>,
}

impl FromFields for ResetBody {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        let queue = fields.optional_text("queue")?;
        let method = fields.optional_text("method")?;
        let Some(queue) = queue else {
            return match method {
                None => Ok(Self {
                    queue: None,
                    method: None,
                }),
                Some(_) => Err(Problem::field("queue", "is required with a method")),
            };
        };
        let queue = one_of("queue", &queue, CONTRACTS.iter().map(|one| one.queue))?;
        let contract = CONTRACTS.iter().find(|one| one.queue == queue);
        let method = match (contract, method) {
            (Some(contract), Some(method)) => Some(one_of("method", &method, methods(contract))?),
            _ => None,
        };
        Ok(Self {
            queue: Some(queue),
            method,
        })
    }
}

/// What was reset.
#[derive(Debug, Serialize, ToSchema)]
struct Reset {
    /// Breakers that were not closed, and are now.
    reset: usize,
}

/// The circuit breakers of the gateway's calls.
#[utoipa::path(
    get,
    path = "/circuit-breakers",
    tag = "operating",
    security(("admin" = [])),
    responses((status = OK, body = CircuitBreakers), Forbidden, Guessing)
)]
async fn circuit_breakers(State(gateway): State<Arc<Gateway>>, _: Admin) -> Json<CircuitBreakers> {
    Json(gateway.breakers.states())
}

/// Closes breakers: somebody has mended what failed.
#[utoipa::path(
    post,
    path = "/circuit-breakers/reset",
    tag = "operating",
    request_body = ResetBody,
    security(("admin" = [])),
    responses((status = OK, body = Reset), Bad, Forbidden, Guessing)
)]
async fn reset(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
    Body(of): Body<ResetBody>,
) -> Json<Reset> {
    let reset = gateway.breakers.reset(&of);
    tracing::info!(
        reset,
        queue = of.queue,
        method = of.method,
        "breakers were reset"
    );
    Json(Reset { reset })
}
