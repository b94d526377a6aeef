//! The rate at which one client may ask for what is dear, or tells who is there: looked at before
//! anything else of the request is read.

use super::client_of;
use crate::{gateway::Gateway, limits::Limits, problem::Problem};
use axum::{extract::FromRequestParts, http::request::Parts};
use chassis::{Platform, rates::RateLimit};
use std::{marker::PhantomData, sync::Arc};

/// The rates of each client.
#[derive(Debug)]
pub(crate) struct Rates {
    registrations: RateLimit,
    logins: RateLimit,
    lookups: RateLimit,
}

impl Rates {
    pub(crate) fn new(platform: &Platform, limits: &Limits) -> Self {
        Self {
            registrations: platform.rate_limit("register", limits.registrations_per_minute),
            logins: platform.rate_limit("login", limits.logins_per_minute),
            lookups: platform.rate_limit("lookup", limits.lookups_per_minute),
        }
    }
}

/// What is asked for at a rate.
pub(crate) trait Rated {
    fn limit(rates: &Rates) -> &RateLimit;
}

/// A registration.
pub(crate) struct Registering;

/// A login, or another proof of a password.
pub(crate) struct LoggingIn;

/// The question whose an account is, or an order that names who is paid: its refusal tells as well
/// whether they are there. Orders are counted before they are carried out, for an answer that is
/// held back afterwards would tell it, too.
pub(crate) struct LookingUp;

impl Rated for Registering {
    fn limit(rates: &Rates) -> &RateLimit {
        &rates.registrations
    }
}

impl Rated for LoggingIn {
    fn limit(rates: &Rates) -> &RateLimit {
        &rates.logins
    }
}

impl Rated for LookingUp {
    fn limit(rates: &Rates) -> &RateLimit {
        &rates.lookups
    }
}

/// The client does not ask for it too often.
pub(crate) struct WithinRate<R>(PhantomData<R>);

impl<R: Rated> FromRequestParts<Arc<Gateway>> for WithinRate<R> {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let client = client_of(&parts.extensions, &parts.headers, &gateway.proxies);
        match R::limit(&gateway.rates).admit(client).await {
            Ok(()) => Ok(Self(PhantomData)),
            Err(paused) => {
                let seconds = paused.seconds();
                let detail = format!("Too many requests, try again in {seconds} s");
                Err(Problem::too_many(detail, seconds))
            }
        }
    }
}
