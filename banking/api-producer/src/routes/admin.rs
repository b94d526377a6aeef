//! `/api/account/admin`: the whole bank, for the administrator. Each service is asked for what it
//! owns, and shown a pass; what the client sent as its secret goes no further.

use super::openapi::{Bad, Forbidden, Guessing, Missing, Unavailable};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{Admin, OfUser, Paging, Searching, user_id},
};
use axum::{
    Json,
    extract::{Path, State},
};
use contracts::{
    Page, account::AdminUser, notification::AdminNotification, transfer::AdminTransfer,
};
use futures_util::future::try_join3;
use replybus::{CallError, client::Call, client::Outcome};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(stats))
        .routes(routes!(users))
        .routes(routes!(user))
        .routes(routes!(transfers))
        .routes(routes!(notifications))
}

/// Totals of the whole bank.
#[derive(Serialize, ToSchema)]
struct BankStats {
    /// Users with an account.
    total_users: u64,
    /// The sum of all balances, in minor units.
    total_balance: i64,
    /// Transfers completed.
    total_transfers: u64,
    /// The sum that they moved, in minor units.
    total_transfer_amount: i64,
    /// Notifications stored.
    total_notifications: u64,
}

/// Totals of the whole bank.
#[utoipa::path(
    get,
    path = "/api/account/admin/stats",
    tag = "admin",
    security(("admin" = [])),
    responses((status = OK, body = BankStats), Forbidden, Guessing, Unavailable)
)]
async fn stats(State(gateway): State<Arc<Gateway>>, _: Admin) -> Result<Json<BankStats>, Problem> {
    let (accounts, transfers, notifications) = try_join3(
        answer(&gateway, gateway.accounts.admin_totals()),
        part(&gateway, gateway.transfers.admin_totals()),
        part(&gateway, gateway.notifications.admin_total()),
    )
    .await?;
    Ok(Json(BankStats {
        total_users: accounts.users,
        total_balance: accounts.balance,
        total_transfers: transfers.transfers,
        total_transfer_amount: transfers.amount,
        total_notifications: notifications,
    }))
}

/// Users.
#[utoipa::path(
    get,
    path = "/api/account/admin/users",
    tag = "admin",
    params(Paging, Searching),
    security(("admin" = [])),
    responses((status = OK, body = Page<AdminUser>), Bad, Forbidden, Guessing, Unavailable)
)]
async fn users(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
    paging: Paging,
    Searching { search }: Searching,
) -> Result<Json<Page<AdminUser>>, Problem> {
    let users = gateway.accounts.admin_users(paging.request(), search);
    answer(&gateway, users).await.map(Json)
}

/// One user.
#[utoipa::path(
    get,
    path = "/api/account/admin/users/{id}",
    tag = "admin",
    params(("id" = String, Path, format = Uuid, description = "The user's id.")),
    security(("admin" = [])),
    responses((status = OK, body = AdminUser), Bad, Forbidden, Guessing, Missing, Unavailable)
)]
async fn user(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Json<AdminUser>, Problem> {
    let user = gateway.accounts.admin_user(user_id("id", &id)?);
    answer(&gateway, user).await.map(Json)
}

/// Transfers, newest first.
#[utoipa::path(
    get,
    path = "/api/account/admin/transfers",
    tag = "admin",
    params(Paging, OfUser, Searching),
    security(("admin" = [])),
    responses((status = OK, body = Page<AdminTransfer>), Bad, Forbidden, Guessing, Unavailable)
)]
async fn transfers(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
    paging: Paging,
    OfUser { user_id }: OfUser,
    Searching { search }: Searching,
) -> Result<Json<Page<AdminTransfer>>, Problem> {
    let page = paging.request();
    let transfers = gateway.transfers.admin_transfers(page, user_id, search);
    part(&gateway, transfers).await.map(Json)
}

/// Notifications, newest first.
#[utoipa::path(
    get,
    path = "/api/account/admin/notifications",
    tag = "admin",
    params(Paging, OfUser),
    security(("admin" = [])),
    responses((status = OK, body = Page<AdminNotification>), Bad, Forbidden, Guessing, Unavailable)
)]
async fn notifications(
    State(gateway): State<Arc<Gateway>>,
    _: Admin,
    paging: Paging,
    OfUser { user_id }: OfUser,
) -> Result<Json<Page<AdminNotification>>, Problem> {
    let page = paging.request();
    let notifications = gateway.notifications.admin_notifications(page, user_id);
    part(&gateway, notifications).await.map(Json)
}

/// The answer of the account service, whose routes these are.
async fn answer<R, T, E>(gateway: &Gateway, call: Call<R>) -> Result<T, Problem>
where
    R: Outcome<Ok = T, Err = E>,
    CallError<E>: Into<Problem>,
{
    let (name, pass) = gateway.identity.admin_pass();
    call.metadata(name, pass).await.map_err(Into::into)
}

/// What another service adds to these routes. Without an answer of its own that part of the bank is
/// not available, however the call failed.
async fn part<R, T, E>(gateway: &Gateway, call: Call<R>) -> Result<T, Problem>
where
    R: Outcome<Ok = T, Err = E>,
    E: Into<Problem>,
{
    let (name, pass) = gateway.identity.admin_pass();
    let within = gateway.limits.admin_part;
    match call.metadata(name, pass).timeout(within).await {
        Ok(part) => Ok(part),
        Err(CallError::Handler(error)) => Err(error.into()),
        Err(CallError::Bus(failure)) => Err(Problem::unanswered(&failure)),
    }
}
