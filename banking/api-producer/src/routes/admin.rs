//! `/api/account/admin`: the whole bank, for the administrator. A call shows the services a pass;
//! what the client sent as its secret goes no further.

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
    Page,
    account::{AdminUser, BankStats},
    notification::AdminNotification,
    transfer::AdminTransfer,
};
use std::sync::Arc;
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
#[utoipa::path(
    get,
    path = "/api/account/admin/stats",
    tag = "admin",
    security(("admin" = [])),
    responses((status = OK, body = BankStats), Forbidden, Guessing, Unavailable)
)]
async fn stats(State(gateway): State<Arc<Gateway>>, _: Admin) -> Result<Json<BankStats>, Problem> {
    let (name, pass) = gateway.identity.admin_pass();
    let stats = gateway.accounts.admin_stats().metadata(name, pass);
    Ok(Json(stats.await?))
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
    let (name, pass) = gateway.identity.admin_pass();
    let users = gateway.accounts.admin_users(paging.request(), search);
    Ok(Json(users.metadata(name, pass).await?))
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
    let (name, pass) = gateway.identity.admin_pass();
    let user = gateway.accounts.admin_user(user_id("id", &id)?);
    Ok(Json(user.metadata(name, pass).await?))
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
    let (name, pass) = gateway.identity.admin_pass();
    let page = paging.request();
    let transfers = gateway.accounts.admin_transfers(page, user_id, search);
    Ok(Json(transfers.metadata(name, pass).await?))
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
    let (name, pass) = gateway.identity.admin_pass();
    let page = paging.request();
    let notifications = gateway.accounts.admin_notifications(page, user_id);
    Ok(Json(notifications.metadata(name, pass).await?))
}
