//! `/products`.

use super::{
    cache::{Kept, ProductCache},
    table::{Change, Product, ProductTable},
};
use crate::{
    http::{Body, Id, Page, Problem, line, lines, to_the_end},
    price::Price,
    tokens::{Tokens, User},
};
use axum::{
    Json, Router,
    extract::{FromRef, State as Extract},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

const NAME_CHARS_MAX: usize = 200;
const DESCRIPTION_CHARS_MAX: usize = 2000;
/// Pieces of one product.
const QUANTITY_MAX: i64 = 1_000_000_000;

#[derive(Clone)]
pub(super) struct State {
    pub(super) tokens: Tokens,
    pub(super) table: ProductTable,
    pub(super) cache: ProductCache,
}

impl FromRef<State> for Tokens {
    fn from_ref(state: &State) -> Self {
        state.tokens.clone()
    }
}

pub(super) fn routes(state: State) -> Router {
    Router::new()
        .route("/products", get(list).post(create))
        .route("/products/{id}", get(read).put(update).delete(remove))
        .with_state(state)
}

/// A product as it is sent: all of it, or what is to be changed.
#[derive(Deserialize)]
struct Sent {
    name: Option<String>,
    description: Option<String>,
    price: Option<Price>,
    quantity: Option<i64>,
}

impl Sent {
    fn checked(self) -> Result<Change, Problem> {
        let description = self
            .description
            .map(|text| lines("description", text, DESCRIPTION_CHARS_MAX));
        let description = description.transpose()?;
        let quantity = self.quantity;
        if quantity.is_some_and(|quantity| !(0..=QUANTITY_MAX).contains(&quantity)) {
            return Err(Problem::unprocessable(format!(
                "quantity is 0 to {QUANTITY_MAX}"
            )));
        }
        let name = self.name.map(|name| line("name", &name, NAME_CHARS_MAX));
        Ok(Change {
            name: name.transpose()?,
            description,
            price: self.price,
            quantity,
        })
    }
}

async fn create(
    Extract(state): Extract<State>,
    _: User,
    Body(sent): Body<Sent>,
) -> Result<(StatusCode, Json<Product>), Problem> {
    let sent = sent.checked()?;
    let missing = |name| Problem::unprocessable(format!("{name} is missing"));
    let mut product = Product {
        id: 0,
        name: sent.name.ok_or_else(|| missing("name"))?,
        description: sent.description.unwrap_or_default(),
        price: sent.price.ok_or_else(|| missing("price"))?,
        quantity: sent.quantity.ok_or_else(|| missing("quantity"))?,
    };
    let creating = to_the_end(async move {
        state.table.insert(&mut product).await?;
        // Of a database that was made anew, Redis may hold what had the number before.
        state.cache.invalidate(product.id).await;
        Ok(product)
    });
    Ok((StatusCode::CREATED, Json(creating.await?)))
}

async fn list(Extract(state): Extract<State>, page: Page) -> Result<Json<Vec<Product>>, Problem> {
    Ok(Json(state.table.list(page).await?))
}

async fn read(Extract(state): Extract<State>, Id(id): Id) -> Result<Response, Problem> {
    let token = match state.cache.get(id).await {
        Kept::Hit(product) => return Ok(([("x-cache", "HIT")], Json(product)).into_response()),
        Kept::Miss(token) => token,
    };
    let found = state.table.find(id).await?;
    let product = found.ok_or_else(|| Problem::not_found("Product"))?;
    if let Some(token) = token {
        state.cache.put(&product, &token).await;
    }
    Ok(([("x-cache", "MISS")], Json(product)).into_response())
}

async fn update(
    Extract(state): Extract<State>,
    _: User,
    Id(id): Id,
    Body(sent): Body<Sent>,
) -> Result<Json<Product>, Problem> {
    let change = sent.checked()?;
    let updating = to_the_end(async move {
        let updated = state.table.update(id, change).await?;
        state.cache.invalidate(id).await;
        Ok(updated)
    });
    let product = updating
        .await?
        .ok_or_else(|| Problem::not_found("Product"))?;
    Ok(Json(product))
}

async fn remove(
    Extract(state): Extract<State>,
    _: User,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    let removing = to_the_end(async move {
        let deleted = state.table.delete(id).await?;
        state.cache.invalidate(id).await;
        Ok(deleted)
    });
    if !removing.await? {
        return Err(Problem::not_found("Product"));
    }
    Ok(StatusCode::NO_CONTENT)
}
