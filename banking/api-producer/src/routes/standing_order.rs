//! `/api/transfer/standing-orders`: transfers that are ordered once and made again and again.

use super::openapi::{Bad, Conflict, Frequent, Missing, Unauthenticated, Unavailable};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{
        Body, Either, Fields, FromFields, Key, Keyed, LookingUp, Paging, Signed, WithinRate,
        account_number, id_of,
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use contracts::{
    Amount, InvalidTimeZoneName, Page, Reference, TimeZoneName,
    account::Recipient,
    standing_order::{CalendarUnit, Every, NewStandingOrder, StandingOrder},
};
use jiff::Timestamp;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

const MOMENT: &str = "a moment is needed, such as 2026-03-01T00:00:00Z";

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(order, all))
        .routes(routes!(cancel))
}

/// To whom, `to_username` or `to_account_number`, how much, and when.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what is read field by field")]
struct StandingOrderBody {
    /// The name of the user to pay.
    to_username: Option<String>,
    /// The account to pay to, instead: 6 to 20 digits.
    #[schema(example = "400012345675")]
    to_account_number: Option<String>,
    /// In minor units; an integer.
    amount: Amount,
    /// The reason, for both sides to see.
    reference: Option<Reference>,
    /// When for the first time: five minutes ago at the earliest, and within ten years.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// What is counted from one time to the next. The 31st is the last day of a shorter month.
    every: CalendarUnit,
    /// How many of it: 1 unless given.
    #[schema(minimum = 1, maximum = 366)]
    count: Option<u16>,
    /// By the clock and the calendar of which place; UTC unless given.
    time_zone: Option<TimeZoneName>,
    /// Not after this moment; a time that is at it is made.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// No more often than this.
    #[schema(minimum = 1)]
    times: Option<u32>,
}

/// A standing order, all but its key.
struct Ordered {
    to: Recipient,
    amount: Amount,
    reference: Option<Reference>,
    first_at: Timestamp,
    every: Every,
    time_zone: TimeZoneName,
    until: Option<Timestamp>,
    times: Option<u32>,
}

impl FromFields for Ordered {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        let (username, number) = ("to_username", "to_account_number");
        let to = match fields.either_text(username, number)? {
            Either::One(name) => Recipient::Username(name),
            Either::Other(digits) => Recipient::AccountNumber(account_number(number, &digits)?),
        };
        let unit = fields.parsed("every", "day, week or month is needed")?;
        let count = fields.optional_count("count")?.unwrap_or(1);
        let count = u16::try_from(count).ok();
        let every = count.and_then(|count| Every::new(count, unit).ok());
        let counted = format!("an integer from 1 to {} is needed", Every::COUNT_MAX);
        let zone = fields.optional_parsed("time_zone", InvalidTimeZoneName::ALLOWED)?;
        Ok(Self {
            to,
            amount: fields.amount("amount")?,
            reference: fields.optional_reference("reference")?,
            first_at: fields.parsed("first_at", MOMENT)?,
            every: every.ok_or_else(|| Problem::field("count", &counted))?,
            time_zone: zone.unwrap_or_else(TimeZoneName::utc),
            until: fields.optional_parsed("until", MOMENT)?,
            times: fields.optional_count("times")?,
        })
    }
}

/// Orders a transfer that is made again and again, once for each key: asked again, it says what came
/// of that order.
#[utoipa::path(
    post,
    path = "/api/transfer/standing-orders",
    tag = "transfer",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 128,
            description = "Names the order: asked again with it, there is no other one.")),
    request_body = StandingOrderBody,
    security(("session" = []), ("bearer" = [])),
    responses(
        (status = OK, body = StandingOrder),
        Bad, Unauthenticated, Missing, Conflict, Frequent, Unavailable
    )
)]
async fn order(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    _: WithinRate<LookingUp>,
    Key(key): Key,
    Body(ordered): Body<Ordered>,
) -> Keyed<StandingOrder> {
    let order = NewStandingOrder {
        to: ordered.to,
        amount: ordered.amount,
        reference: ordered.reference,
        first_at: ordered.first_at,
        every: ordered.every,
        time_zone: ordered.time_zone,
        until: ordered.until,
        times: ordered.times,
        key: key.clone(),
    };
    let ordered = gateway.transfers.order_standing(order).await;
    Keyed(key, ordered.map_err(Problem::from))
}

/// The standing orders of the user who asks, first those that go on, newest first.
#[utoipa::path(
    get,
    path = "/api/transfer/standing-orders",
    tag = "transfer",
    params(Paging),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Page<StandingOrder>), Bad, Unauthenticated, Unavailable)
)]
async fn all(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    paging: Paging,
) -> Result<Json<Page<StandingOrder>>, Problem> {
    let page = gateway.transfers.standing_orders(paging.request()).await?;
    Ok(Json(page))
}

/// Ends a standing order: nothing more is moved by it, but for what is being moved just now.
#[utoipa::path(
    post,
    path = "/api/transfer/standing-orders/{id}/cancel",
    tag = "transfer",
    params(("id" = String, Path, format = Uuid, description = "The order's id.")),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = StandingOrder), Bad, Unauthenticated, Missing, Unavailable)
)]
async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    Path(id): Path<String>,
) -> Result<Json<StandingOrder>, Problem> {
    let id = id_of("id", &id)?;
    Ok(Json(gateway.transfers.cancel_standing_order(id).await?))
}
