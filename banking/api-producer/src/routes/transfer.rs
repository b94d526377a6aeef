//! `/api/transfer`: money from one user to another.

use super::openapi::{Bad, Conflict, Frequent, Missing, Unauthenticated, Unavailable};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{
        Body, Either, Fields, FromFields, Key, Keyed, LookingUp, Paging, Signed, WithinRate,
        account_number,
    },
};
use axum::{Json, extract::State};
use contracts::{
    Amount, Page, Reference,
    account::Recipient,
    transfer::{Transaction, TransferOrder, TransferReceipt},
};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(transfer))
        .routes(routes!(transactions))
}

/// To whom, `to_username` or `to_account_number`, and how much.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what is read field by field")]
struct TransferBody {
    /// The name of the user to pay.
    to_username: Option<String>,
    /// The account to pay to, instead: 6 to 20 digits.
    #[schema(example = "400012345675")]
    to_account_number: Option<String>,
    /// In minor units; an integer.
    amount: Amount,
    /// The reason, for both sides to see.
    reference: Option<Reference>,
}

/// A transfer, all but its key.
struct Ordered {
    to: Recipient,
    amount: Amount,
    reference: Option<Reference>,
}

impl FromFields for Ordered {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        let (username, number) = ("to_username", "to_account_number");
        let to = match fields.either_text(username, number)? {
            Either::One(name) => Recipient::Username(name),
            Either::Other(digits) => Recipient::AccountNumber(account_number(number, &digits)?),
        };
        Ok(Self {
            to,
            amount: fields.amount("amount")?,
            reference: fields.optional_reference("reference")?,
        })
    }
}

/// Moves money to another user, once for each key: asked again, it gives the same answer.
#[utoipa::path(
    post,
    path = "/api/transfer/transfer",
    tag = "transfer",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 128,
            description = "Names the transfer: asked again with it, nothing more is moved.")),
    request_body = TransferBody,
    security(("session" = []), ("bearer" = [])),
    responses(
        (status = OK, body = TransferReceipt),
        Bad, Unauthenticated, Missing, Conflict, Frequent, Unavailable
    )
)]
async fn transfer(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    _: WithinRate<LookingUp>,
    Key(key): Key,
    Body(ordered): Body<Ordered>,
) -> Keyed<TransferReceipt> {
    let order = TransferOrder {
        to: ordered.to,
        amount: ordered.amount,
        reference: ordered.reference,
        key: key.clone(),
    };
    let moved = gateway.transfers.transfer(order).await;
    Keyed(key, moved.map_err(Problem::from))
}

/// Transfers that the user who asks made or was sent, newest first.
#[utoipa::path(
    get,
    path = "/api/transfer/transactions",
    tag = "transfer",
    params(Paging),
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Page<Transaction>), Bad, Unauthenticated, Unavailable)
)]
async fn transactions(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    paging: Paging,
) -> Result<Json<Page<Transaction>>, Problem> {
    let page = gateway.transfers.transactions(paging.request()).await?;
    Ok(Json(page))
}
