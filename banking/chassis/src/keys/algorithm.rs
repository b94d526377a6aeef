//! The one algorithm that tokens are signed with here: Ed25519. The providers that jsonwebtoken
//! ships bring all that a token can be signed with.

use ed25519_dalek::{Signature, SigningKey, VerifyingKey, pkcs8::DecodePrivateKey};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Signer, Verifier},
};

static ED25519: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes it the algorithm of this process. Needed before the first token; more often does no harm.
pub(super) fn install() {
    // The error says that it was installed before.
    let _ = ED25519.install_default();
}

struct Signing(SigningKey);

struct Verifying(VerifyingKey);

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    check(*algorithm, key.family())?;
    let key = SigningKey::from_pkcs8_der(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    Ok(Box::new(Signing(key)))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    check(*algorithm, key.family())?;
    let key = VerifyingKey::try_from(key.try_get_as_bytes()?);
    Ok(Box::new(Verifying(
        key.map_err(|_| ErrorKind::InvalidEddsaKey)?,
    )))
}

/// A key of another kind must never be taken for one of these.
fn check(algorithm: Algorithm, family: AlgorithmFamily) -> Result<()> {
    if algorithm != Algorithm::EdDSA {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    if family != AlgorithmFamily::Ed {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(())
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        let signature: Signature = self.0.try_sign(message)?;
        Ok(signature.to_vec())
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        self.0.verify(message, &Signature::from_slice(signature)?)
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_signs_or_verifies() {
        let secret = EncodingKey::from_secret(&[7; 32]);
        let public = DecodingKey::from_ed_der(&[7; 32]);
        for algorithm in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256] {
            assert!(signer(&algorithm, &secret).is_err(), "{algorithm:?}");
            assert!(verifier(&algorithm, &public).is_err(), "{algorithm:?}");
        }
        // Not even by the right name.
        let shared = DecodingKey::from_secret(&[7; 32]);
        assert!(signer(&Algorithm::EdDSA, &secret).is_err());
        assert!(verifier(&Algorithm::EdDSA, &shared).is_err());
    }

    /// The first key of RFC 8032, 7.1, which signs nothing at all.
    #[test]
    fn it_is_the_algorithm_of_the_standard() {
        let secret = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec,
            0x2c, 0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03,
            0x1c, 0xae, 0x7f, 0x60,
        ];
        let signature = Signing(SigningKey::from_bytes(&secret)).sign(b"");
        assert_eq!(signature.first_chunk(), Some(&[0xe5, 0x56, 0x43, 0x00]));
        let verifying = Verifying(SigningKey::from_bytes(&secret).verifying_key());
        assert!(verifying.verify(b"", &signature).is_ok());
        assert!(verifying.verify(b"a", &signature).is_err());
    }
}
