//! What an instance says of its contract.

use crate::{contract::ServiceContract, presence::InstanceId};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;

/// The contract of an instance as data, by its own word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InstanceContract {
    /// The instance.
    pub instance: InstanceId,
    /// The document of it, as `schema::Contracts` reads it; `None` if its program was built without
    /// the feature `schema`, or a type has no schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The contract that is served here. Its document is put together when it is first asked for.
#[derive(Debug)]
pub(crate) struct ServedContract {
    contract: &'static ServiceContract,
    document: OnceLock<Result<String, String>>,
}

impl ServedContract {
    pub(crate) fn new(contract: &'static ServiceContract) -> Self {
        Self {
            contract,
            document: OnceLock::new(),
        }
    }

    pub(super) fn of(&self, instance: InstanceId) -> InstanceContract {
        let document = self.document.get_or_init(|| document(self.contract));
        InstanceContract {
            instance,
            document: document.as_ref().ok().cloned(),
            reason: document.as_ref().err().cloned(),
        }
    }
}

#[cfg(feature = "schema")]
fn document(contract: &'static ServiceContract) -> Result<String, String> {
    use crate::{limits::CONTRACT_ANSWER_BYTES_MAX, schema::Contracts};
    let built = Contracts::builder().service(contract).build();
    let document = built.map_err(|error| error.to_string())?.to_json();
    match document.len() {
        ..=CONTRACT_ANSWER_BYTES_MAX => Ok(document),
        bytes => Err(format!(
            "it has {bytes} bytes, {CONTRACT_ANSWER_BYTES_MAX} are told"
        )),
    }
}

#[cfg(not(feature = "schema"))]
fn document(_: &'static ServiceContract) -> Result<String, String> {
    Err("its program is built without the feature schema".to_owned())
}
