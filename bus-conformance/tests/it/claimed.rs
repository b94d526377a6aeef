//! What is not claimed is not run, and is said to be left out.

use replybus::{reply::memory::MemoryReplies, transport::memory::MemoryBroker};
use replybus_conformance::{StoreCase, TransportCase, store_suite, transport_suite};
use std::{collections::BTreeSet, env, fmt, process::Command};

transport_suite!(part, claims: [delays, turns]);

#[tokio::main(flavor = "current_thread")]
async fn part(case: TransportCase) {
    fail_if_asked(&case);
    case.check(MemoryBroker::new()).await;
}

store_suite!(nothing, claims: []);

#[tokio::main(flavor = "current_thread")]
async fn nothing(case: StoreCase) {
    fail_if_asked(&case);
    case.check(MemoryReplies::new()).await;
}

/// So that those that are run are told from those that are not.
fn fail_if_asked(case: &dyn fmt::Display) {
    if env::var_os(ASKED).is_some() {
        panic!("{case} is run");
    }
}

const ASKED: &str = "REPLYBUS_CONFORMANCE_CLAIMED";

/// What this test program says of the tests whose names begin so: "ok", "FAILED" or "ignored, ..".
fn said(prefix: &str) -> Vec<(String, String)> {
    let output = Command::new(env::current_exe().unwrap())
        .args([prefix, "--test-threads=1"])
        .env(ASKED, "1")
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let lines = output.lines().filter_map(|line| line.strip_prefix("test "));
    let said = lines.filter_map(|line| line.split_once(" ... "));
    said.filter_map(|(name, said)| {
        let case = name.strip_prefix(prefix)?.to_owned();
        Some((case, said.to_owned()))
    })
    .collect()
}

#[test]
fn what_is_not_claimed_is_said_to_be_ignored_and_all_else_is_run() {
    let said = said("claimed::part::");
    assert_eq!(said.len(), TransportCase::all().len());
    for (case, said) in said {
        let group = case.split("::").next().unwrap().to_owned();
        let known = TransportCase::all()
            .iter()
            .find(|known| known.to_string() == case);
        let claimed = ["delays", "turns"].contains(&group.as_str());
        let expected = if claimed || !known.unwrap().is_optional() {
            "FAILED"
        } else {
            "ignored, not claimed"
        };
        assert_eq!(said, expected, "{case}");
    }
}

#[test]
fn a_store_need_claim_nothing() {
    let said = said("claimed::nothing::");
    assert_eq!(said.len(), StoreCase::all().len());
    let ignored = said
        .iter()
        .filter(|(_, said)| said == "ignored, not claimed");
    let optional = StoreCase::all().iter().filter(|case| case.is_optional());
    assert_eq!(ignored.count(), optional.count());
}

#[test]
fn no_two_cases_have_one_name() {
    let transport: BTreeSet<_> = TransportCase::all()
        .iter()
        .map(|case| case.name())
        .collect();
    assert_eq!(transport.len(), TransportCase::all().len());
    let store: BTreeSet<_> = StoreCase::all().iter().map(|case| case.name()).collect();
    assert_eq!(store.len(), StoreCase::all().len());
}
