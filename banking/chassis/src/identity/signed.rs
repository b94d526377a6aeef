//! What a program tells everybody, in a form that shows who says so: a JWT signed as passes are, by
//! the key that only that program has. It does not expire, for what happened stays true; it is no
//! pass, for it is meant for others.

use crate::keys::{PassKeys, SigningSide};
use contracts::{
    Movement, TransactionCompleted,
    program::{ACCOUNT_SERVICE, TRANSFER_SERVICE},
};
use jsonwebtoken::{
    Algorithm, Header, Validation,
    errors::{Error as TokenError, ErrorKind},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const AUDIENCE: &str = "bank-events";
/// The type of such a token, so that no other passes for one.
const TYPE: &str = "event+jwt";
/// Ours have about 1,000 bytes.
const TOKEN_BYTES_MAX: usize = 4096;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    event: TransactionCompleted,
}

/// This program has no key that events are signed with, or they can't be.
#[derive(Debug, thiserror::Error)]
#[error("can't sign an event")]
pub struct CanNotSign(#[source] TokenError);

/// An event is not what the program emitted whose business it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unproved {
    /// It carries no signature: it is forged, or of a version before there were any.
    #[error("the event is not signed")]
    Unsigned,
    /// Its signature is not one of the bank's, or not of an event.
    #[error("the event is not signed by a program of the bank")]
    #[non_exhaustive]
    Forged {
        /// The reason.
        #[source]
        source: TokenError,
    },
    /// Another program signed it than the one that does such things.
    #[error("the event is signed by {program}, whose business it is not")]
    #[non_exhaustive]
    Foreign {
        /// The program that signed it.
        program: &'static str,
    },
}

pub(super) struct Signatures {
    program: String,
    signing: Option<SigningSide>,
    keys: Arc<PassKeys>,
    validation: Arc<Validation>,
}

impl Signatures {
    pub(super) fn new(program: &str, keys: &PassKeys) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud"]);
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
        }
    }

    /// The event with its proof.
    pub(super) fn sign(
        &self,
        event: TransactionCompleted,
    ) -> Result<TransactionCompleted, CanNotSign> {
        let claims = Claims {
            iss: self.program.clone(),
            aud: AUDIENCE.to_owned(),
            event: TransactionCompleted {
                proof: None,
                ..event
            },
        };
        let proof = self.token(&claims).map_err(CanNotSign)?;
        Ok(TransactionCompleted {
            proof: Some(proof),
            ..claims.event
        })
    }

    fn token(&self, claims: &Claims) -> Result<String, TokenError> {
        let signing = self.signing.as_ref().ok_or(ErrorKind::InvalidKeyFormat)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(signing.id.clone());
        jsonwebtoken::encode(&header, claims, &signing.key)
    }

    /// The event as the program signed it whose business it is; what stands beside its proof does
    /// not matter.
    pub(super) fn proved(
        &self,
        event: &TransactionCompleted,
    ) -> Result<TransactionCompleted, Unproved> {
        let token = event.proof.as_deref().ok_or(Unproved::Unsigned)?;
        let (program, signed) = self
            .verify(token)
            .map_err(|source| Unproved::Forged { source })?;
        let business = match signed.movement {
            Movement::Transfer { .. } => TRANSFER_SERVICE,
            Movement::Deposit { .. } | Movement::Withdrawal { .. } => ACCOUNT_SERVICE,
        };
        if program == business {
            Ok(signed)
        } else {
            Err(Unproved::Foreign { program })
        }
    }

    fn verify(&self, token: &str) -> Result<(&'static str, TransactionCompleted), TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ErrorKind::InvalidToken.into());
        }
        let header = jsonwebtoken::decode_header(token)?;
        if header.typ.as_deref() != Some(TYPE) {
            return Err(ErrorKind::InvalidToken.into());
        }
        let mut known = self.keys.verifying.iter();
        let named = known.find(|(_, key)| Some(&key.id) == header.kid.as_ref());
        let (program, key) = named.ok_or(ErrorKind::InvalidSignature)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.key, &self.validation)?.claims;
        if claims.iss != *program {
            return Err(ErrorKind::InvalidIssuer.into());
        }
        Ok((*program, claims.event))
    }
}
