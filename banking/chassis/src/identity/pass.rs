//! The pass with which one service proves to another that it is one, or that the administrator
//! asks. A JWT signed with the secret that only services have (HMAC-SHA-256), good for a minute.
//!
//! One secret for all: nobody else can make a pass, but each service could make another's. What a
//! pass is asked for by name keeps services from mistakes, not from a service that was taken over.

use super::session::LEEWAY_SECONDS;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::Error, get_current_timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// The metadata that carries the pass.
pub(super) const PASS: &str = "pass";

const AUDIENCE: &str = "bank-services";
/// A request can wait in a queue for the longest timeout of a contract, which is shorter.
const GOOD_FOR_SECONDS: u64 = 60;
/// After so long a new one is made.
const USED_FOR_SECONDS: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Service,
    Admin,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    role: Role,
    exp: u64,
}

/// A pass in use, and since when.
type InUse = Mutex<Option<(u64, String)>>;

pub(super) struct Passes {
    program: String,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Arc<Validation>,
    service: InUse,
    admin: InUse,
}

impl Passes {
    pub(super) fn new(program: &str, secret: &[u8; 32]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Self {
            program: program.to_owned(),
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
            validation: Arc::new(validation),
            service: InUse::default(),
            admin: InUse::default(),
        }
    }

    pub(super) fn of_program(&self, program: &str) -> Self {
        Self {
            program: program.to_owned(),
            signing: self.signing.clone(),
            verifying: self.verifying.clone(),
            validation: Arc::clone(&self.validation),
            service: InUse::default(),
            admin: InUse::default(),
        }
    }

    pub(super) fn issue(&self, role: Role) -> String {
        let in_use = match role {
            Role::Service => &self.service,
            Role::Admin => &self.admin,
        };
        let mut in_use = in_use.lock().unwrap_or_else(PoisonError::into_inner);
        let now = get_current_timestamp();
        if let Some((since, pass)) = &*in_use
            && now.abs_diff(*since) < USED_FOR_SECONDS
        {
            return pass.clone();
        }
        let claims = Claims {
            iss: self.program.clone(),
            aud: AUDIENCE.to_owned(),
            role,
            exp: now.saturating_add(GOOD_FOR_SECONDS),
        };
        match jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing) {
            Ok(pass) => {
                *in_use = Some((now, pass.clone()));
                pass
            }
            Err(error) => {
                // An empty one is refused by whoever gets it.
                tracing::error!(%error, "can't issue a pass");
                String::new()
            }
        }
    }

    pub(super) fn verify(&self, token: &str) -> Result<(String, Role), Error> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation)?;
        Ok((claims.claims.iss, claims.claims.role))
    }
}
