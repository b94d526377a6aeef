//! Contracts whose types hold themselves, and documents whose definitions refer to each other without
//! end: an instance can say any.
#![allow(
    unreachable_pub,
    reason = "contracts are written as their users write them"
)]

use replybus::{
    Event,
    schema::{Contracts, Impact, JsonSchema, schemars},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

macro_rules! chain {
    ($name:ident, $amount:ty) => {
        mod $name {
            use super::*;

            #[derive(Serialize, Deserialize, JsonSchema)]
            pub struct Link {
                amount: $amount,
                next: Option<Box<Link>>,
            }

            #[derive(Event, Serialize, Deserialize, JsonSchema)]
            #[event("chained")]
            pub struct Chained {
                first: Link,
            }
        }
    };
}

chain!(narrow, u32);
chain!(wide, u64);

#[test]
fn a_type_that_holds_itself_is_compared() {
    let of = Contracts::builder().event::<narrow::Chained>();
    let narrow = of.build().unwrap();
    let of = Contracts::builder().event::<wide::Chained>();
    let wide = of.build().unwrap();
    assert_eq!(narrow.changes_since(&narrow), []);
    let changes = wide.changes_since(&narrow);
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.impact, &*change.path))
        .collect();
    let paths = ["body.first.amount", "body.first.next.amount"];
    assert_eq!(told, paths.map(|path| (Impact::Breaking, path)));
}

/// The contracts of one event that is of the definition `A0`.
fn event_of(definitions: impl IntoIterator<Item = (String, Value)>) -> Contracts {
    let definitions: serde_json::Map<_, _> = definitions.into_iter().collect();
    let event = json!({
        "event": "forged", "exchange": "events", "body": { "read": { "$ref": "#/definitions/A0" } },
    });
    let document = json!({ "format": 1, "events": [event], "definitions": definitions });
    Contracts::from_json(&document.to_string()).unwrap()
}

fn to(number: usize) -> Value {
    json!({ "$ref": format!("#/definitions/A{number}") })
}

#[test]
fn definitions_that_double_with_each_level_are_given_up_in_time() {
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let doubled = |number: usize| {
            let twice = json!({ keyword: [to(number + 1), to(number + 1)] });
            (format!("A{number}"), twice)
        };
        let last = ("A50".to_owned(), json!({ "type": "null" }));
        let doubling = event_of((0..50).map(doubled).chain([last]));
        // Whether anything is different is not known of it.
        let _ = doubling.changes_since(&doubling);
        let itself = event_of([("A0".to_owned(), json!({ keyword: [to(0), to(0)] }))]);
        let _ = itself.changes_since(&itself);
    }
}

#[test]
fn what_holds_itself_by_the_way_of_a_union_is_compared() {
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let held = json!({ "type": "object", "properties": { "x": { keyword: [to(0)] } } });
        let held = event_of([("A0".to_owned(), held)]);
        assert_eq!(held.changes_since(&held), []);
    }
}

#[test]
fn what_grows_with_each_level_is_given_up_before_the_stack_ends() {
    let holds = |number| json!({ "type": "object", "properties": { "x": to(number) } });
    let both = |one: usize| json!({ "allOf": [holds(one), holds(1 - one)] });
    let growing = event_of([("A0".to_owned(), both(0)), ("A1".to_owned(), both(1))]);
    let changes = growing.changes_since(&growing);
    assert!(
        changes
            .iter()
            .all(|change| change.reason.ends_with("to be compared")),
        "{changes:#?}"
    );
}
