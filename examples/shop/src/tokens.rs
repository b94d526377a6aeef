//! Tokens that say who asks: JWTs (RFC 7519), signed with Ed25519 by the user service, and verified
//! by every service itself.

use anyhow::{Context as _, ensure};
use chassis::keys::{Pair, SigningSide, VerifyingSide};
use jsonwebtoken::{
    Algorithm, Header, Validation,
    errors::{Error, ErrorKind},
    get_current_timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

const SIGNING: &str = "token-signing.pem";
const VERIFYING: &str = "token-verifying.pem";
const ISSUER: &str = "user-service";
const AUDIENCE: &str = "shop";
/// The type of an access token (RFC 9068), so that no other token passes for one.
const TYPE: &str = "at+jwt";
/// Bytes of the longest token that is looked at. Ours have about 300.
const TOKEN_BYTES_MAX: usize = 1024;
/// Seconds that the clocks of two services may differ by.
const LEEWAY_SECONDS: u64 = 5;

/// A user who has proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) username: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    name: String,
    iat: u64,
    exp: u64,
}

/// The keys that tokens are signed and verified with.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Only the user service needs it.
    signing: Option<SigningSide>,
    verifying: Vec<VerifyingSide>,
}

impl Keys {
    /// New keys, for a shop in one process.
    ///
    /// # Errors
    /// They can't be encoded.
    pub fn draw() -> anyhow::Result<Self> {
        let pair = Pair::draw();
        Ok(Self {
            signing: Some(pair.signing()?),
            verifying: vec![pair.verifying()],
        })
    }

    /// The keys in a directory. The private one is read if it is there.
    ///
    /// # Errors
    /// A file is missing, can't be read, or holds something else than its keys.
    pub fn load(directory: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = directory.join(name);
            fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))
        };
        let verifying = read(VERIFYING)?;
        let verifying = VerifyingSide::read_all(&verifying).context(VERIFYING)?;
        let signing = if directory.join(SIGNING).exists() {
            Some(SigningSide::read(&read(SIGNING)?).context(SIGNING)?)
        } else {
            None
        };
        Ok(Self {
            signing,
            verifying: verifying.into_iter().map(|(_, key)| key).collect(),
        })
    }

    /// Writes new keys into a directory, made if it is missing. The private one is its owner's
    /// alone to read.
    ///
    /// # Errors
    /// They are there already, or can't be written.
    pub fn write_new(directory: &Path) -> anyhow::Result<()> {
        let pair = Pair::draw();
        fs::create_dir_all(directory)
            .with_context(|| format!("can't make {}", directory.display()))?;
        for (name, mode, pem) in [
            (SIGNING, 0o600, pair.private_pem()?),
            (VERIFYING, 0o644, pair.public_pem()?),
        ] {
            let path = directory.join(name);
            let mut new = OpenOptions::new();
            let file = new.write(true).create_new(true).mode(mode).open(&path);
            file.and_then(|mut file| file.write_all(pem.as_bytes()))
                .with_context(|| format!("can't write {}", path.display()))?;
        }
        Ok(())
    }
}

/// Issues and verifies tokens. Clones share the keys.
#[derive(Clone)]
pub(crate) struct Tokens {
    keys: Arc<Keys>,
    validation: Arc<Validation>,
    ttl_seconds: u64,
}

impl Tokens {
    pub(crate) fn new(keys: Keys, ttl_seconds: u64) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = LEEWAY_SECONDS;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self {
            keys: Arc::new(keys),
            validation: Arc::new(validation),
            ttl_seconds,
        }
    }

    /// Refuses unless tokens can be signed here.
    pub(crate) fn ensure_signing(&self) -> anyhow::Result<()> {
        let can_sign = self.keys.signing.is_some();
        ensure!(can_sign, "{SIGNING} is missing in the directory of keys");
        Ok(())
    }

    pub(crate) fn issue(&self, user: &User) -> Result<String, Error> {
        let signing = self.keys.signing.as_ref();
        let signing = signing.ok_or(ErrorKind::InvalidKeyFormat)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(signing.id.clone());
        let now = get_current_timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.id.to_string(),
            name: user.username.clone(),
            iat: now,
            exp: now.saturating_add(self.ttl_seconds),
        };
        jsonwebtoken::encode(&header, &claims, &signing.key)
    }

    /// The user of a token, if it is one of ours and still good.
    pub(crate) fn verify(&self, token: &str) -> Result<User, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ErrorKind::InvalidToken.into());
        }
        let header = jsonwebtoken::decode_header(token)?;
        if header.typ.as_deref() != Some(TYPE) {
            return Err(ErrorKind::InvalidToken.into());
        }
        let mut keys = self.keys.verifying.iter();
        let named = keys.find(|key| Some(&key.id) == header.kid.as_ref());
        let key = &named.ok_or(ErrorKind::InvalidSignature)?.key;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation)?.claims;
        let id = claims.sub.parse();
        Ok(User {
            id: id.map_err(|_| ErrorKind::InvalidToken)?,
            username: claims.name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_whoever_has_the_public_key_until_it_ends() {
        let ada = User {
            id: 7,
            username: "ada".to_owned(),
        };
        let keys = Keys::draw().unwrap();
        let public = Keys {
            signing: None,
            ..keys.clone()
        };
        let (users, others) = (Tokens::new(keys.clone(), 60), Tokens::new(public, 60));
        let token = users.issue(&ada).unwrap();
        assert_eq!(others.verify(&token).unwrap(), ada);
        assert!(others.issue(&ada).is_err() && others.ensure_signing().is_err());

        let strangers = Tokens::new(Keys::draw().unwrap(), 60);
        assert!(others.verify(&strangers.issue(&ada).unwrap()).is_err());
        let (head, _) = token.rsplit_once('.').unwrap();
        let long = "a".repeat(TOKEN_BYTES_MAX + 1);
        for wrong in ["", "a.b.c", head, &format!("{head}."), &long] {
            assert!(others.verify(wrong).is_err(), "{wrong}");
        }
        let mut ended = Validation::clone(&users.validation);
        ended.reject_tokens_expiring_in_less_than = 120;
        let later = Tokens {
            validation: Arc::new(ended),
            ..others
        };
        assert!(later.verify(&token).is_err());
    }
}
