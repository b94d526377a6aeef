//! `/api/auth`: who somebody is.

use super::openapi::{Bad, Conflict, Guessing, Unauthenticated, Unavailable};
use crate::{
    gateway::Gateway,
    problem::{Detail, Problem},
    request::{
        Body, Client, Either, Fields, FromFields, Key, Keyed, LoggingIn, Registering, Signed,
        WithinRate, session_of,
    },
};
use axum::{Json, extract::State, http::HeaderMap};
use contracts::auth::{
    CLIENT, LoggedIn, Login, LoginName, PasswordChange, Registered, Registration, purpose,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(change_password))
        .routes(routes!(logout))
}

/// Whom to register.
#[derive(ToSchema)]
struct RegisterBody {
    /// 3 to 32 letters, digits, `_`, `-` and `.`, beginning with a letter or digit.
    #[schema(min_length = 3, max_length = 32)]
    username: String,
    /// 8 to 128 characters.
    #[schema(min_length = 8, max_length = 128, format = Password)]
    password: String,
    /// 7 to 15 digits.
    #[schema(min_length = 7, max_length = 15)]
    phone: Option<String>,
}

impl FromFields for RegisterBody {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        Ok(Self {
            username: fields.text("username")?,
            password: fields.text("password")?,
            phone: fields.optional_text("phone")?,
        })
    }
}

/// The user who logs in: `username` or `phone`, and `password`.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what is read field by field")]
struct LoginBody {
    /// The name they registered with.
    username: Option<String>,
    /// The phone they registered with, instead.
    phone: Option<String>,
    /// Their password.
    #[schema(format = Password)]
    password: String,
}

/// What is read of it.
struct Typed {
    who: LoginName,
    password: String,
}

impl FromFields for Typed {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        let who = match fields.either_text("username", "phone")? {
            Either::One(username) => LoginName::Username(username),
            Either::Other(phone) => LoginName::Phone(phone),
        };
        Ok(Self {
            who,
            password: fields.text("password")?,
        })
    }
}

/// Another password instead of the one there is.
#[derive(ToSchema)]
struct PasswordBody {
    /// The one there is.
    #[schema(format = Password)]
    current_password: String,
    /// The other one: 8 to 128 characters.
    #[schema(min_length = 8, max_length = 128, format = Password)]
    new_password: String,
}

impl FromFields for PasswordBody {
    fn from_fields(fields: &Fields) -> Result<Self, Problem> {
        Ok(Self {
            current_password: fields.text("current_password")?,
            new_password: fields.text("new_password")?,
        })
    }
}

/// The password is changed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct PasswordChanged {
    /// Always true.
    ok: bool,
}

/// A session has ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct LoggedOut {
    /// Always true.
    ok: bool,
}

/// Makes a user, and an account with 100000 minor units on it.
#[utoipa::path(
    post,
    path = "/api/auth/register",
    tag = "auth",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 128,
            description = "Names the registration: asked again with it, and the same password and \
                           phone, the answer is the same.")),
    request_body = RegisterBody,
    responses((status = OK, body = Registered), Bad, Conflict, Guessing, Unavailable)
)]
async fn register(
    State(gateway): State<Arc<Gateway>>,
    _: WithinRate<Registering>,
    Client(client): Client,
    Key(key): Key,
    Body(body): Body<RegisterBody>,
) -> Keyed<Registered> {
    let purpose = purpose::of_registration(&body.username);
    let password = match gateway.sealed(&body.password, &purpose) {
        Ok(password) => password,
        Err(problem) => return Keyed(key, Err(problem)),
    };
    let registered = gateway.auth.register(Registration {
        username: body.username,
        password,
        phone: body.phone,
        key: Some(key.clone()),
    });
    let registered = registered.metadata(CLIENT, client.to_string()).await;
    Keyed(key, registered.map_err(Problem::from))
}

/// Begins a session.
#[utoipa::path(
    post,
    path = "/api/auth/login",
    tag = "auth",
    request_body = LoginBody,
    responses((status = OK, body = LoggedIn), Bad, Unauthenticated, Guessing, Unavailable)
)]
async fn login(
    State(gateway): State<Arc<Gateway>>,
    _: WithinRate<LoggingIn>,
    Client(client): Client,
    Body(Typed { who, password }): Body<Typed>,
) -> Result<Json<LoggedIn>, Problem> {
    let password = gateway.sealed(&password, &purpose::of_login(&who))?;
    let logged_in = gateway.auth.login(Login { who, password });
    Ok(Json(logged_in.metadata(CLIENT, client.to_string()).await?))
}

/// Changes the password, and ends all other sessions of the user.
#[utoipa::path(
    post,
    path = "/api/auth/password",
    tag = "auth",
    request_body = PasswordBody,
    security(("session" = []), ("bearer" = [])),
    responses(
        (status = OK, body = PasswordChanged),
        (status = FORBIDDEN, body = Detail, description = "The current password is wrong"),
        Bad, Unauthenticated, Guessing, Unavailable
    )
)]
async fn change_password(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    _: WithinRate<LoggingIn>,
    Client(client): Client,
    headers: HeaderMap,
    Body(body): Body<PasswordBody>,
) -> Result<Json<PasswordChanged>, Problem> {
    let session = session_of(&headers).unwrap_or_default();
    let changed = gateway.auth.change_password(PasswordChange {
        current: gateway.sealed(&body.current_password, &purpose::of_current(session))?,
        new: gateway.sealed(&body.new_password, &purpose::of_new(session))?,
    });
    changed.metadata(CLIENT, client.to_string()).await?;
    Ok(Json(PasswordChanged { ok: true }))
}

/// Ends the session, everywhere.
#[utoipa::path(
    post,
    path = "/api/auth/logout",
    tag = "auth",
    security(("session" = []), ("bearer" = [])),
    responses((status = OK, body = LoggedOut), Unauthenticated, Unavailable)
)]
async fn logout(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
) -> Result<Json<LoggedOut>, Problem> {
    gateway.auth.logout().await?;
    Ok(Json(LoggedOut { ok: true }))
}
