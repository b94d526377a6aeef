//! `/api/dashboard`: one answer out of three services, asked at the same time.

use super::openapi::{Unauthenticated, Unavailable};
use crate::{gateway::Gateway, problem::Problem, request::Signed};
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use contracts::{
    Page, PageRequest,
    account::Profile,
    notification::{Notification, PAGE_SIZE},
    transfer::Transaction,
};
use replybus::{CallError, client::Call, client::Outcome};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// Transfers that it shows; a page of its own shows the rest.
const TRANSACTIONS: u32 = 10;

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default().routes(routes!(dashboard))
}

/// The first things that a user wants to see.
#[derive(Serialize, ToSchema)]
struct Dashboard {
    /// Their account.
    account: Part<Profile>,
    /// Their newest transfers.
    transactions: Part<Page<Transaction>>,
    /// Their newest notifications.
    notifications: Part<Vec<Notification>>,
}

/// A part of an answer, which can fail alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Part<T> {
    /// It came.
    Here(T),
    /// It did not.
    Failed(Failed),
}

/// A part that did not come.
#[derive(Serialize, ToSchema)]
struct Failed {
    /// Why, as a sentence.
    error: String,
}

/// Account, newest transfers and newest notifications of the user who asks. A part that fails is
/// `{"error": ".."}`; the rest still comes. If none comes, the account's failure is the answer.
#[utoipa::path(
    get,
    path = "/api/dashboard",
    tag = "dashboard",
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = Dashboard), Unauthenticated, Unavailable)
)]
async fn dashboard(State(gateway): State<Arc<Gateway>>, _: Signed) -> Response {
    let newest = PageRequest::new(1, TRANSACTIONS);
    let (account, transactions, notifications) = tokio::join!(
        part(&gateway, gateway.accounts.me()),
        part(&gateway, gateway.transfers.transactions(newest)),
        part(
            &gateway,
            gateway.notifications.list(PageRequest::new(1, PAGE_SIZE))
        ),
    );
    let problems = [
        account.as_ref().err(),
        transactions.as_ref().err(),
        notifications.as_ref().err(),
    ];
    let refused = |problem: &&Problem| problem.status() == StatusCode::UNAUTHORIZED;
    // A session that one service refuses is none, whatever another still believes.
    if let Some(refused) = problems.into_iter().flatten().find(refused) {
        return refused.clone().into_response();
    }
    if let [Some(account), Some(_), Some(_)] = problems {
        return account.clone().into_response();
    }
    let dashboard = Dashboard {
        account: account.into(),
        transactions: transactions.into(),
        notifications: notifications.into(),
    };
    Json(dashboard).into_response()
}

async fn part<R, T, E>(gateway: &Gateway, call: Call<R>) -> Result<T, Problem>
where
    R: Outcome<Ok = T, Err = E>,
    CallError<E>: Into<Problem>,
{
    let within = gateway.limits.dashboard_part;
    call.timeout(within).await.map_err(Into::into)
}

impl<T> From<Result<T, Problem>> for Part<T> {
    fn from(part: Result<T, Problem>) -> Self {
        match part {
            Ok(part) => Self::Here(part),
            Err(problem) => Self::Failed(Failed {
                error: problem.into_detail(),
            }),
        }
    }
}
