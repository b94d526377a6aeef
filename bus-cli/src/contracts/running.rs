//! Contracts by the word of those who serve them.

use crate::{bus::with_bus, control::somebody, failure::Failure, settings::ServerArgs};
use replybus::{control::InstanceContract, presence::InstanceId, schema::Contracts};

/// What the instances of a queue serve, or one of them: `QUEUE@INSTANCE`.
pub(super) async fn fetch(servers: &ServerArgs, named: &str) -> Result<Contracts, Failure> {
    let (queue, instance) = match named.split_once('@') {
        None => (named, None),
        Some((queue, id)) => {
            let id: Result<InstanceId, _> = id.parse();
            let id = id.map_err(|error| Failure::Usage(format!("{named}: {error}")))?;
            (queue, Some(id))
        }
    };
    let mut told = Vec::new();
    with_bus(servers, async |bus| {
        let mut control = bus.control(queue);
        if let Some(instance) = instance {
            control = control.instance(instance);
        }
        let contracts = control.contracts().await;
        told = contracts.map_err(|error| Failure::because(queue, error))?;
        somebody(queue, told.len())
    })
    .await?;
    document(queue, &told)
}

/// The one document that all instances have.
fn document(queue: &str, told: &[InstanceContract]) -> Result<Contracts, Failure> {
    let mut documents = told.iter().map(|of| of.document.as_ref());
    let first = documents.next().flatten();
    if documents.any(|document| document != first) {
        let ids: Vec<String> = told.iter().map(|of| of.instance.to_string()).collect();
        return Err(Failure::Said(format!(
            "{queue}: its instances serve different contracts; name one of them, {queue}@INSTANCE: {}",
            ids.join(", ")
        )));
    }
    let Some(document) = first else {
        let reason = told.iter().find_map(|of| of.reason.as_deref());
        let reason = crate::output::shown(reason.unwrap_or("they do not say why"));
        return Err(Failure::Said(format!(
            "{queue}: its instances can't say their contract: {reason}"
        )));
    };
    Contracts::from_json(document).map_err(|error| Failure::because(queue, error))
}
