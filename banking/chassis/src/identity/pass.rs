//! The pass with which one service proves to another that it is one, or that the administrator
//! asks. A JWT signed with Ed25519, by a key that only the program has that issues it, good for a
//! minute.
//!
//! Which program that is follows from the key, and not from what the pass says.

use super::{remembered::Remembered, session::LEEWAY_SECONDS, signer, signer::Signer};
use crate::keys::PassKeys;
use jsonwebtoken::{
    Algorithm, Validation,
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

impl signer::Claims for Claims {
    const TYPE: Option<&'static str> = None;
    /// Ours have about 250.
    const TOKEN_BYTES_MAX: usize = 1024;

    fn issuer(&self) -> &str {
        &self.iss
    }
}

/// A pass in use, and since when.
type InUse = Mutex<Option<(u64, String)>>;

pub(super) struct Passes {
    signer: Signer,
    service: InUse,
    admin: InUse,
    remembered: Arc<Remembered<(&'static str, Role)>>,
}

impl Passes {
    pub(super) fn new(program: &str, keys: &PassKeys) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let signer = Signer::new(program, keys, validation);
        Self::by(signer, Arc::new(Remembered::new()))
    }

    pub(super) fn of_program(&self, program: &str) -> Self {
        let signer = self.signer.of_program(program);
        Self::by(signer, Arc::clone(&self.remembered))
    }

    fn by(signer: Signer, remembered: Arc<Remembered<(&'static str, Role)>>) -> Self {
        Self {
            signer,
            remembered,
            service: InUse::default(),
            admin: InUse::default(),
        }
    }

    /// `true` if this program has a key to issue passes with.
    pub(super) fn can_issue(&self) -> bool {
        self.signer.can_sign()
    }

    pub(super) fn derived_key(&self, purpose: &str) -> [u8; 32] {
        self.signer.derived_key(purpose)
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
        self.signer.sign(&Claims {
            iss: self.signer.program().to_owned(),
            aud: AUDIENCE.to_owned(),
            role,
            exp: now.saturating_add(GOOD_FOR_SECONDS),
        })
    }

    /// The program that issued a pass, and as whom.
    pub(super) fn verify(&self, token: &str) -> Result<(&'static str, Role), Error> {
        if token.len() > <Claims as signer::Claims>::TOKEN_BYTES_MAX {
            return Err(ErrorKind::InvalidToken.into());
        }
        self.remembered.verified(token, |token| {
            let (program, claims) = self.signer.verify::<Claims>(token)?;
            let until = claims.exp.saturating_add(LEEWAY_SECONDS);
            Ok(((program, claims.role), until))
        })
    }
}
