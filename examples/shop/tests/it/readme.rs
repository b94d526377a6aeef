//! The session that the README shows, as a shell runs it.

use crate::stage::{embedded, settings};
use clap::ValueEnum as _;
use serde_json::Value;
use shop::ServiceName;
use tokio::process::Command;
use town::wait::eventually;

/// A line of the session, and what it says.
struct Line {
    command: String,
    says: Option<String>,
}

/// The lines of the first block of shell after that heading.
fn session() -> Vec<Line> {
    let readme = include_str!("../../README.md");
    let (_, after) = readme.split_once("## A session").unwrap();
    let (_, block) = after.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut lines: Vec<Line> = Vec::new();
    for line in block.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(says) => lines.last_mut().unwrap().says = Some(says.to_owned()),
            None => lines.push(Line {
                command: line.to_owned(),
                says: None,
            }),
        }
    }
    lines
}

/// `true` if all that is shown is there.
fn shows(shown: &Value, there: &Value) -> bool {
    match (shown, there) {
        (Value::String(any), _) if any == ".." => !there.is_null(),
        (Value::Object(shown), Value::Object(there)) => shown
            .iter()
            .all(|(name, shown)| there.get(name).is_some_and(|there| shows(shown, there))),
        (Value::Array(shown), Value::Array(there)) => {
            let mut pairs = shown.iter().zip(there);
            shown.len() == there.len() && pairs.all(|(shown, there)| shows(shown, there))
        }
        _ => shown == there,
    }
}

/// A body and a status.
fn read(said: &str) -> (Value, &str) {
    let (body, status) = said.trim().rsplit_once(' ').unwrap();
    let body = serde_json::from_str(body);
    (
        body.unwrap_or_else(|error| panic!("{error}: {said}")),
        status,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_of_the_readme_is_true() {
    embedded(settings(), async |client| {
        let mut before = String::new();
        let mut held = 0;
        for Line { command, says } in session() {
            let Some(says) = says else {
                // A name that later lines use.
                before = format!("{before}{command}\n");
                continue;
            };
            let mut script = format!("{before}{command}");
            for (port, name) in [8001, 8002, 8003, 8004]
                .iter()
                .zip(ServiceName::value_variants())
            {
                let address = client.addresses[name].to_string();
                script = script.replace(&format!("127.0.0.1:{port}"), &address);
            }
            let only_reads = !command.contains(" -d ");
            let (shown, status) = read(&says);
            // What is told of an order comes a moment after it.
            eventually("it is as shown", async || {
                let ran = Command::new("sh")
                    .args(["-c", &script])
                    .output()
                    .await
                    .unwrap();
                let said = String::from_utf8(ran.stdout).unwrap();
                let (body, got) = read(&said);
                let is_so = got == status && shows(&shown, &body);
                assert!(is_so || only_reads, "{command}\n{said}");
                is_so.then_some(())
            })
            .await;
            held += 1;
        }
        assert_eq!(held, 18);
    })
    .await;
}
