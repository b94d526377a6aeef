//! Documents of contracts, which `replybus contracts` reads from a file, or of an instance that says
//! what it serves: two of them, with an empty line between. What is read says the same when it is
//! written, nothing is different from itself, and two are compared in bounded time.

use replybus::schema::{Contracts, InvalidContracts};
use serde_json::Value;

pub(crate) fn run(data: &[u8]) {
    let Ok(texts) = std::str::from_utf8(data) else {
        return;
    };
    let (old, new) = texts.split_once("\n\n").unwrap_or((texts, ""));
    let (old, new) = (read(old), read(new));
    let Some(old) = old else { return };
    is_the_same(&old, &old);
    // What is said to people is no agreement.
    let bare = old.clone().without_docs();
    is_the_same(&bare, &old);
    assert_eq!(bare.clone().without_docs(), bare);
    let exported: Value = serde_json::from_str(&old.to_asyncapi("title", "1.0.0")).unwrap();
    assert!(exported.is_object());
    if let Some(new) = new {
        let changes = new.changes_since(&old);
        assert!(changes.is_sorted_by_key(|change| std::cmp::Reverse(change.impact)));
        assert!(changes.iter().all(|change| !change.reason.is_empty()));
    }
}

/// Nothing is different between them, but for what is too much to be compared. What is written in
/// another form than it is read in need not be read.
fn is_the_same(one: &Contracts, other: &Contracts) {
    let changes = one.changes_since(other);
    if one.to_json().contains("\"written") {
        return;
    }
    for change in changes {
        assert!(change.reason.ends_with("compared"), "{change:?}");
    }
}

fn read(text: &str) -> Option<Contracts> {
    match Contracts::from_json(text) {
        Ok(contracts) => {
            let written = contracts.to_json();
            let again = Contracts::from_json(&written).unwrap();
            assert_eq!(again.to_json(), written);
            Some(contracts)
        }
        Err(refused) => {
            if let InvalidContracts::Undefined(name) = &refused {
                assert!(refused.to_string().contains(&format!("{name:?}")));
            }
            None
        }
    }
}
