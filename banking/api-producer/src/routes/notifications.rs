//! `/api/notifications`: what a user is told.

use super::openapi::{Bad, Unauthenticated, Unavailable};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{Body, Fields, FromFields, Paging, Signed},
};
use axum::{Json, extract::State};
use contracts::notification::{MarkedRead, Notification, PAGE_SIZE};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(mark_read))
}

/// Which notifications were read.
#[derive(ToSchema)]
struct ReadBody {
    /// Their ids; all of the user's unless given.
    ids: Option<Vec<Uuid>>,
}

impl FromFields for ReadBody {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        Ok(Self {
            ids: fields.optional_ids("ids")?,
        })
    }
}

/// A page of those of the user who asks, newest first; 50 unless `size` is given.
#[utoipa::path(
    get,
    path = "/api/notifications/notifications",
    tag = "notifications",
    params(Paging),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Vec<Notification>), Bad, Unauthenticated, Unavailable)
)]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    paging: Paging,
) -> Result<Json<Vec<Notification>>, Problem> {
    let page = paging.request_of(PAGE_SIZE);
    Ok(Json(gateway.notifications.list(page).await?))
}

/// Marks notifications of the user who asks as read.
#[utoipa::path(
    post,
    path = "/api/notifications/read",
    tag = "notifications",
    request_body = ReadBody,
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = MarkedRead), Bad, Unauthenticated, Unavailable)
)]
async fn mark_read(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    Body(ReadBody { ids }): Body<ReadBody>,
) -> Result<Json<MarkedRead>, Problem> {
    Ok(Json(gateway.notifications.mark_read(ids).await?))
}
