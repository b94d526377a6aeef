//! From contracts to their document.

use super::{
    Contracts,
    description::{Description, MethodDescription},
    document::{
        Definitions, Document, EventSchema, FORMAT, FedSchema, Kind, MethodSchema, ServiceSchema,
        TypeSchema,
    },
    part::Part,
    views::Views,
};
use crate::{
    contract::{Fingerprint, MethodContract, MethodKind, ServiceContract},
    event::Event,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Collects contracts for a document: [`Contracts::builder`].
#[derive(Debug, Default)]
#[must_use = "a builder does nothing before it is built"]
pub struct ContractsBuilder {
    services: Vec<&'static ServiceContract>,
    events: Vec<(&'static str, &'static str, Part)>,
}

/// Contracts of which there is no whole document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no schema of {}: derive replybus::schema::JsonSchema, or write a contract as a trait with #[queue_handler]",
    .missing.join("; ")
)]
#[non_exhaustive]
pub struct SchemaError {
    /// What has no schema: methods, with the type that has none, and services that were written by
    /// hand.
    pub missing: Vec<String>,
}

impl ContractsBuilder {
    /// Adds a service, by the constant that its client and its server have.
    pub fn service(mut self, contract: &'static ServiceContract) -> Self {
        self.services.push(contract);
        self
    }

    /// Adds an event.
    pub fn event<E: Event + JsonSchema + DeserializeOwned>(mut self) -> Self {
        let event = (E::ROUTING_KEY, E::EXCHANGE, Part::of::<E>());
        self.events.push(event);
        self
    }

    /// The document of all that was added, in the order of their queues and routing keys.
    ///
    /// # Errors
    /// A type has no schema, or a contract was written by hand and says nothing of its types.
    pub fn build(self) -> Result<Contracts, SchemaError> {
        let mut views = Views::new();
        let mut missing = Vec::new();
        let mut services = Vec::new();
        for contract in self.services {
            let Some(description) = contract.described.description() else {
                missing.push(format!("{}, which was written by hand", contract.name));
                continue;
            };
            services.push(service(contract, &description, &mut views, &mut missing));
        }
        let mut events = Vec::new();
        for (event, exchange, part) in self.events {
            // One that is added has a schema.
            events.extend(views.of(&part).map(|body| EventSchema {
                event: event.to_owned(),
                exchange: exchange.to_owned(),
                body,
            }));
        }
        if !missing.is_empty() {
            return Err(SchemaError { missing });
        }
        services.sort_by(|one, other| one.queue.cmp(&other.queue));
        services.dedup();
        events.sort_by(|one, other| one.event.cmp(&other.event));
        events.dedup();
        let definitions = views.into_definitions();
        for method in services.iter_mut().flat_map(|of| of.methods.values_mut()) {
            method.fingerprint = method.fingerprint_of(&definitions).to_string();
        }
        Ok(Contracts(Document {
            format: FORMAT,
            services,
            events,
            definitions,
        }))
    }
}

/// The fingerprint of a method of a contract that a macro wrote, if all of its types have schemas.
pub(crate) fn fingerprint(
    contract: &ServiceContract,
    method: &MethodContract,
) -> Option<Fingerprint> {
    let description = contract.described.description()?;
    let mut methods = contract.methods.iter().zip(&description.methods);
    let (_, described) = methods.find(|(known, _)| known.name == method.name)?;
    let mut views = Views::new();
    let method = self::method(contract, method, described, &mut views)?;
    let definitions: Definitions = views.into_definitions();
    Some(method.fingerprint_of(&definitions))
}

fn service(
    contract: &ServiceContract,
    description: &Description,
    views: &mut Views,
    missing: &mut Vec<String>,
) -> ServiceSchema {
    let methods = contract.methods.iter().zip(&description.methods);
    let methods = methods.filter_map(|(method, described)| {
        let unknown = described.unknown();
        missing.extend(unknown.map(|what| format!("{}.{}, {what}", contract.name, method.name)));
        let schema = self::method(contract, method, described, views)?;
        Some((method.name.to_owned(), schema))
    });
    ServiceSchema {
        service: contract.name.to_owned(),
        queue: contract.queue.to_owned(),
        partitions: contract.partitions,
        methods: methods.collect(),
    }
}

/// The schema of a method, but for its fingerprint; `None` if a type has none.
fn method(
    contract: &ServiceContract,
    method: &MethodContract,
    described: &MethodDescription,
    views: &mut Views,
) -> Option<MethodSchema> {
    let fed = match &described.fed {
        Some((argument, part)) => Some(FedSchema {
            argument: (*argument).to_owned(),
            item: views.of(part)?,
        }),
        None => None,
    };
    Some(MethodSchema {
        kind: match method.kind {
            MethodKind::Query => Kind::Query,
            MethodKind::Command => Kind::Command,
        },
        docs: Some(described.docs.clone()).filter(|docs| !docs.is_empty()),
        fingerprint: String::new(),
        timeout_ms: millis(contract.timeout(method)),
        job_ms: method.job.map(millis),
        own_record: method.own_record,
        put_off: method.retry.is_some(),
        key: described.key.map(str::to_owned),
        arguments: views.arguments(&described.arguments)?,
        fed,
        stream: method.stream,
        reply: views.of(&described.reply)?,
        error: Some(views.of(&described.error)?).filter(|error: &TypeSchema| !error.is_never()),
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
