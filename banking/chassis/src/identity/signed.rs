//! What a program tells everybody, in a form that shows who says so: a JWT signed as passes are, by
//! the key that only that program has. It does not expire, for what happened stays true; it is no
//! pass, for it is meant for others.

use super::{signer, signer::Signer};
use crate::keys::PassKeys;
use contracts::{
    Movement, TransactionCompleted,
    program::{ACCOUNT_SERVICE, TRANSFER_SERVICE},
};
use jsonwebtoken::{Algorithm, Validation, errors::Error as TokenError};
use serde::{Deserialize, Serialize};

const AUDIENCE: &str = "bank-events";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    event: TransactionCompleted,
}

impl signer::Claims for Claims {
    /// No other token passes for one of an event.
    const TYPE: Option<&'static str> = Some("event+jwt");
    /// Ours have about 1,000.
    const TOKEN_BYTES_MAX: usize = 4096;

    fn issuer(&self) -> &str {
        &self.iss
    }
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

pub(super) struct Signatures(Signer);

impl Signatures {
    pub(super) fn new(program: &str, keys: &PassKeys) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud"]);
        Self(Signer::new(program, keys, validation))
    }

    pub(super) fn of_program(&self, program: &str) -> Self {
        Self(self.0.of_program(program))
    }

    /// The event with its proof.
    pub(super) fn sign(
        &self,
        event: TransactionCompleted,
    ) -> Result<TransactionCompleted, CanNotSign> {
        let claims = Claims {
            iss: self.0.program().to_owned(),
            aud: AUDIENCE.to_owned(),
            event: TransactionCompleted {
                proof: None,
                ..event
            },
        };
        let proof = self.0.sign(&claims).map_err(CanNotSign)?;
        Ok(TransactionCompleted {
            proof: Some(proof),
            ..claims.event
        })
    }

    /// The event as the program signed it whose business it is; what stands beside its proof does
    /// not matter.
    pub(super) fn proved(
        &self,
        event: &TransactionCompleted,
    ) -> Result<TransactionCompleted, Unproved> {
        let token = event.proof.as_deref().ok_or(Unproved::Unsigned)?;
        let verified = self.0.verify::<Claims>(token);
        let (program, claims) = verified.map_err(|source| Unproved::Forged { source })?;
        let signed = claims.event;
        let business = match signed.movement {
            Movement::Transfer { .. } | Movement::NotMade { .. } => TRANSFER_SERVICE,
            Movement::Deposit { .. } | Movement::Withdrawal { .. } => ACCOUNT_SERVICE,
        };
        if program == business {
            Ok(signed)
        } else {
            Err(Unproved::Foreign { program })
        }
    }
}
