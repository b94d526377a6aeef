//! `/delayed-messages`: what waits on the broker until it is due, such as the next time of a standing
//! order.

use crate::{
    gateway::Gateway,
    problem::Problem,
    request::Admin,
    routes::openapi::{Forbidden, Guessing, Unavailable},
};
use axum::{Json, extract::State};
use contracts::program::QUEUES;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use replybus::{
    delayed::{DelayedKind, DelayedMessage},
    reply::StoreError,
};
use serde::Serialize;
use std::{error::Error, sync::Arc, time::Duration};
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Those that are shown of each queue: the nearest.
const SHOWN: usize = 50;
/// Redis answers within this, or is away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// What waits for one queue.
#[derive(Debug, Serialize, ToSchema)]
struct DelayedOfQueue {
    /// The queue.
    queue: &'static str,
    /// All that is known of.
    total: usize,
    /// The nearest fifty.
    messages: Vec<Delayed>,
}

/// A message that waits.
#[derive(Debug, Serialize, ToSchema)]
struct Delayed {
    /// The id of its call.
    id: String,
    /// Its method.
    method: String,
    /// Why it waits: `call`, `event`, `tick` or `retry`.
    kind: &'static str,
    /// When it is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// The program that has it wait.
    from: String,
}

impl Delayed {
    fn of(message: &DelayedMessage) -> Self {
        Self {
            id: message.id.to_string(),
            method: message.name.clone(),
            kind: match message.kind {
                DelayedKind::Event => "event",
                DelayedKind::Tick => "tick",
                DelayedKind::Retry => "retry",
                // What is new is some kind of call.
                _ => "call",
            },
            due_at: message.due_at.try_into().ok(),
            from: message.program.clone(),
        }
    }
}

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default().routes(routes!(delayed_messages))
}

/// What waits for the bank's queues until it is due, the nearest first. Queues for which nothing waits
/// are left out.
#[utoipa::path(
    get,
    path = "/delayed-messages",
    tag = "operating",
    security(("admin" = [])),
    responses((status = OK, body = Vec<DelayedOfQueue>), Forbidden, Guessing, Unavailable)
)]
async fn delayed_messages(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
) -> Result<Json<Vec<DelayedOfQueue>>, Problem> {
    let looks = QUEUES.iter().map(async |of| {
        let messages = gateway.platform.bus.delayed(of.queue).await?;
        Ok::<_, StoreError>(DelayedOfQueue {
            queue: of.queue,
            total: messages.len(),
            messages: messages.iter().take(SHOWN).map(Delayed::of).collect(),
        })
    });
    let looked = timeout(ANSWERS_WITHIN, try_join_all(looks)).await;
    let Ok(Ok(mut queues)) = looked.map(|looked| {
        looked.inspect_err(|error| {
            let error: &(dyn Error + 'static) = error;
            tracing::warn!(error, "what is delayed is not known");
        })
    }) else {
        return Err(Problem::not_available());
    };
    queues.retain(|queue| queue.total > 0);
    Ok(Json(queues))
}
