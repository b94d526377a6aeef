//! Which changes of a contract break whom: a table of pairs, as users write them.
#![allow(
    unreachable_pub,
    reason = "contracts are written as their users write them"
)]

use replybus::{
    Event, Never, queue_handler,
    schema::{Contracts, Impact, JsonSchema, LockError, schemars},
    stream::Items,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is said of the change from one trait to the other, each with the types that it needs.
macro_rules! changes {
    ($name:ident, { $($before:item)* }, { $($now:item)* }) => {
        #[allow(dead_code, unused_imports)]
        mod $name {
            pub(super) mod before {
                use super::super::*;
                $($before)*
            }
            pub(super) mod now {
                use super::super::*;
                $($now)*
            }
        }
        #[allow(unused_variables)]
        let $name: Vec<String> = {
            let before = Contracts::builder().service($name::before::PayClient::CONTRACT);
            let now = Contracts::builder().service($name::now::PayClient::CONTRACT);
            let (before, now) = (before.build().unwrap(), now.build().unwrap());
            assert_eq!(now.changes_since(&now), []);
            now.changes_since(&before).iter().map(ToString::to_string).collect()
        };
    };
}

/// One change, in words.
#[track_caller]
fn one(changes: &[String]) -> &str {
    match changes {
        [change] => change,
        changes => panic!("{changes:#?}"),
    }
}

#[test]
fn changes_of_arguments() {
    changes!(
        optional_added,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, to: String) -> Result<u64, Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, to: String, note: Option<String>) -> Result<u64, Never>;
            }
        }
    );
    assert_eq!(
        one(&optional_added),
        "compatible: Pay.pay changed, and each side reads what the other writes"
    );
    changes!(
        required_added,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, to: String) -> Result<u64, Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, to: String, amount: u64) -> Result<u64, Never>;
            }
        }
    );
    assert_eq!(
        one(&required_added),
        "breaking: Pay.pay arguments.amount is not sent by a caller with the old contract, and a \
         service with the new one does not read it without"
    );
    changes!(
        required_removed,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, to: String, amount: u64) -> Result<u64, Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, to: String) -> Result<u64, Never>;
            }
        }
    );
    assert_eq!(
        one(&required_removed),
        "service first: Pay.pay arguments.amount is not sent by a caller with the new contract, and \
         a service with the old one does not read it without"
    );
    changes!(
        renamed,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, to: String) -> Result<u64, Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, whom: String) -> Result<u64, Never>;
            }
        }
    );
    assert!(
        renamed[0].starts_with("breaking: Pay.pay arguments.whom is not sent by"),
        "{renamed:?}"
    );
    changes!(
        widened,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, amount: u32) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, amount: u64) -> Result<(), Never>;
            }
        }
    );
    assert_eq!(
        one(&widened),
        "service first: Pay.pay arguments.amount can have 0 to 18446744073709551615 from a caller \
         with the new contract, and a service with the old one reads 0 to 4294967295"
    );
    changes!(
        narrowed,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, amount: i64) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, amount: u32) -> Result<(), Never>;
            }
        }
    );
    assert!(
        one(&narrowed)
            .starts_with("breaking: Pay.pay arguments.amount can have -9223372036854775808 to"),
        "{narrowed:?}"
    );
    changes!(
        another,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, amount: u64) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, amount: String) -> Result<(), Never>;
            }
        }
    );
    assert_eq!(
        one(&another),
        "breaking: Pay.pay arguments.amount can be a whole number from a caller with the old \
         contract, and a service with the new one reads a text"
    );
    changes!(
        required_now,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, note: Option<String>) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, note: String) -> Result<(), Never>;
            }
        }
    );
    assert!(
        one(&required_now).starts_with("breaking: Pay.pay arguments.note can be null from"),
        "{required_now:?}"
    );
}

