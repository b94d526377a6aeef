//! The administrator, by a secret that stays here: the services are shown a pass instead.

use crate::{gateway::Gateway, problem::Problem};
use axum::{extract::FromRequestParts, http::request::Parts};
use contracts::Refused;
use std::sync::Arc;
use subtle::ConstantTimeEq;

const X_ADMIN_SECRET: &str = "x-admin-secret";

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
        // How long a comparison takes must not tell how much of a guess is right.
        if bool::from(secret.reveal().as_bytes().ct_eq(given.as_bytes())) {
            Ok(Self)
        } else {
            tracing::warn!("a wrong admin secret");
            Err(Refused::Forbidden.into())
        }
    }
}
