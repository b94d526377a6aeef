//! JWTs (EdDSA) that programs sign, each by a key that only it has.
//!
//! The program that signed one follows from the key, and not from what it says.

use crate::{
    digest::keyed_digest,
    keys::{PassKeys, SigningSide},
};
use jsonwebtoken::{
    Algorithm, Header, Validation,
    errors::{Error, ErrorKind},
};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// What a token says, and of itself which program says it.
pub(super) trait Claims: Serialize + DeserializeOwned {
    /// The type that the header of such a token names; `None` if that is not looked at.
    const TYPE: Option<&'static str>;
    /// Bytes of the longest token that is looked at.
    const TOKEN_BYTES_MAX: usize;

    fn issuer(&self) -> &str;
}

/// Signs for one program, and verifies what others have signed.
pub(super) struct Signer {
    program: String,
    signing: Option<SigningSide>,
    keys: Arc<PassKeys>,
    validation: Arc<Validation>,
}

impl Signer {
    pub(super) fn new(program: &str, keys: &PassKeys, validation: Validation) -> Self {
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

    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// `true` if the program has a key to sign with.
    pub(super) fn can_sign(&self) -> bool {
        self.signing.is_some()
    }

    pub(super) fn derived_key(&self, purpose: &str) -> [u8; 32] {
        let signing = self.signing.as_ref();
        let secret = signing.map_or(&[][..], |signing| signing.key.as_bytes());
        keyed_digest(secret, &[purpose])
    }

    pub(super) fn sign<C: Claims>(&self, claims: &C) -> Result<String, Error> {
        let signing = self.signing.as_ref().ok_or(ErrorKind::InvalidKeyFormat)?;
        let mut header = Header::new(Algorithm::EdDSA);
        if let Some(kind) = C::TYPE {
            header.typ = Some(kind.to_owned());
        }
        header.kid = Some(signing.id.clone());
        jsonwebtoken::encode(&header, claims, &signing.key)
    }

    /// The program that signed a token, and what it says.
    pub(super) fn verify<C: Claims>(&self, token: &str) -> Result<(&'static str, C), Error> {
        if token.len() > C::TOKEN_BYTES_MAX {
            return Err(ErrorKind::InvalidToken.into());
        }
        let header = jsonwebtoken::decode_header(token)?;
        if C::TYPE.is_some() && header.typ.as_deref() != C::TYPE {
            return Err(ErrorKind::InvalidToken.into());
        }
        let mut known = self.keys.verifying.iter();
        let named = known.find(|(_, key)| Some(&key.id) == header.kid.as_ref());
        let (program, key) = named.ok_or(ErrorKind::InvalidSignature)?;
        let claims = jsonwebtoken::decode::<C>(token, &key.key, &self.validation)?.claims;
        if claims.issuer() != *program {
            return Err(ErrorKind::InvalidIssuer.into());
        }
        Ok((*program, claims))
    }
}
