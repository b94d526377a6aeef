//! `/orders` and `/dashboard`.

use super::{
    articles::ArticleView,
    dashboard,
    order::{Order, Reason, Shown, Status, Step},
    saga::Saga,
    table::OrderTable,
};
use crate::{
    contracts::NotificationsClient,
    http::{Body, Id, Page, Problem, to_the_end},
    tokens::{Tokens, User},
};
use axum::{
    Json, Router,
    extract::{FromRef, State as Extract},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde::Deserialize;
use std::error::Error;

/// Pieces of one order.
const QUANTITY_MAX: i64 = 10_000;
const REQUEST_KEY_BYTES_MAX: usize = 128;
/// An order whose key is taken may be given up, and its key with it, before it is looked at; the key
/// is free then.
const TRIES_MAX: u32 = 2;

#[derive(Clone)]
pub(super) struct State {
    pub(super) tokens: Tokens,
    pub(super) table: OrderTable,
    pub(super) saga: Saga,
    pub(super) articles: ArticleView,
    pub(super) notifications: NotificationsClient,
}

impl FromRef<State> for Tokens {
    fn from_ref(state: &State) -> Self {
        state.tokens.clone()
    }
}

pub(super) fn routes(state: State) -> Router {
    Router::new()
        .route("/orders", get(list).post(create))
        .route("/orders/{id}", get(read).put(change))
        .route("/dashboard", get(dashboard::show))
        .with_state(state)
}

#[derive(Deserialize)]
struct Wanted {
    product_id: i64,
    quantity: i64,
}

#[derive(Deserialize)]
struct Turned {
    status: String,
}

async fn create(
    Extract(state): Extract<State>,
    user: User,
    headers: HeaderMap,
    Body(wanted): Body<Wanted>,
) -> Result<(StatusCode, Json<Shown>), Problem> {
    if !(1..=QUANTITY_MAX).contains(&wanted.quantity) {
        let allowed = format!("quantity is 1 to {QUANTITY_MAX}");
        return Err(Problem::unprocessable(allowed));
    }
    let request = request_key(&headers)?;
    let placed = to_the_end(async move {
        let id = state.table.next_id().await?;
        let order = Order::new(
            id,
            user.id,
            user.username,
            wanted.product_id,
            wanted.quantity,
        );
        place(&state, order, request.as_deref()).await
    });
    answer(placed.await?)
}

/// Places an order, or finds the one of its request.
async fn place(state: &State, order: Order, request: Option<&str>) -> Result<Order, Problem> {
    for _ in 0..TRIES_MAX {
        let inserted = state.table.insert(&order, request).await;
        if inserted.map_err(|error| unknown(&error))? {
            let placed = state.saga.place(order).await;
            return placed.map_err(|error| unknown(&error));
        }
        let request = request.unwrap_or_default();
        let before = state.table.by_request(order.user_id, request).await;
        if let Some(before) = before.map_err(|error| unknown(&error))? {
            return same(before, &order);
        }
    }
    let detail = "The order of this Idempotency-Key was given up just now, try again";
    Err(Problem(StatusCode::SERVICE_UNAVAILABLE, detail.into()))
}

/// The order that a request made before, unless it asks for another one now.
fn same(before: Order, asked: &Order) -> Result<Order, Problem> {
    let conflict = |detail: &'static str| Err(Problem(StatusCode::CONFLICT, detail.into()));
    if (before.product_id, before.quantity) != (asked.product_id, asked.quantity) {
        return conflict("Idempotency-Key was already used for another order");
    }
    if matches!(before.step, Step::Reserve | Step::Charge) {
        return conflict("The order of this Idempotency-Key is under way");
    }
    Ok(before)
}

/// The answer when the table of orders is away: there may be an order, and whoever takes it up
/// brings it to its end.
fn unknown(error: &sqlx::Error) -> Problem {
    let error: &dyn Error = error;
    tracing::warn!(error, "it is not known what becomes of an order");
    let detail = "It is not known whether it was bought: ask again with the same Idempotency-Key";
    Problem(StatusCode::GATEWAY_TIMEOUT, detail.into())
}

/// The answer to who asks for an order.
fn answer(order: Order) -> Result<(StatusCode, Json<Shown>), Problem> {
    let (status, detail) = match (order.status, order.reason) {
        (Status::Rejected, Some(Reason::NoProduct)) => (StatusCode::NOT_FOUND, "Product not found"),
        (Status::Rejected, Some(Reason::NotEnoughMoney)) => {
            let detail = "There is not enough money in the wallet";
            (StatusCode::PAYMENT_REQUIRED, detail)
        }
        (Status::Rejected, Some(Reason::NotEnoughStock)) => {
            (StatusCode::CONFLICT, "Not enough stock")
        }
        (Status::Rejected, _) => {
            let detail = "A service is away; nothing was bought, try again later";
            (StatusCode::SERVICE_UNAVAILABLE, detail)
        }
        _ => return Ok((StatusCode::CREATED, Json(order.shown()))),
    };
    Err(Problem(status, detail.into()))
}

fn request_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(given) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = given.to_str().unwrap_or_default().trim();
    if !(1..=REQUEST_KEY_BYTES_MAX).contains(&key.len()) {
        return Err(Problem::unprocessable(format!(
            "Idempotency-Key has 1 to {REQUEST_KEY_BYTES_MAX} printable ASCII characters"
        )));
    }
    Ok(Some(key.to_owned()))
}

