//! Contracts as data (feature `schema`): the JSON Schema of all that travels, of arguments, replies,
//! errors and events, taken from the types themselves.
//!
//! A type has a schema if it derives [`JsonSchema`], of [schemars], which is re-exported here:
//!
//! ```
//! use replybus::{
//!     Event, Never, queue_handler,
//!     schema::{Contracts, JsonSchema},
//! };
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[schemars(crate = "replybus::schema::schemars")]
//! pub struct Rate { per_mille: u16 }
//!
//! #[derive(Event, Serialize, Deserialize, JsonSchema)]
//! #[event("rate.changed")]
//! #[schemars(crate = "replybus::schema::schemars")]
//! pub struct RateChanged { currency: String, rate: Rate }
//!
//! #[queue_handler("rates.requests")]
//! pub trait Rates {
//!     /// The rate of a currency, now or on a day.
//!     #[query]
//!     async fn rate(&self, currency: String, day: Option<u32>) -> Result<Rate, Never>;
//! }
//!
//! let contracts = Contracts::builder()
//!     .service(RatesClient::CONTRACT)
//!     .event::<RateChanged>()
//!     .build()?;
//! assert!(contracts.to_json().contains("per_mille"));
//! # Ok::<(), replybus::schema::SchemaError>(())
//! ```
//!
//! The feature asks nothing of types: a contract whose types have no schemas compiles, and is told
//! by the [builder](ContractsBuilder::build) which they are. With it, and with schemas, the
//! [fingerprints](crate::contract::Fingerprint) of methods know what is in the types.
//!
//! Each type is described twice, where that differs: as it is read, and as it is written. A field with
//! `#[serde(default)]` need not be there to be read, and is there when it is written.

mod asyncapi;
mod builder;
mod compatibility;
mod description;
mod document;
mod fingerprint;
mod json;
mod lock;
mod optional;
mod part;
mod views;

pub use builder::{ContractsBuilder, SchemaError};
pub use compatibility::{Change, Impact};
#[doc(hidden)]
pub use description::{Description, MethodParts};
pub use lock::LockError;
#[doc(hidden)]
pub use part::{KnownType, Part, TypeOf, UnknownType};

/// The crate that schemas come from.
#[doc(no_inline)]
pub use schemars;
#[doc(no_inline)]
pub use schemars::JsonSchema;

pub(crate) use builder::fingerprint;

use document::{Document, FORMAT, TypeSchema};
use std::collections::BTreeSet;

/// Services and events, with the schemas of all that travels: what is written to a file, compared
/// with what it was, and exported.
#[derive(Debug, Clone, PartialEq)]
pub struct Contracts(Document);

/// A text that is no document of contracts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidContracts {
    /// It is no JSON, or not of this form.
    #[error("no document of contracts: {0}")]
    Unreadable(String),
    /// A newer version wrote it.
    #[error("a document of contracts in form {0}, of which this version knows {FORMAT}")]
    Format(u32),
    /// A schema refers to what is not in the document.
    #[error("a document of contracts without a definition of {0:?}")]
    Undefined(String),
}

impl Contracts {
    /// Begins to collect contracts.
    pub fn builder() -> ContractsBuilder {
        ContractsBuilder::default()
    }

    /// The document, as JSON of many lines; the same contracts always give the same text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Its keys are texts: there is nothing that JSON does not hold.
        let mut text = serde_json::to_string_pretty(&self.0).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a document.
    ///
    /// # Errors
    /// It is none, or of a later form.
    pub fn from_json(text: &str) -> Result<Self, InvalidContracts> {
        #[derive(serde::Deserialize)]
        struct Form {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| InvalidContracts::Unreadable(error.to_string());
        let Form { format } = serde_json::from_str(text).map_err(unreadable)?;
        if format != FORMAT {
            return Err(InvalidContracts::Format(format));
        }
        let document: Document = serde_json::from_str(text).map_err(unreadable)?;
        match document.undefined() {
            Some(name) => Err(InvalidContracts::Undefined(name)),
            None => Ok(Self(document)),
        }
    }

    /// The same without documentation: all that programs agree on.
    #[must_use]
    pub fn without_docs(self) -> Self {
        Self(self.0.bare())
    }
}

impl Document {
    /// A name that has no definition, if there is one.
    fn undefined(&self) -> Option<String> {
        let mut missing = BTreeSet::new();
        let definitions = &self.definitions;
        for view in [definitions.read_view(), definitions.written_view()] {
            for schema in self.types() {
                view.missing(schema.view(view), &mut missing);
            }
            let all = definitions
                .read
                .values()
                .chain(definitions.written.values());
            all.for_each(|schema| view.missing(schema, &mut missing));
        }
        missing.pop_first()
    }

    /// All types that stand in it.
    fn types(&self) -> impl Iterator<Item = &TypeSchema> {
        let methods = self
            .services
            .iter()
            .flat_map(|service| service.methods.values());
        let methods = methods.flat_map(|method| {
            let fed = method.fed.iter().map(|fed| &fed.item);
            let parts = [&method.arguments, &method.reply];
            parts.into_iter().chain(&method.error).chain(fed)
        });
        methods.chain(self.events.iter().map(|event| &event.body))
    }
}
