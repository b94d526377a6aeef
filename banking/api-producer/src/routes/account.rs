//! `/api/account`: a user's own money.

use super::openapi::{Bad, Conflict, Frequent, Missing, Unauthenticated, Unavailable};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{
        AccountQuery, Body, Fields, Filtering, FromFields, Key, Keyed, LookingUp, OfAccount,
        Paging, Signed, WithinRate,
    },
};
use axum::{Json, extract::State};
use contracts::{
    Amount, Page,
    account::{Balance, Holder, Profile, StatementEntry},
};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(me))
        .routes(routes!(balance))
        .routes(routes!(lookup))
        .routes(routes!(deposit))
        .routes(routes!(withdraw))
        .routes(routes!(statement))
}

/// The amount to pay in or out.
#[derive(ToSchema)]
pub(super) struct AmountBody {
    /// In minor units; an integer.
    pub(super) amount: Amount,
}

impl FromFields for AmountBody {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        Ok(Self {
            amount: fields.amount("amount")?,
        })
    }
}

/// The account of the user who asks.
#[utoipa::path(
    get,
    path = "/api/account/me",
    tag = "account",
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Profile), Unauthenticated, Unavailable)
)]
async fn me(State(gateway): State<Arc<Gateway>>, _: Signed) -> Result<Json<Profile>, Problem> {
    Ok(Json(gateway.accounts.me().await?))
}

/// The balance of the user who asks.
#[utoipa::path(
    get,
    path = "/api/account/balance",
    tag = "account",
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Balance), Unauthenticated, Unavailable)
)]
async fn balance(State(gateway): State<Arc<Gateway>>, _: Signed) -> Result<Json<Balance>, Problem> {
    Ok(Json(gateway.accounts.balance().await?))
}

/// The holder of an account.
#[utoipa::path(
    get,
    path = "/api/account/lookup",
    tag = "account",
    params(AccountQuery),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Holder), Bad, Unauthenticated, Missing, Frequent, Unavailable)
)]
async fn lookup(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    _: WithinRate<LookingUp>,
    OfAccount(account): OfAccount,
) -> Result<Json<Holder>, Problem> {
    Ok(Json(gateway.accounts.lookup(account).await?))
}

/// Pays in, once for each key.
#[utoipa::path(
    post,
    path = "/api/account/deposit",
    tag = "account",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 128,
            description = "Names the deposit: asked again with it, nothing more is paid in.")),
    request_body = AmountBody,
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Balance), Bad, Unauthenticated, Conflict, Unavailable)
)]
pub(super) async fn deposit(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    Key(key): Key,
    Body(AmountBody { amount }): Body<AmountBody>,
) -> Keyed<Balance> {
    let paid_in = gateway.accounts.deposit(amount, key.clone()).await;
    Keyed(key, paid_in.map_err(Problem::from))
}

/// Pays out, once for each key.
#[utoipa::path(
    post,
    path = "/api/account/withdraw",
    tag = "account",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 128,
            description = "Names the withdrawal: asked again with it, nothing more is paid out.")),
    request_body = AmountBody,
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Balance), Bad, Unauthenticated, Conflict, Unavailable)
)]
pub(super) async fn withdraw(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    Key(key): Key,
    Body(AmountBody { amount }): Body<AmountBody>,
) -> Keyed<Balance> {
    let paid_out = gateway.accounts.withdraw(amount, key.clone()).await;
    Keyed(key, paid_out.map_err(Problem::from))
}

/// The entries on the account of the user who asks, newest first; all, or those that are looked
/// for.
#[utoipa::path(
    get,
    path = "/api/account/statement",
    tag = "account",
    params(Paging, Filtering),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Page<StatementEntry>), Bad, Unauthenticated, Unavailable)
)]
pub(super) async fn statement(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    paging: Paging,
    filtering: Filtering,
) -> Result<Json<Page<StatementEntry>>, Problem> {
    let statement = gateway
        .accounts
        .statement(paging.request(), filtering.filter());
    Ok(Json(statement.await?))
}
