//! The token of a session: a JWT (RFC 7519) signed with Ed25519 (RFC 8037).

use super::{User, remembered::Remembered};
use crate::keys::{Keys, SigningSide, VerifyingSide};
use contracts::{UserId, program::AUTH_SERVICE};
use jsonwebtoken::{
    Algorithm, Header, Validation,
    errors::{Error, ErrorKind},
    get_current_timestamp,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// The metadata that carries the token.
pub const SESSION: &str = "session";

const AUDIENCE: &str = "bank";
/// The type of an access token (RFC 9068), so that no other token passes for one.
const TYPE: &str = "at+jwt";
/// Ours have about 400 bytes.
const TOKEN_BYTES_MAX: usize = 1024;
/// Seconds that the clocks of two programs may differ by.
pub(super) const LEEWAY_SECONDS: u64 = 5;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: Uuid,
    name: String,
    iat: u64,
    nbf: u64,
    exp: u64,
}

#[derive(Clone)]
pub(super) struct Sessions {
    signing: Option<SigningSide>,
    verifying: Arc<[VerifyingSide]>,
    validation: Arc<Validation>,
    remembered: Arc<Remembered<User>>,
}

impl Sessions {
    pub(super) fn new(keys: &Keys) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[AUTH_SERVICE]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        Self {
            signing: keys.signing.clone(),
            verifying: keys.verifying.clone().into(),
            validation: Arc::new(validation),
            remembered: Arc::new(Remembered::new()),
        }
    }

    pub(super) fn can_issue(&self) -> bool {
        self.signing.is_some()
    }

    pub(super) fn issue(&self, user: &User, ttl: Duration) -> Result<String, Error> {
        let signing = self.signing.as_ref().ok_or(ErrorKind::InvalidKeyFormat)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(signing.id.clone());
        let now = get_current_timestamp();
        let claims = Claims {
            iss: AUTH_SERVICE.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.id,
            sid: user.session,
            name: user.username.clone(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(ttl.as_secs()),
        };
        jsonwebtoken::encode(&header, &claims, &signing.key)
    }

    pub(super) fn verify(&self, token: &str) -> Result<User, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ErrorKind::InvalidToken.into());
        }
        self.remembered.verified(token, |token| self.look_at(token))
    }

    fn look_at(&self, token: &str) -> Result<(User, u64), Error> {
        let header = jsonwebtoken::decode_header(token)?;
        if header.typ.as_deref() != Some(TYPE) {
            return Err(ErrorKind::InvalidToken.into());
        }
        let named = self
            .verifying
            .iter()
            .find(|key| Some(&key.id) == header.kid.as_ref());
        let key = &named.ok_or(ErrorKind::InvalidSignature)?.key;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation)?.claims;
        let user = User {
            id: claims.sub,
            username: claims.name,
            session: claims.sid,
        };
        Ok((user, claims.exp.saturating_add(LEEWAY_SECONDS)))
    }
}