#[test]
fn changes_within_types() {
    changes!(
        field_with_default,
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub struct Entry {
                to: String,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, entries: Vec<Entry>) -> Result<Entry, Never>;
            }
        },
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub struct Entry {
                to: String,
                #[serde(default)]
                note: String,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, entries: Vec<Entry>) -> Result<Entry, Never>;
            }
        }
    );
    assert!(
        one(&field_with_default).starts_with("compatible: Pay.pay changed"),
        "{field_with_default:?}"
    );
    changes!(
        field_without,
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub struct Entry {
                to: String,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, entries: Vec<Entry>) -> Result<(), Never>;
            }
        },
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub struct Entry {
                to: String,
                note: String,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, entries: Vec<Entry>) -> Result<(), Never>;
            }
        }
    );
    assert!(
        one(&field_without)
            .starts_with("breaking: Pay.pay arguments.entries[].note is not sent by"),
        "{field_without:?}"
    );
    changes!(
        unknown_refused,
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct Entry {
                to: String,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, entry: Entry) -> Result<(), Never>;
            }
        },
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct Entry {
                to: String,
                note: Option<String>,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, entry: Entry) -> Result<(), Never>;
            }
        }
    );
    assert_eq!(
        one(&unknown_refused),
        "service first: Pay.pay arguments.entry.note can be there from a caller with the new \
         contract, and a service with the old one refuses what it does not know"
    );
    changes!(
        itself,
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub struct Tree {
                name: String,
                branches: Vec<Tree>,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, trees: BTreeMap<String, Tree>) -> Result<(), Never>;
            }
        },
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub struct Tree {
                name: u8,
                branches: Vec<Tree>,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, trees: BTreeMap<String, Tree>) -> Result<(), Never>;
            }
        }
    );
    assert!(
        one(&itself).starts_with("breaking: Pay.pay arguments.trees.*.name can be a text from"),
        "{itself:?}"
    );
}

#[test]
fn changes_of_enums() {
    changes!(
        variant_in_arguments,
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub enum Way {
                Cash,
                Card { number: String },
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, way: Way) -> Result<(), Never>;
            }
        },
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub enum Way {
                Cash,
                /** By post. */
                Cheque,
                Card {
                    number: String,
                },
                Phone {
                    number: String,
                },
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, way: Way) -> Result<(), Never>;
            }
        }
    );
    let [cheque, phone] = &variant_in_arguments[..] else {
        // One place is named once.
        assert!(
            one(&variant_in_arguments).starts_with("service first: Pay.pay arguments.way can be `"),
            "{variant_in_arguments:?}"
        );
        return changes_of_tagged_enums();
    };
    panic!("{cheque} {phone}");
}

fn changes_of_tagged_enums() {
    changes!(
        variant_in_reply,
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            #[serde(tag = "way")]
            pub enum Way {
                Cash,
                Card { number: String },
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<Way, Never>;
            }
        },
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            #[serde(tag = "way")]
            pub enum Way {
                Cash,
                Card { number: String },
                Phone { number: String },
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<Way, Never>;
            }
        }
    );
    assert_eq!(
        one(&variant_in_reply),
        "breaking: Pay.pay reply can be `Phone` from a service with the new contract, which a caller \
         with the old one does not know"
    );
    changes!(
        within_a_variant,
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            #[serde(tag = "way")]
            pub enum Way {
                Cash,
                Card { number: String },
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<Way, Never>;
            }
        },
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            #[serde(tag = "way")]
            pub enum Way {
                Cash,
                Card { number: Option<String> },
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<Way, Never>;
            }
        }
    );
    assert!(
        one(&within_a_variant).starts_with("breaking: Pay.pay reply.number can be null from"),
        "{within_a_variant:?}"
    );
    changes!(
        variant_removed,
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub enum Refusal {
                Short,
                Closed,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Refusal>;
            }
        },
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub enum Refusal {
                Short,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Refusal>;
            }
        }
    );
    assert_eq!(
        one(&variant_removed),
        "service first: Pay.pay error can be `Closed` from a service with the old contract, which a \
         caller with the new one does not know"
    );
}

