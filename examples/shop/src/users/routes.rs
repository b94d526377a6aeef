//! `/register`, `/login` and `/me`.

use super::{passwords::Passwords, table::UserTable};
use crate::{
    http::{Body, Problem, line},
    price::Price,
    tokens::{Tokens, User},
};
use axum::{
    Form, Json, Router,
    extract::{FromRef, State as Extract, rejection::FormRejection},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

const USERNAME_CHARS_MAX: usize = 64;
const PASSWORD_CHARS_MIN: usize = 6;
const PASSWORD_CHARS_MAX: usize = 128;

#[derive(Clone)]
pub(super) struct State {
    pub(super) tokens: Tokens,
    pub(super) table: UserTable,
    pub(super) passwords: Passwords,
    pub(super) credit: i64,
}

impl FromRef<State> for Tokens {
    fn from_ref(state: &State) -> Self {
        state.tokens.clone()
    }
}

pub(super) fn routes(state: State) -> Router {
    Router::new()
        .route("/register", post(register))
        .route("/login", post(login))
        .route("/me", get(me))
        .with_state(state)
}

/// What is to be registered, and what proves it afterwards.
#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

#[derive(Serialize)]
struct Shown {
    id: i64,
    username: String,
    credit: Price,
}

#[derive(Serialize)]
struct Token {
    access_token: String,
    token_type: &'static str,
}

async fn register(
    Extract(state): Extract<State>,
    Body(wanted): Body<Credentials>,
) -> Result<(StatusCode, Json<Shown>), Problem> {
    let username = line("username", &wanted.username, USERNAME_CHARS_MAX)?;
    let length = wanted.password.chars().count();
    if !(PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&length) {
        return Err(Problem::unprocessable(format!(
            "password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters"
        )));
    }
    let hash = state.passwords.hash(wanted.password).await?;
    let inserted = state.table.insert(&username, &hash, state.credit).await?;
    let taken = || Problem(StatusCode::CONFLICT, "The username is taken".into());
    let shown = Shown {
        id: inserted.ok_or_else(taken)?,
        username,
        credit: Price::of_minor(state.credit),
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn login(
    Extract(state): Extract<State>,
    given: Result<Form<Credentials>, FormRejection>,
) -> Result<Json<Token>, Problem> {
    let Form(given) = given.map_err(|refused| Problem::unprocessable(refused.body_text()))?;
    // PostgreSQL has no such character in a text, and so nobody has it in their name.
    let known = if given.username.contains('\0') {
        None
    } else {
        state.table.by_name(given.username.trim()).await?
    };
    let hash = known.as_ref().map(|known| known.password_hash.as_str());
    let is_right = state.passwords.is_right(given.password, hash).await?;
    let known = known.filter(|_| is_right).ok_or(Problem(
        StatusCode::UNAUTHORIZED,
        "Wrong username or password".into(),
    ))?;
    let (id, username) = (known.id, known.username);
    let token = state.tokens.issue(&User { id, username });
    Ok(Json(Token {
        access_token: token.map_err(|error| Problem::unavailable(&error))?,
        token_type: "bearer",
    }))
}

async fn me(Extract(state): Extract<State>, user: User) -> Result<Json<Shown>, Problem> {
    let found = state.table.by_id(user.id).await?;
    let found = found.ok_or_else(|| Problem::not_found("User"))?;
    Ok(Json(Shown {
        id: found.id,
        username: found.username,
        credit: Price::of_minor(found.credit),
    }))
}
