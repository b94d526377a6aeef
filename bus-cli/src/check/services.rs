//! Every queue that is served: whether the broker agrees with the records, and what waits.

use super::Findings;
use crate::failure::chain;
use replybus::{
    Bus,
    contract::Fingerprint,
    presence::{Instance, ServedQueue},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

/// Letters that a queue of dead letters holds before it drops further ones, as services declare it.
const LETTERS_MAX: u64 = replybus::limits::DEAD_LETTERS_MAX as u64;

/// A start that is further ahead is one of another clock.
const CLOCK_AHEAD: Duration = Duration::from_secs(1);

pub(super) async fn look(bus: &Bus, findings: &mut Findings) {
    match bus.services().await {
        Ok(services) if services.is_empty() => {
            findings.note("services", "nothing is served in this namespace");
        }
        Ok(services) => {
            for served in &services {
                queue(bus, served, findings).await;
            }
        }
        Err(error) => findings.wrong("services", chain(&error)),
    }
}

async fn queue(bus: &Bus, served: &ServedQueue, findings: &mut Findings) {
    let (name, instances) = (&served.queue, &served.instances);
    if let Some(why) = &served.unknown {
        findings.wrong(name, why.clone());
        return;
    }
    match bus.inspect(name).await {
        Ok(Some(state)) if instances.is_empty() => findings.wrong(
            name,
            format!(
                "its last instance was lost, {} consumers, {} messages wait: start one, and see \
                 its log",
                state.consumers, state.waiting
            ),
        ),
        Ok(Some(state)) if state.consumers == 0 => findings.wrong(
            name,
            format!(
                "{} instances and no consumer, {} messages wait: restart one, and see its log",
                instances.len(),
                state.waiting
            ),
        ),
        Ok(Some(state)) => findings.ok(
            name,
            format!(
                "{} instances, {} consumers, {} messages wait",
                instances.len(),
                state.consumers,
                state.waiting
            ),
        ),
        Ok(None) => findings.wrong(
            name,
            "there is no such queue; its instances declare it when they are restarted",
        ),
        Err(error) => findings.wrong(name, chain(&error)),
    }
    contracts(name, instances, findings);
    clocks(name, instances, findings);
    letters(bus, name, findings).await;
}

/// One version has one contract.
fn contracts(name: &str, instances: &[Instance], findings: &mut Findings) {
    let contracts: BTreeSet<_> = instances.iter().map(|instance| &instance.methods).collect();
    let versions: BTreeSet<_> = instances.iter().map(|instance| &instance.version).collect();
    let mut pairs = contracts
        .iter()
        .flat_map(|one| contracts.iter().map(move |other| (one, other)));
    if pairs.any(|(one, other)| differ(one, other)) {
        let text = format!(
            "{} contracts in {} versions: right while a new one is rolled out; `replybus services \
             {name}` shows which methods differ",
            contracts.len(),
            versions.len()
        );
        findings.note(name, text);
    }
}

/// `true` if two instances have different contracts for sure: fingerprints of two kinds say nothing of
/// each other.
fn differ(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>) -> bool {
    let is_other = |(name, print): (&String, &String)| {
        let Some(other) = other.get(name) else {
            return true;
        };
        match (print.parse::<Fingerprint>(), other.parse()) {
            (Ok(one), Ok(other)) => one.differs_from(&other),
            _ => print != other,
        }
    };
    one.len() != other.len() || one.iter().any(is_other)
}

fn clocks(name: &str, instances: &[Instance], findings: &mut Findings) {
    let now = SystemTime::now();
    for instance in instances {
        let ahead = instance.started_at.duration_since(now).unwrap_or_default();
        if ahead > CLOCK_AHEAD {
            let host = &instance.host;
            let text = format!("the clock of {host} is ahead of this one: set them, by NTP say");
            findings.note(name, text);
        }
    }
}

async fn letters(bus: &Bus, name: &str, findings: &mut Findings) {
    let dead = format!("{name}.dead");
    match bus.inspect(&dead).await {
        Ok(Some(state)) if state.waiting >= LETTERS_MAX => {
            findings.wrong(
                dead,
                "full: further letters are dropped; `replybus dlq` deals with them",
            );
        }
        Ok(Some(state)) if state.waiting > 0 => {
            let text = format!("{} letters; `replybus dlq list {name}`", state.waiting);
            findings.note(dead, text);
        }
        Ok(Some(_)) => findings.ok(dead, "no dead letters"),
        Ok(None) => findings.wrong(
            dead,
            "there is no queue for dead letters: restart an instance",
        ),
        Err(error) => findings.wrong(dead, chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::differ;

    #[test]
    fn contracts_differ_only_by_fingerprints_of_one_kind() {
        let of = |print: &str| [("pay".to_owned(), print.to_owned())].into();
        let schema = of("schema:0011223344556677");
        assert!(differ(&schema, &of("schema:0011223344556678")));
        assert!(!differ(&schema, &schema));
        assert!(!differ(&schema, &of("0011223344556678")));
        assert!(differ(&of("from the future"), &of("another")));
        assert!(differ(&schema, &[].into()));
        assert!(differ(
            &schema,
            &[("take".to_owned(), String::new())].into()
        ));
    }
}