async fn list(
    Extract(state): Extract<State>,
    user: User,
    page: Page,
) -> Result<Json<Vec<Shown>>, Problem> {
    let orders = state.table.list(user.id, page).await?;
    Ok(Json(orders.into_iter().map(Order::shown).collect()))
}

async fn read(
    Extract(state): Extract<State>,
    user: User,
    Id(id): Id,
) -> Result<Json<Shown>, Problem> {
    Ok(Json(owned(&state, &user, id).await?.shown()))
}

async fn owned(state: &State, user: &User, id: i64) -> Result<Order, Problem> {
    let found = state.table.find(id).await?;
    let order = found.ok_or_else(|| Problem::not_found("Order"))?;
    if order.user_id != user.id {
        let detail = "The order is somebody else's";
        return Err(Problem(StatusCode::FORBIDDEN, detail.into()));
    }
    Ok(order)
}

async fn change(
    Extract(state): Extract<State>,
    user: User,
    Id(id): Id,
    Body(turned): Body<Turned>,
) -> Result<Json<Shown>, Problem> {
    let wanted: Result<Status, _> = turned.status.parse();
    let wanted = wanted.map_err(|allowed| Problem::unprocessable(format!("status: {allowed}")))?;
    let order = owned(&state, &user, id).await?;
    let from = order.status;
    let mut turned = order.clone();
    match (from, wanted) {
        (from, wanted) if from == wanted => return Ok(Json(order.shown())),
        (Status::Confirmed, Status::Cancelled) => {
            turned.end(wanted, Reason::ByUser, Step::Undo);
        }
        (Status::Confirmed, Status::Shipped) | (Status::Shipped, Status::Delivered) => {
            turned.status = wanted;
        }
        _ => return Err(not_turned(from, wanted)),
    }
    let turning = to_the_end(async move {
        if !state.table.turn(&turned, from).await? {
            return Err(not_turned(from, wanted));
        }
        // What is not given back now is by recovery.
        if let Err(error) = state.saga.drive(turned.clone()).await {
            tracing::warn!(order = id, %error, "an order is not undone yet");
        }
        Ok(turned)
    });
    Ok(Json(turning.await?.shown()))
}

fn not_turned(from: Status, to: Status) -> Problem {
    let (from, to) = (from.as_str(), to.as_str());
    let detail = format!("An order that is {from} does not become {to}");
    Problem(StatusCode::CONFLICT, detail.into())
}
