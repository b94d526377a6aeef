//! `/api/transactions` and `/api/notifications`: what other routes do, under the names by which
//! clients of other banks call it.

use super::{
    account::{self, AmountBody},
    notifications,
    openapi::{Bad, Conflict, Unauthenticated, Unavailable},
};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{Body, Fields, Filtering, FromFields, Key, Keyed, Paging, Signed},
};
use axum::{Json, extract::State};
use contracts::{
    Amount, Page,
    account::{Balance, StatementEntry},
    notification::Notification,
};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(entries, pay))
        .routes(routes!(list))
}

/// Which way the money goes, over the edge of the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "lowercase")]
enum TransactionType {
    /// In.
    Deposit,
    /// Out.
    Withdraw,
}

/// The amount to pay in or out, and which of the two.
#[derive(ToSchema)]
struct TransactionBody {
    /// Which way.
    #[schema(rename = "type", inline)]
    kind: TransactionType,
    /// In minor units; an integer.
    amount: Amount,
}

impl FromFields for TransactionBody {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        let name = "type";
        let kind = match fields.text(name)?.as_str() {
            "deposit" => TransactionType::Deposit,
            "withdraw" => TransactionType::Withdraw,
            _ => return Err(Problem::field(name, "deposit or withdraw is needed")),
        };
        Ok(Self {
            kind,
            amount: fields.amount("amount")?,
        })
    }
}

/// Pays in or out, once for each key; as `/api/account/deposit` and `/api/account/withdraw`.
#[utoipa::path(
    post,
    path = "/api/transactions",
    tag = "account",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 128,
            description = "Names the transaction: asked again with it, nothing more is paid.")),
    request_body = TransactionBody,
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Balance), Bad, Unauthenticated, Conflict, Unavailable)
)]
async fn pay(
    gateway: State<Arc<Gateway>>,
    signed: Signed,
    key: Key,
    Body(TransactionBody { kind, amount }): Body<TransactionBody>,
) -> Keyed<Balance> {
    let amount = Body(AmountBody { amount });
    match kind {
        TransactionType::Deposit => account::deposit(gateway, signed, key, amount).await,
        TransactionType::Withdraw => account::withdraw(gateway, signed, key, amount).await,
    }
}

/// The entries on the account of the user who asks, newest first; as `/api/account/statement`.
#[utoipa::path(
    get,
    path = "/api/transactions",
    tag = "account",
    params(Paging, Filtering),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Page<StatementEntry>), Bad, Unauthenticated, Unavailable)
)]
async fn entries(
    gateway: State<Arc<Gateway>>,
    signed: Signed,
    paging: Paging,
    filtering: Filtering,
) -> Result<Json<Page<StatementEntry>>, Problem> {
    account::statement(gateway, signed, paging, filtering).await
}

/// A page of those of the user who asks, newest first; as `/api/notifications/notifications`.
#[utoipa::path(
    get,
    path = "/api/notifications",
    tag = "notifications",
    params(Paging),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Vec<Notification>), Bad, Unauthenticated, Unavailable)
)]
async fn list(
    gateway: State<Arc<Gateway>>,
    signed: Signed,
    paging: Paging,
) -> Result<Json<Vec<Notification>>, Problem> {
    notifications::list(gateway, signed, paging).await
}
