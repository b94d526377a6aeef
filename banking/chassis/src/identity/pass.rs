//! The pass with which one service proves to another that it is one, or that the administrator
//! asks. A JWT signed with Ed25519, by a key that only the program has that issues it, good for a
//! minute.
//!
//! Which program that is follows from the key, and not from what the pass says.

use super::session::LEEWAY_SECONDS;
use crate::keys::{PassKeys, SigningSide};
use jsonwebtoken::{
    Algorithm, Header, Validation,
    errors::{Error, ErrorKind},
    get_current_timestamp,
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
/// Ours have about 250 bytes.
const TOKEN_BYTES_MAX: usize = 1024;

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
    signing: Option<SigningSide>,
    keys: Arc<PassKeys>,
    validation: Arc<Validation>,
    service: InUse,
    admin: InUse,
}

impl Passes {
    pub(super) fn new(program: &str, keys: &PassKeys) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        Self::with(program, &Arc::new(keys.clone()), &Arc::new(validation))
    }

    pub(super) fn of_program(&self, program: &str) -> Self {
        Self::with(program, &self.keys, &self.validation)
    }

    fn with(program: &str, keys: &Arc<PassKeys>, validation: &Arc<Validation>) -> Self {
        let own = keys.signing.iter().find(|(of, _)| *of == program);
        Self {
            program: program.to_owned(),
            signing: own.map(|(_, key)| key.clone()),
            keys: Arc::clone(keys),
            validation: Arc::clone(validation),
            service: InUse::default(),
            admin: InUse::default(),
        }
    }

    /// `true` if this program has a key to issue passes with.
    pub(super) fn can_issue(&self) -> bool {
        self.signing.is_some()
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
        match self.sign(role, now) {
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

    fn sign(&self, role: Role, now: u64) -> Result<String, Error> {
        let signing = self.signing.as_ref().ok_or(ErrorKind::InvalidKeyFormat)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(signing.id.clone());
        let claims = Claims {
            iss: self.program.clone(),
            aud: AUDIENCE.to_owned(),
            role,
            exp: now.saturating_add(GOOD_FOR_SECONDS),
        };
        jsonwebtoken::encode(&header, &claims, &signing.key)
    }

    /// The program that issued a pass, and as whom.
    pub(super) fn verify(&self, token: &str) -> Result<(&'static str, Role), Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ErrorKind::InvalidToken.into());
        }
        let header = jsonwebtoken::decode_header(token)?;
        let mut known = self.keys.verifying.iter();
        let named = known.find(|(_, key)| Some(&key.id) == header.kid.as_ref());
        let (program, key) = named.ok_or(ErrorKind::InvalidSignature)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.key, &self.validation)?.claims;
        if claims.iss != *program {
            return Err(ErrorKind::InvalidIssuer.into());
        }
        Ok((*program, claims.role))
    }
}
