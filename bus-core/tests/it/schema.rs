//! Contracts as data: what the macros say of types, and what is made of that.
#![allow(
    unreachable_pub,
    reason = "contracts are written as their users write them"
)]

use replybus::{
    Event, Never,
    contract::{Fingerprint, FingerprintKind, ServiceContract},
    schema::{Contracts, JsonSchema, schemars},
    stream::Items,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

macro_rules! contract {
    ($name:ident, $($item:item)*) => {
        #[allow(dead_code)]
        mod $name {
            use super::*;
            use replybus::queue_handler;
            $($item)*
        }
    };
}

contract! { accounts,
    /// What is on an account.
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Balance {
        /// In minor units.
        pub amount: i64,
        #[serde(default)]
        pub held: u64,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub enum AccountError { Unknown, Short { by: u64 } }

    #[derive(Event, Serialize, Deserialize, JsonSchema)]
    #[event("account.opened")]
    pub struct Opened { pub account: String }

    #[queue_handler("account.requests", timeout = "2s", partitions = 4)]
    pub trait Accounts {
        /// The balance.
        ///
        /// In minor units.
        #[query]
        async fn balance(&self, #[key] account: String, day: Option<u32>) -> Result<Balance, AccountError>;

        #[command(timeout = "1m")]
        async fn close(&self, r#type: u8, #[key] account: String) -> Result<(), Never>;

        #[stream]
        async fn entries(&self, #[key] account: String) -> Result<Items<Balance, AccountError>, AccountError>;
    }
}

contract! { loads,
    #[queue_handler("loads")]
    pub trait Loads {
        async fn load(&self, #[stream] rates: Items<f64>, day: u32) -> Result<u64, String>;

        #[command(job = "4h")]
        async fn recount(&self) -> Result<u64, Never>;
    }
}

fn document() -> Value {
    let contracts = Contracts::builder()
        .event::<accounts::Opened>()
        .service(loads::LoadsClient::CONTRACT)
        .service(accounts::AccountsClient::CONTRACT)
        .build()
        .unwrap();
    assert_eq!(
        Contracts::from_json(&contracts.to_json()).unwrap(),
        contracts
    );
    serde_json::from_str(&contracts.to_json()).unwrap()
}

#[test]
fn a_contract_is_described_by_its_types() {
    let document = document();
    let [accounts, loads] = &document["services"].as_array().unwrap()[..] else {
        panic!("two services")
    };
    assert_eq!(accounts["queue"], "account.requests");
    assert_eq!(accounts["partitions"], 4);
    let balance = &accounts["methods"]["balance"];
    assert_eq!(balance["kind"], "query");
    assert_eq!(balance["key"], "account");
    assert_eq!(balance["docs"], "The balance.\n\nIn minor units.");
    assert_eq!(balance["timeout_ms"], 2_000);
    let arguments = &balance["arguments"]["read"];
    assert_eq!(arguments["required"], json!(["account"]));
    assert_eq!(
        arguments["properties"]["account"],
        json!({ "type": "string" })
    );
    assert_eq!(
        arguments["properties"]["day"]["type"],
        json!(["integer", "null"])
    );
    assert_eq!(
        balance["arguments"]["written"]["required"],
        json!(["account", "day"])
    );
    assert_eq!(
        balance["reply"]["read"],
        json!({ "$ref": "#/definitions/Balance" })
    );
    assert_eq!(
        balance["error"]["read"],
        json!({ "$ref": "#/definitions/AccountError" })
    );

    let close = &accounts["methods"]["close"];
    assert_eq!(
        (&close["kind"], &close["timeout_ms"]),
        (&json!("command"), &json!(60_000))
    );
    assert_eq!(
        close["arguments"]["read"]["required"],
        json!(["account", "type"])
    );
    assert_eq!(close["reply"]["read"], json!({ "type": "null" }));
    assert_eq!(close.get("error"), None);

    let entries = &accounts["methods"]["entries"];
    assert_eq!(entries["stream"], true);
    assert_eq!(entries["reply"], balance["reply"]);

    let load = &loads["methods"]["load"];
    assert_eq!(load["fed"]["argument"], "rates");
    assert_eq!(load["fed"]["item"]["read"]["type"], "number");
    assert_eq!(load["arguments"]["read"]["required"], json!(["day"]));
    assert_eq!(loads["methods"]["recount"]["job_ms"], 14_400_000);

    assert_eq!(document["events"][0]["event"], "account.opened");
    assert_eq!(document["events"][0]["exchange"], "replybus.events");
}

#[test]
fn what_is_read_and_what_is_written_are_told_apart() {
    let document = document();
    assert_eq!(
        document["definitions"]["Balance"]["required"],
        json!(["amount"])
    );
    let written = &document["written_definitions"];
    assert_eq!(written["Balance"]["required"], json!(["amount", "held"]));
    assert_eq!(written.get("AccountError"), None);
}

#[test]
fn without_docs_nothing_is_left_that_is_said_to_people() {
    let contracts = Contracts::builder().service(accounts::AccountsClient::CONTRACT);
    let contracts = contracts.build().unwrap();
    assert!(contracts.to_json().contains("minor units"));
    let bare = contracts.without_docs();
    assert!(
        !bare.to_json().contains("minor units"),
        "{}",
        bare.to_json()
    );
    let document: Value = serde_json::from_str(&bare.to_json()).unwrap();
    assert_eq!(
        document["written_definitions"]["Balance"]["required"],
        json!(["amount", "held"])
    );
}

#[test]
fn types_without_a_schema_are_named_and_have_the_fingerprint_of_the_signature() {
    contract! { plain,
        #[derive(Serialize, Deserialize)]
        pub struct Amount(u64);

        #[queue_handler("plain.requests")]
        pub trait Plain {
            async fn pay(&self, amount: Amount, to: String) -> Result<Vec<Amount>, Never>;
            #[query]
            async fn paid(&self) -> Result<u64, Never>;
        }
    }
    static BY_HAND: ServiceContract = ServiceContract::new("ByHand", "hand", &[]);
    let contract = plain::PlainClient::CONTRACT;
    let built = Contracts::builder()
        .service(contract)
        .service(&BY_HAND)
        .build();
    let missing = built.unwrap_err().missing;
    let [argument, value, by_hand] = &missing[..] else {
        panic!("{missing:?}")
    };
    assert!(
        argument.starts_with("Plain.pay, argument `amount`: "),
        "{argument}"
    );
    assert!(argument.ends_with("::Amount"), "{argument}");
    assert!(value.starts_with("Plain.pay, value: "), "{value}");
    assert!(by_hand.starts_with("ByHand"), "{by_hand}");
    let of = |method: &str| contract.fingerprint(contract.method(method).unwrap().1);
    assert_eq!(of("pay").kind(), FingerprintKind::Signature);
    assert_eq!(of("paid").kind(), FingerprintKind::Schema);
}

/// The fingerprint of the first method.
fn print(contract: &ServiceContract) -> Fingerprint {
    let document = contract.fingerprint(contract.methods.first().unwrap());
    assert_eq!(document.kind(), FingerprintKind::Schema);
    document
}

#[test]
fn a_fingerprint_knows_what_travels_and_nothing_else() {
    macro_rules! variant {
        ($name:ident, $(#[$kind:meta])? { $($field:tt)* }, ($($argument:tt)*)) => {
            contract! { $name,
                #[derive(Serialize, Deserialize, JsonSchema)]
                pub struct Paid { $($field)* }
                #[queue_handler("pays", partitions = 2)]
                pub trait Pays {
                    $(#[$kind])?
                    async fn pay(&self, $($argument)*) -> Result<Paid, Never>;
                }
            }
        };
    }
    variant!(plain, { pub at: u64, pub by: String }, (#[key] to: u64, amount: u64));
    variant!(documented, #[doc = "Pays."] { /** When. */ pub at: u64, pub by: String }, (#[key] to: u64, amount: u64));
    variant!(reordered, { pub by: String, pub at: u64 }, (amount: u64, #[key] to: u64));
    variant!(keyed, { pub at: u64, pub by: String }, (to: u64, #[key] amount: u64));
    variant!(asked, #[query] { pub at: u64, pub by: String }, (#[key] to: u64, amount: u64));
    variant!(wider, { pub at: u64, pub by: Option<String> }, (#[key] to: u64, amount: u64));
    variant!(defaulted, { pub at: u64, #[serde(default)] pub by: String }, (#[key] to: u64, amount: u64));
    let of = print(plain::PaysClient::CONTRACT);
    assert_eq!(of, print(documented::PaysClient::CONTRACT));
    assert_eq!(of, print(reordered::PaysClient::CONTRACT));
    for other in [
        keyed::PaysClient::CONTRACT,
        asked::PaysClient::CONTRACT,
        wider::PaysClient::CONTRACT,
        defaulted::PaysClient::CONTRACT,
    ] {
        assert!(of.differs_from(&print(other)));
    }
}

#[test]
fn a_fingerprint_is_the_same_in_the_document_and_for_types_that_are_called_otherwise() {
    contract! { one,
        #[derive(Serialize, Deserialize, JsonSchema)]
        pub struct Tree { pub branches: Vec<Tree> }
        #[queue_handler("one")]
        pub trait One { async fn cut(&self, tree: Tree) -> Result<Tree, Never>; }
    }
    contract! { other,
        #[derive(Serialize, Deserialize, JsonSchema)]
        pub struct Bush { pub branches: Vec<Bush> }
        #[queue_handler("other")]
        pub trait One { async fn cut(&self, tree: Bush) -> Result<Bush, Never>; }
    }
    let of = print(one::OneClient::CONTRACT);
    assert_eq!(of, print(other::OneClient::CONTRACT));
    let both = Contracts::builder().service(other::OneClient::CONTRACT);
    let both = both.service(one::OneClient::CONTRACT).build().unwrap();
    let both: Value = serde_json::from_str(&both.to_json()).unwrap();
    for service in both["services"].as_array().unwrap() {
        assert_eq!(service["methods"]["cut"]["fingerprint"], of.to_string());
    }
}

#[test]
fn what_is_no_document_is_refused_with_a_reason() {
    let good = Contracts::builder().service(accounts::AccountsClient::CONTRACT);
    let good = good.build().unwrap().to_json();
    for (text, reason) in [
        (String::new(), "no document"),
        ("[]".to_owned(), "no document"),
        (good.replace("\"format\": 1", "\"format\": 2"), "in form 2"),
        (
            good.replace("\"kind\": \"query\"", "\"kind\": \"guess\""),
            "guess",
        ),
        (
            good.replace("definitions/Balance", "definitions/Other"),
            "\"Other\"",
        ),
        (
            format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
            "no document",
        ),
    ] {
        let refused = Contracts::from_json(&text).unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn an_export_is_a_document_of_asyncapi() {
    let contracts = Contracts::builder()
        .event::<accounts::Opened>()
        .service(loads::LoadsClient::CONTRACT)
        .service(accounts::AccountsClient::CONTRACT);
    let exported = contracts.build().unwrap().to_asyncapi("The bank", "1.4.0");
    let exported: Value = serde_json::from_str(&exported).unwrap();
    let standard: Value =
        serde_json::from_str(include_str!("../data/asyncapi-3.0.0.json")).unwrap();
    let standard = jsonschema::validator_for(&standard).unwrap();
    let wrong: Vec<String> = standard
        .iter_errors(&exported)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // It would be told.
    let mut other = exported.clone();
    other["operations"]["Accounts.close"]["action"] = json!("do");
    assert!(!standard.is_valid(&other));

    let operation = &exported["operations"]["Accounts.balance"];
    assert_eq!(operation["x-replybus"]["kind"], "query");
    assert_eq!(operation["x-replybus"]["key"], "account");
    assert_eq!(operation["summary"], "The balance.");
    let channel = &exported["channels"]["account.requests"];
    assert_eq!(channel["address"], "account.requests.{partition}");
    let reply = &exported["components"]["messages"]["Accounts.balance.reply"]["payload"];
    let written = json!({ "$ref": "#/components/schemas/Balance-written" });
    assert_eq!(reply["properties"]["body"], written);
    let schemas = &exported["components"]["schemas"];
    assert_eq!(schemas["Balance"]["required"], json!(["amount"]));
    assert_eq!(
        schemas["Balance-written"]["required"],
        json!(["amount", "held"])
    );
    let events = &exported["channels"]["account.opened"]["bindings"]["amqp"];
    assert_eq!(events["exchange"]["name"], "replybus.events");
    all_references_lead_somewhere(&exported, &exported);
}

fn all_references_lead_somewhere(document: &Value, part: &Value) {
    if let Some(to) = part.get("$ref").and_then(Value::as_str) {
        let pointer = to.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{to} leads nowhere");
    }
    match part {
        Value::Object(entries) => {
            entries
                .values()
                .for_each(|part| all_references_lead_somewhere(document, part));
        }
        Value::Array(items) => {
            items
                .iter()
                .for_each(|part| all_references_lead_somewhere(document, part));
        }
        _ => {}
    }
}
