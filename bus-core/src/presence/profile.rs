//! What this process knows of an instance that it serves.

use super::{Instance, InstanceId, Seen};
use crate::{
    contract::{ServiceContract, wall_clock},
    limits::{INSTANCE_METHODS_MAX, INSTANCE_TEXT_MAX},
    work::Lifetime,
};
use std::{collections::BTreeMap, fs, process, sync::Arc};

/// Where Linux keeps the name of the machine, or of the container.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// An instance that is served here.
#[derive(Debug)]
pub(crate) struct Profile {
    instance: Instance,
    lifetime: Lifetime,
    seen: Arc<Seen>,
}

impl Profile {
    pub(crate) fn new(
        id: InstanceId,
        contract: &ServiceContract,
        version: Option<String>,
        program: &str,
        lifetime: Lifetime,
    ) -> Self {
        let methods = contract.methods.iter().take(INSTANCE_METHODS_MAX);
        let instance = Instance {
            id,
            service: shown(contract.name),
            version,
            program: shown(program),
            host: host(),
            process: process::id(),
            methods: methods
                .map(|method| (shown(method.name), contract.fingerprint(method).to_string()))
                .collect::<BTreeMap<_, _>>(),
            partitions: contract.partitions,
            started_at: wall_clock(),
            in_flight: 0,
            draining: false,
        };
        Self {
            instance,
            lifetime,
            seen: Arc::new(Seen::not_yet()),
        }
    }

    pub(crate) fn id(&self) -> InstanceId {
        self.instance.id
    }

    /// The instance as it is now.
    pub(crate) fn instance(&self) -> Instance {
        Instance {
            in_flight: self.lifetime.in_flight(),
            draining: self.lifetime.is_draining(),
            ..self.instance.clone()
        }
    }

    pub(crate) fn lifetime(&self) -> &Lifetime {
        &self.lifetime
    }

    /// Whether others see it.
    pub(crate) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }
}

pub(crate) fn host() -> String {
    let host = fs::read_to_string(HOSTNAME).ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.or_else(|| std::env::var("COMPUTERNAME").ok());
    shown(host.unwrap_or_default().trim())
}

/// A text as a record may hold it.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.replace(char::is_control, "?").chars() {
        if shown.len() + character.len_utf8() > INSTANCE_TEXT_MAX {
            break;
        }
        shown.push(character);
    }
    shown
}