#[test]
fn changes_of_replies_and_errors() {
    changes!(
        field_gone,
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub struct Paid {
                at: u64,
                by: String,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                #[query]
                async fn paid(&self) -> Result<Paid, Never>;
            }
        },
        {
            #[derive(Serialize, Deserialize, JsonSchema)]
            pub struct Paid {
                at: u64,
            }
            #[queue_handler("pay")]
            pub trait Pay {
                #[query]
                async fn paid(&self) -> Result<Paid, Never>;
            }
        }
    );
    assert_eq!(
        one(&field_gone),
        "breaking: Pay.paid reply.by is not sent by a service with the new contract, and a caller \
         with the old one does not read it without"
    );
    changes!(
        fails_now,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<u64, Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<u64, String>;
            }
        }
    );
    assert_eq!(
        one(&fails_now),
        "breaking: Pay.pay error can be a text from a service with the new contract, where a caller \
         with the old one expects nothing"
    );
    changes!(
        item_of_a_stream,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                #[stream]
                async fn paid(&self) -> Result<Items<u32, Never>, Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                #[stream]
                async fn paid(&self) -> Result<Items<f64, Never>, Never>;
            }
        }
    );
    assert!(
        one(&item_of_a_stream).starts_with("breaking: Pay.paid reply[] can have a fraction"),
        "{item_of_a_stream:?}"
    );
    changes!(
        item_of_an_argument,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn load(&self, #[stream] of: Items<u32>) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn load(&self, #[stream] of: Items<u64>) -> Result<(), Never>;
            }
        }
    );
    assert!(
        one(&item_of_an_argument).starts_with("service first: Pay.load stream[] can have 0 to"),
        "{item_of_an_argument:?}"
    );
}

