//! `/notifications` and `/preferences`.

use super::table::{Change, Delivery, DeliveryTable, PreferenceTable, Preferences};
use crate::{
    http::{Body, Page, Problem},
    tokens::{Tokens, User},
};
use axum::{
    Json, Router,
    extract::{FromRef, State as Extract},
    routing::get,
};
use lettre::Address;

const EMAIL_BYTES_MAX: usize = 254;

#[derive(Clone)]
pub(super) struct State {
    pub(super) tokens: Tokens,
    pub(super) deliveries: DeliveryTable,
    pub(super) preferences: PreferenceTable,
}

impl FromRef<State> for Tokens {
    fn from_ref(state: &State) -> Self {
        state.tokens.clone()
    }
}

pub(super) fn routes(state: State) -> Router {
    Router::new()
        .route("/notifications", get(list))
        .route("/preferences", get(read).put(change))
        .with_state(state)
}

async fn list(
    Extract(state): Extract<State>,
    user: User,
    page: Page,
) -> Result<Json<Vec<Delivery>>, Problem> {
    Ok(Json(state.deliveries.list(user.id, page).await?))
}

async fn read(Extract(state): Extract<State>, user: User) -> Result<Json<Preferences>, Problem> {
    Ok(Json(state.preferences.find(user.id).await?))
}

async fn change(
    Extract(state): Extract<State>,
    user: User,
    Body(change): Body<Change>,
) -> Result<Json<Preferences>, Problem> {
    let is_none = |email: &str| email.len() > EMAIL_BYTES_MAX || email.parse::<Address>().is_err();
    if change.email.as_deref().is_some_and(is_none) {
        return Err(Problem::unprocessable("email is no address of mail"));
    }
    Ok(Json(state.preferences.change(user.id, &change).await?))
}
