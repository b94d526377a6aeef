//! `/api/account/statements`: statements of months, which the bank makes in the background.

use super::{
    export,
    openapi::{Bad, Conflict, Frequent, Missing, Unauthenticated, Unavailable, Unfinished},
};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{Body, Fields, FromFields, Key, Keyed, Signed, id_of},
};
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderName, Version},
};
use contracts::{
    InvalidMonth, InvalidTimeZoneName, Month, TimeZoneName,
    month_statement::{MonthOrder, MonthStatement},
};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(begin, all))
        .routes(routes!(one))
        .routes(routes!(cancel))
        .routes(routes!(entries_csv))
}

/// Which month, and where.
#[derive(ToSchema)]
struct MonthBody {
    /// One that has begun.
    month: Month,
    /// By the days of which time zone; UTC unless given.
    time_zone: Option<TimeZoneName>,
}

impl FromFields for MonthBody {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        Ok(Self {
            month: fields.parsed("month", InvalidMonth::ALLOWED)?,
            time_zone: fields.optional_parsed("time_zone", InvalidTimeZoneName::ALLOWED)?,
        })
    }
}

/// Has the statement of a month made, once for each key: asked again, it says how far that one is.
/// Of a month that is not over it is what there is by now.
#[utoipa::path(
    post,
    path = "/api/account/statements",
    tag = "account",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 128,
            description = "Names the statement: asked again with it, it is the same one.")),
    request_body = MonthBody,
    security(("session" = []), ("bearer" = [])),
    responses(
        (status = OK, body = MonthStatement),
        Bad, Unauthenticated, Conflict, Frequent, Unavailable
    )
)]
async fn begin(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    Key(key): Key,
    Body(MonthBody { month, time_zone }): Body<MonthBody>,
) -> Keyed<MonthStatement> {
    let order = MonthOrder {
        month,
        time_zone: time_zone.unwrap_or_else(TimeZoneName::utc),
        key: key.clone(),
    };
    let begun = gateway.accounts.begin_month_statement(order).await;
    Keyed(key, begun.map_err(Problem::from))
}

/// The statements of months that the user who asks has, newest first: 24 at most, for 30 days.
#[utoipa::path(
    get,
    path = "/api/account/statements",
    tag = "account",
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Vec<MonthStatement>), Unauthenticated, Unavailable)
)]
async fn all(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
) -> Result<Json<Vec<MonthStatement>>, Problem> {
    Ok(Json(gateway.accounts.month_statements().await?))
}

/// How far a statement is, and what is in it when it is made.
#[utoipa::path(
    get,
    path = "/api/account/statements/{id}",
    tag = "account",
    params(("id" = String, Path, format = Uuid, description = "The statement's id.")),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = MonthStatement), Bad, Unauthenticated, Missing, Unavailable)
)]
async fn one(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    Path(id): Path<String>,
) -> Result<Json<MonthStatement>, Problem> {
    let id = id_of("id", &id)?;
    Ok(Json(gateway.accounts.month_statement(id).await?))
}

/// Gives a statement up that is not made; says how far it is then.
#[utoipa::path(
    post,
    path = "/api/account/statements/{id}/cancel",
    tag = "account",
    params(("id" = String, Path, format = Uuid, description = "The statement's id.")),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = MonthStatement), Bad, Unauthenticated, Missing, Unavailable)
)]
async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    Path(id): Path<String>,
) -> Result<Json<MonthStatement>, Problem> {
    let id = id_of("id", &id)?;
    Ok(Json(gateway.accounts.cancel_month_statement(id).await?))
}

/// The entries of a statement that is made, newest first, as CSV; as `/api/account/statement.csv`.
#[utoipa::path(
    get,
    path = "/api/account/statements/{id}/entries.csv",
    tag = "account",
    params(("id" = String, Path, format = Uuid, description = "The statement's id.")),
    security(("session" = []), ("bearer" = [])),
    responses(
        (status = OK, body = String, content_type = "text/csv"),
        Bad, Unauthenticated, Missing, Unfinished, Frequent, Unavailable
    )
)]
async fn entries_csv(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    version: Version,
    Path(id): Path<String>,
) -> Result<([(HeaderName, &'static str); 2], axum::body::Body), Problem> {
    let id = id_of("id", &id)?;
    let entries = gateway.accounts.month_statement_entries(id);
    export::csv(entries, version).await
}
