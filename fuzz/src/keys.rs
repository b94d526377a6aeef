//! Keys in files: PEM under a name that comes first, in a line of its own. What is no key is refused
//! without a word of it, and one that is read signs what the ring then believes.

use replybus::{
    sealed::{OpeningKey, SealingKey},
    signature::{InvalidKey, KeyRing, SigningKey},
};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (name, pem) = text.split_once('\n').unwrap_or((text, ""));
    let is_name = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match SigningKey::from_pem(name, pem) {
        Ok(key) => {
            assert!(is_name);
            assert_eq!(key.name(), name);
            let ring = KeyRing::new().trust(name, &key.public_key()).unwrap();
            assert_eq!(ring.len(), 1);
            let shown = format!("{key:?}");
            assert!(shown.len() < 100, "{shown}");
        }
        Err(InvalidKey::Name) => assert!(!is_name),
        Err(refused) => said_nothing(refused),
    }
    match KeyRing::new().trust_pem(name, pem) {
        Ok(ring) => assert!(is_name && ring.len() == 1),
        Err(InvalidKey::Name) => assert!(!is_name),
        Err(refused) => said_nothing(refused),
    }
    match OpeningKey::from_pem(name, pem) {
        Ok(key) => assert!(is_name && key.opens(&key.sealing_key())),
        Err(refused) => assert!(refused.to_string().len() < 150),
    }
    match SealingKey::from_pem(name, pem) {
        Ok(key) => assert!(is_name && key.name() == name),
        Err(refused) => assert!(refused.to_string().len() < 150),
    }
    let Some(bytes) = data.first_chunk::<32>() else {
        return;
    };
    let key = SigningKey::from_bytes("drawn", bytes).unwrap();
    KeyRing::new().trust("drawn", &key.public_key()).unwrap();
    // Most are no point of the curve, and some are of a kind that anybody could sign with.
    let _ = KeyRing::new().trust("any", bytes);
}

fn said_nothing(refused: InvalidKey) {
    assert_eq!(refused, InvalidKey::Key);
    assert!(refused.to_string().starts_with("it is no key of Ed25519"));
}
