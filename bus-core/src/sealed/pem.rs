//! Keys in files: PEM of PKCS #8 and of SPKI, with X25519 for the algorithm (RFC 8410).

use pkcs8::{
    AlgorithmIdentifierRef, Document, LineEnding, ObjectIdentifier, PrivateKeyInfo, SecretDocument,
    der::asn1::BitStringRef, spki::SubjectPublicKeyInfoRef,
};
use zeroize::Zeroizing;

/// X25519 (RFC 8410, section 3).
const ALGORITHM: AlgorithmIdentifierRef<'_> = AlgorithmIdentifierRef {
    oid: ObjectIdentifier::new_unwrap("1.3.101.110"),
    parameters: None,
};

/// Before the bytes of a private key: an octet string within the one of PKCS #8 (section 7).
const OCTETS: [u8; 2] = [0x04, 32];

const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";

pub(super) fn read_private(pem: &str) -> Option<Zeroizing<[u8; 32]>> {
    let (label, document) = SecretDocument::from_pem(pem).ok()?;
    let info = PrivateKeyInfo::try_from(document.as_bytes()).ok()?;
    let key = info.private_key.strip_prefix(&OCTETS)?;
    let is_ours = label == PRIVATE_LABEL && info.algorithm.oid == ALGORITHM.oid;
    is_ours.then_some(Zeroizing::new(key.try_into().ok()?))
}

pub(super) fn read_public(pem: &str) -> Option<[u8; 32]> {
    let (label, document) = Document::from_pem(pem).ok()?;
    let info = SubjectPublicKeyInfoRef::try_from(document.as_bytes()).ok()?;
    let key = info.subject_public_key.as_bytes()?;
    let is_ours = label == PUBLIC_LABEL && info.algorithm.oid == ALGORITHM.oid;
    is_ours.then_some(key.try_into().ok()?)
}

pub(super) fn private(key: &[u8; 32]) -> String {
    let key = Zeroizing::new([&OCTETS[..], key].concat());
    let document = SecretDocument::try_from(PrivateKeyInfo::new(ALGORITHM, &key));
    // Of 32 bytes it always can be written.
    let document = document.ok();
    let pem = document.and_then(|document| document.to_pem(PRIVATE_LABEL, LineEnding::LF).ok());
    pem.map(|pem| pem.to_string()).unwrap_or_default()
}

pub(super) fn public(key: &[u8; 32]) -> String {
    let pem = || {
        let info = SubjectPublicKeyInfoRef {
            algorithm: ALGORITHM,
            subject_public_key: BitStringRef::from_bytes(key).ok()?,
        };
        let document = Document::try_from(info).ok()?;
        document.to_pem(PUBLIC_LABEL, LineEnding::LF).ok()
    };
    pem().unwrap_or_default()
}
