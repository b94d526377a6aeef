//! Tokens that were verified, for as long as they are good: who asks often shows the same one each
//! time, and its signature is looked at once.
//!
//! What can change is no part of it: whether a session lives is asked of its store each time.

use hashlink::LruCache;
use jsonwebtoken::{errors::Error, get_current_timestamp};
use sha2::{Digest as _, Sha256};
use std::sync::{Mutex, PoisonError};

/// Tokens that are remembered, those used last; each with its user's name and id. More users than
/// that at once cost a look at a signature each.
const REMEMBERED_MAX: usize = 4096;

/// A token, by its digest: one that is remembered can't be used by who reads memory.
type Key = [u8; 32];

/// What was verified, and until when it is good, in seconds since 1970.
pub(super) struct Remembered<T>(Mutex<LruCache<Key, (T, u64)>>);

impl<T: Clone> Remembered<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED_MAX)))
    }

    /// What `verify` once said of this token, or says now, with the second after which it is good no
    /// more. Errors are not remembered: nobody can fill the place of others with what is none.
    pub(super) fn verified(
        &self,
        token: &str,
        verify: impl FnOnce(&str) -> Result<(T, u64), Error>,
    ) -> Result<T, Error> {
        let key: Key = Sha256::digest(token).into();
        let known = self.lock().get(&key).cloned();
        if let Some((verified, until)) = known
            && get_current_timestamp() < until
        {
            return Ok(verified);
        }
        let (verified, until) = verify(token)?;
        self.lock().insert(key, (verified.clone(), until));
        Ok(verified)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LruCache<Key, (T, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::errors::ErrorKind;

    #[test]
    fn a_token_is_looked_at_once_while_it_is_good_and_one_that_is_refused_each_time() {
        let remembered = Remembered::new();
        let looked = std::cell::Cell::new(0);
        let ask = |token: &str, until| {
            remembered.verified(token, |token| {
                looked.set(looked.get() + 1);
                match token {
                    "forged" => Err(ErrorKind::InvalidSignature.into()),
                    token => Ok((token.len(), until)),
                }
            })
        };
        let now = get_current_timestamp();
        for (token, until, looks) in [
            ("good", now + 60, 1),
            ("good", now + 60, 1),
            ("other", now + 60, 2),
            ("past", now, 3),
            ("past", now, 4),
            ("forged", now + 60, 5),
            ("forged", now + 60, 6),
        ] {
            assert_eq!(ask(token, until).is_ok(), token != "forged");
            assert_eq!(looked.get(), looks, "{token}");
        }
    }
}
