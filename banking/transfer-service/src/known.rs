//! The sides of transfers that the account service has named: a user, their name and their account
//! never change, so that they are asked for once.

use contracts::{
    Party, UserId,
    account::{Parties, Recipient},
    auth::username_key,
};
use hashlink::LruCache;
use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

/// Sides that are remembered, of either kind, those used last: 2 MB or so.
const KNOWN_MAX: usize = 10_000;

/// The sides that were named.
pub(crate) struct Known(Mutex<Sides>);

struct Sides {
    payers: LruCache<UserId, Party>,
    recipients: LruCache<String, Party>,
}

impl Default for Known {
    fn default() -> Self {
        Self(Mutex::new(Sides {
            payers: LruCache::new(KNOWN_MAX),
            recipients: LruCache::new(KNOWN_MAX),
        }))
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl Known {
    pub(crate) fn parties(&self, from: UserId, to: &Recipient) -> Option<Parties> {
        let mut sides = self.lock();
        let to = sides.recipients.get(&named(to))?.clone();
        let from = sides.payers.get(&from)?.clone();
        Some(Parties { from, to })
    }

    /// Remembers the sides of a transfer to who was named so. That there is no such recipient is
    /// not remembered: there may be one soon.
    pub(crate) fn keep(&self, to: &Recipient, parties: &Parties) {
        let mut sides = self.lock();
        sides.recipients.insert(named(to), parties.to.clone());
        let (user, payer) = (parties.from.user_id, parties.from.clone());
        sides.payers.insert(user, payer);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sides> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names and numbers, told apart by the first letter.
fn named(recipient: &Recipient) -> String {
    match recipient {
        Recipient::Username(name) => format!("@{}", username_key(name)),
        Recipient::AccountNumber(number) => format!("#{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(name: &str, number: &str) -> Party {
        Party {
            user_id: UserId::new(),
            username: name.parse().unwrap(),
            account_number: number.parse().unwrap(),
        }
    }

    #[test]
    fn who_was_named_is_known_by_that_name_and_to_that_payer() {
        let known = Known::default();
        let parties = Parties {
            from: party("ada", "111111"),
            to: party("grace", "222222"),
        };
        let (ada, grace) = (parties.from.user_id, parties.to.user_id);
        let by_name = |name: &str| Recipient::Username(name.to_owned());
        assert_eq!(known.parties(ada, &by_name("grace")), None);
        known.keep(&by_name("grace"), &parties);
        assert_eq!(known.parties(ada, &by_name("Grace")), Some(parties.clone()));
        let by_number = Recipient::AccountNumber("222222".parse().unwrap());
        assert_eq!(known.parties(ada, &by_number), None);
        assert_eq!(known.parties(grace, &by_name("grace")), None);
        known.keep(&by_number, &parties);
        assert_eq!(known.parties(ada, &by_number), Some(parties));
    }
}