#[test]
fn changes_of_methods_and_services() {
    changes!(
        method_gone,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Never>;
                async fn refund(&self) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Never>;
            }
        }
    );
    assert_eq!(
        one(&method_gone),
        "breaking: Pay.refund is gone: a service with the new contract does not know it"
    );
    changes!(
        method_new,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Never>;
                async fn refund(&self) -> Result<(), Never>;
            }
        }
    );
    assert!(
        one(&method_new).starts_with("service first: Pay.refund is new"),
        "{method_new:?}"
    );
    changes!(
        command_now,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                #[query]
                async fn pay(&self) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Never>;
            }
        }
    );
    assert!(
        one(&command_now).starts_with("breaking: Pay.pay kind is a command now"),
        "{command_now:?}"
    );
    changes!(
        query_now_of_another,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self, to: u8) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                #[query]
                async fn pay(&self, to: String) -> Result<(), Never>;
            }
        }
    );
    let [to, kind] = &query_now_of_another[..] else {
        panic!("{query_now_of_another:?}")
    };
    assert!(
        to.starts_with("breaking: Pay.pay arguments.to can be a whole number"),
        "{to}"
    );
    assert!(
        kind.starts_with("compatible: Pay.pay kind is a query now"),
        "{kind}"
    );
    changes!(
        stream_now,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                #[query]
                async fn pay(&self) -> Result<u8, Never>;
            }
        },
        {
            #[queue_handler("pay")]
            pub trait Pay {
                #[stream]
                async fn pay(&self) -> Result<Items<u8, Never>, Never>;
            }
        }
    );
    assert!(
        one(&stream_now).starts_with("breaking: Pay.pay reply is a stream now"),
        "{stream_now:?}"
    );
    changes!(
        slower,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay", timeout = "30s")]
            pub trait Pay {
                /** Pays. */
                async fn pay(&self) -> Result<(), Never>;
            }
        }
    );
    assert_eq!(
        one(&slower),
        "compatible: Pay.pay timeout is 30000 ms, and was 5000"
    );
    changes!(
        queue_renamed,
        {
            #[queue_handler("pay")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay.requests")]
            pub trait Pay {
                async fn pay(&self) -> Result<(), Never>;
            }
        }
    );
    assert!(
        one(&queue_renamed)
            .starts_with("breaking: Pay queue takes requests from \"pay.requests\" now"),
        "{queue_renamed:?}"
    );
    changes!(
        divided_otherwise,
        {
            #[queue_handler("pay", partitions = 2)]
            pub trait Pay {
                async fn pay(&self, #[key] to: u8, by: u8) -> Result<(), Never>;
            }
        },
        {
            #[queue_handler("pay", partitions = 4)]
            pub trait Pay {
                async fn pay(&self, to: u8, #[key] by: u8) -> Result<(), Never>;
            }
        }
    );
    let [partitions, key] = &divided_otherwise[..] else {
        panic!("{divided_otherwise:?}")
    };
    assert!(
        partitions.starts_with("breaking: Pay partitions has 4 partitions now, and had 2"),
        "{partitions}"
    );
    assert!(
        key.starts_with("breaking: Pay.pay key orders calls by `by` now"),
        "{key}"
    );
}

mod events {
    use super::*;

    macro_rules! event {
        ($name:ident, $exchange:literal, { $($fields:tt)* }) => {
            pub(super) mod $name {
                use super::*;
                #[derive(Event, Serialize, Deserialize, JsonSchema)]
                #[event("paid", exchange = $exchange)]
                pub(in super::super) struct Paid { $($fields)* }
            }
        };
    }
    event!(plain, "bank", { pub by: String });
    event!(defaulted, "bank", { pub by: String, #[serde(default)] pub at: u64 });
    event!(required, "bank", { pub by: String, pub at: u64 });
    event!(bare, "bank", {});
    event!(elsewhere, "town", { pub by: String });
}

#[test]
fn changes_of_events_break_in_both_directions() {
    let contracts = |of: replybus::schema::ContractsBuilder| of.build().unwrap();
    let plain = contracts(Contracts::builder().event::<events::plain::Paid>());
    let nothing = contracts(Contracts::builder());
    for (now, expected) in [
        (
            Contracts::builder().event::<events::defaulted::Paid>(),
            "compatible: paid body changed",
        ),
        (
            Contracts::builder().event::<events::required::Paid>(),
            "breaking: paid body.at is not sent by a program with the old contract, and a group with the new one",
        ),
        (
            Contracts::builder().event::<events::bare::Paid>(),
            "breaking: paid body.by is not sent by a program with the new contract, and a group with the old one",
        ),
        (
            Contracts::builder().event::<events::elsewhere::Paid>(),
            "breaking: paid exchange goes to \"town\" now",
        ),
        (Contracts::builder(), "breaking: paid is gone"),
    ] {
        let changes: Vec<String> = contracts(now)
            .changes_since(&plain)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(one(&changes).starts_with(expected), "{changes:?}");
    }
    let changes = plain.changes_since(&nothing);
    assert_eq!((changes.len(), changes[0].impact), (1, Impact::Compatible));
}

#[test]
fn a_lock_holds_until_something_breaks_or_is_new() {
    let folder = std::env::temp_dir().join(format!("replybus-lock-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("contracts.lock");
    let plain = Contracts::builder()
        .event::<events::plain::Paid>()
        .build()
        .unwrap();
    let missing = plain.check_lock(&path).unwrap_err();
    assert!(matches!(missing, LockError::File { .. }), "{missing}");
    std::fs::write(&path, plain.to_json()).unwrap();
    plain.check_lock(&path).unwrap();

    let broken = Contracts::builder()
        .event::<events::required::Paid>()
        .build()
        .unwrap();
    let refused = broken.check_lock(&path).unwrap_err();
    assert!(matches!(&refused, LockError::Breaking { changes, .. } if changes.len() == 1));
    assert!(
        refused
            .to_string()
            .contains("\n  breaking: paid body.at is not sent"),
        "{refused}"
    );
    let wider = Contracts::builder()
        .event::<events::defaulted::Paid>()
        .build()
        .unwrap();
    let outdated = wider.check_lock(&path).unwrap_err();
    assert!(matches!(outdated, LockError::Outdated { .. }), "{outdated}");

    std::fs::write(&path, "{}").unwrap();
    let invalid = plain.check_lock(&path).unwrap_err();
    assert!(matches!(invalid, LockError::Invalid { .. }), "{invalid}");
    std::fs::remove_dir_all(&folder).unwrap();
}
