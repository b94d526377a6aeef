//! What the gateway's description says of types is what travels to it: both are taken from them, by
//! two crates that read other attributes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

use contracts::{
    Page, PartHealth, ServiceHealth,
    account::{AdminUser, Balance, EntryKind, Holder, Profile, StatementEntry},
    auth::{LoggedIn, Registered},
    month_statement::{MonthResult, MonthStatement},
    notification::{AdminNotification, MarkedRead, Notification},
    standing_order::{StandingOrder, StandingOutcome},
    transfer::{AdminTransfer, Transaction, TransferReceipt},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::PartialSchema;

/// What both say of a type: its fields, each with what it may be where that is said there, which of
/// them are always written, and the texts it may be.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    fields: BTreeSet<String>,
    required: BTreeSet<String>,
    texts: BTreeSet<String>,
}

fn said(schema: &Value) -> Said {
    let texts = |of: &Value| -> BTreeSet<String> {
        let listed = of.as_array().into_iter().flatten();
        listed
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let one_of = schema["oneOf"].as_array().into_iter().flatten();
    let constants = one_of
        .filter_map(|one| one["const"].as_str())
        .map(str::to_owned);
    let fields = schema["properties"].as_object().into_iter().flatten();
    Said {
        fields: fields.map(|(name, _)| name.clone()).collect(),
        required: texts(&schema["required"]),
        texts: texts(&schema["enum"])
            .into_iter()
            .chain(constants)
            .collect(),
    }
}

/// What each field may be, where it is said at the field.
fn types(schema: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let fields = schema["properties"].as_object().into_iter().flatten();
    let types = fields.map(|(name, field)| {
        let types = match &field["type"] {
            Value::String(one) => [one.clone()].into(),
            several => said(&serde_json::json!({ "enum": several })).texts,
        };
        (name.clone(), types)
    });
    types.filter(|(_, types)| !types.is_empty()).collect()
}

fn hold<T: PartialSchema + JsonSchema>() -> Result<(), String> {
    let settings = SchemaSettings::draft07().for_serialize().with(|settings| {
        settings.inline_subschemas = true;
    });
    let travelling = settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    let described = serde_json::to_value(T::schema()).unwrap();
    let name = std::any::type_name::<T>();
    let (is, says) = (said(&travelling), said(&described));
    // A field that is always written, and may be null, need not be said to be required.
    let is_right = is.fields == says.fields
        && is.texts == says.texts
        && says.required.is_subset(&is.required)
        && !(is.fields.is_empty() && is.texts.is_empty());
    if !is_right {
        return Err(format!("{name} is {is:?}, and is described as {says:?}"));
    }
    let (are, described) = (types(&travelling), types(&described));
    for (field, is) in &are {
        if let Some(says) = described.get(field)
            && says != is
        {
            return Err(format!(
                "{name}.{field} is {is:?}, and is described as {says:?}"
            ));
        }
    }
    Ok(())
}

#[test]
fn the_description_of_each_type_is_that_of_what_travels() {
    let held = [
        hold::<Profile>(),
        hold::<Balance>(),
        hold::<Holder>(),
        hold::<StatementEntry>(),
        hold::<EntryKind>(),
        hold::<AdminUser>(),
        hold::<Registered>(),
        hold::<LoggedIn>(),
        hold::<MonthStatement>(),
        hold::<MonthResult>(),
        hold::<Notification>(),
        hold::<MarkedRead>(),
        hold::<AdminNotification>(),
        hold::<StandingOrder>(),
        hold::<StandingOutcome>(),
        hold::<TransferReceipt>(),
        hold::<Transaction>(),
        hold::<AdminTransfer>(),
        hold::<Page<Balance>>(),
        hold::<ServiceHealth>(),
        hold::<PartHealth>(),
    ];
    let wrong: Vec<String> = held.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_description_that_is_not_in_step_is_noticed() {
    #[derive(JsonSchema, utoipa::ToSchema)]
    #[allow(dead_code)]
    struct Apart {
        #[schema(value_type = String)]
        amount: u64,
    }
    #[derive(JsonSchema, utoipa::ToSchema)]
    #[allow(dead_code)]
    struct Renamed {
        #[schema(rename = "sum")]
        amount: u64,
    }
    assert!(hold::<Apart>().unwrap_err().contains(".amount is"));
    assert!(hold::<Renamed>().unwrap_err().contains("sum"));
}
