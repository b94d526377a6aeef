//! The administrator, by a secret that stays here: the services are shown a pass instead.
//!
//! After a few wrong secrets in a row from one address none from there is looked at for a while; a
//! stranger who guesses elsewhere does not keep the administrator out. The pause is short, for an
//! address may be a proxy's, whom many ask.

use super::client_of;
use crate::{gateway::Gateway, problem::Problem};
use axum::{extract::FromRequestParts, http::request::Parts};
use chassis::guesses::{Paused, Rules};
use contracts::Refused;
use std::{sync::Arc, time::Duration};
use subtle::ConstantTimeEq;

const X_ADMIN_SECRET: &str = "x-admin-secret";

/// The longest pause after wrong secrets is 4 s. Of 16 characters nobody guesses one at this pace.
pub(crate) const ADMIN_GUESSES: Rules = Rules::with_pauses_up_to(Duration::from_secs(4));

/// The request is the administrator's.
pub(crate) struct Admin;

impl FromRequestParts<Arc<Gateway>> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let secret = gateway.admin_secret.as_ref();
        let given = parts.headers.get(X_ADMIN_SECRET);
        let (Some(secret), Some(given)) = (secret, given) else {
            return Err(Refused::Forbidden.into());
        };
        let client = client_of(&parts.extensions, &parts.headers, &gateway.proxies);
        let guess = match gateway.admin_guesses.admit(&client.to_string()).await {
            Ok(guess) => guess,
            Err(paused) => return Err(too_many(paused)),
        };
        // How long a comparison takes must not tell how much of a guess is right.
        if bool::from(secret.reveal().as_bytes().ct_eq(given.as_bytes())) {
            guess.right().await;
            Ok(Self)
        } else {
            guess.wrong().await;
            tracing::warn!("a wrong admin secret");
            Err(Refused::Forbidden.into())
        }
    }
}

fn too_many(paused: Paused) -> Problem {
    let seconds = paused.seconds();
    let detail = format!("Too many wrong secrets, try again in {seconds} s");
    Problem::too_many(detail, seconds)
}
