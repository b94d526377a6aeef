//! `/articles`.

use super::table::{Article, ArticleTable, Draft, NoProduct};
use crate::{
    http::{Body, Id, Page, Problem, line, lines, to_the_end},
    tokens::{Tokens, User},
};
use axum::{
    Json, Router,
    extract::{FromRef, State as Extract},
    http::StatusCode,
    routing::get,
};
use serde::Deserialize;
use std::collections::BTreeSet;

const TITLE_CHARS_MAX: usize = 200;
const CONTENT_CHARS_MAX: usize = 10_000;
/// Products that one article is about.
const PRODUCTS_MAX: usize = 10;

#[derive(Clone)]
pub(in crate::products) struct State {
    pub(in crate::products) tokens: Tokens,
    pub(in crate::products) table: ArticleTable,
}

impl FromRef<State> for Tokens {
    fn from_ref(state: &State) -> Self {
        state.tokens.clone()
    }
}

pub(in crate::products) fn routes(state: State) -> Router {
    Router::new()
        .route("/articles", get(list).post(create))
        .route("/articles/{id}", get(read))
        .with_state(state)
}

#[derive(Deserialize)]
struct Sent {
    title: String,
    content: String,
    product_ids: BTreeSet<i64>,
}

async fn create(
    Extract(state): Extract<State>,
    author: User,
    Body(sent): Body<Sent>,
) -> Result<(StatusCode, Json<Article>), Problem> {
    if !(1..=PRODUCTS_MAX).contains(&sent.product_ids.len()) {
        let allowed = format!("product_ids has 1 to {PRODUCTS_MAX} different ids");
        return Err(Problem::unprocessable(allowed));
    }
    if sent.content.trim().is_empty() {
        return Err(Problem::unprocessable("content is empty"));
    }
    let draft = Draft {
        author,
        title: line("title", &sent.title, TITLE_CHARS_MAX)?,
        content: lines("content", sent.content, CONTENT_CHARS_MAX)?,
        products: sent.product_ids,
    };
    let inserted = to_the_end(async move { Ok(state.table.insert(draft).await?) });
    let not_found = |NoProduct(id)| Problem::not_found(&format!("Product {id}"));
    let article = inserted.await?.map_err(not_found)?;
    Ok((StatusCode::CREATED, Json(article)))
}

async fn list(Extract(state): Extract<State>, page: Page) -> Result<Json<Vec<Article>>, Problem> {
    Ok(Json(state.table.list(page).await?))
}

async fn read(Extract(state): Extract<State>, Id(id): Id) -> Result<Json<Article>, Problem> {
    let found = state.table.find(id).await?;
    Ok(Json(found.ok_or_else(|| Problem::not_found("Article"))?))
}
