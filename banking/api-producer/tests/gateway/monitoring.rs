//! What `deploy/monitoring` asks Prometheus for, against the metrics that a bank really has, and its
//! runbooks against what is written of them.

use crate::started::SOON;
use api_producer::{HttpSettings, start};
use chassis::{Platform, Running, settings::PlatformSettings};
use contracts::{AccountNumber, Amount, Movement, Party, TransactionCompleted, UserId};
use jiff::Timestamp;
use live_feed::Feed;
use reqwest::{Client, StatusCode};
use rusty_promql_parser::{Expr, VectorSelector, expr};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};
use uuid::Uuid;

/// Names, each with the labels that it has or is asked for.
type Metrics = BTreeMap<String, BTreeSet<String>>;

#[derive(Deserialize)]
struct Alerts {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn banking(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rules() -> Vec<Rule> {
    let alerts: Alerts = serde_saphyr::from_str(&banking("deploy/monitoring/alerts.yml")).unwrap();
    let rules: Vec<Rule> = alerts
        .groups
        .into_iter()
        .flat_map(|group| group.rules)
        .collect();
    assert!(rules.len() > 10);
    rules
}

fn panels() -> Vec<Value> {
    let dashboard = banking("deploy/monitoring/grafana/dashboards/bank.json");
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// Every expression, with the place that it is from.
fn expressions() -> Vec<(String, String)> {
    let alerts = rules().into_iter().map(|rule| (rule.alert, rule.expr));
    let shown = panels().into_iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().unwrap().clone();
        targets.into_iter().map(move |target| {
            let expression = target["expr"].as_str().unwrap();
            // Grafana puts a time there.
            (title.clone(), expression.replace("$__rate_interval", "1m"))
        })
    });
    alerts.chain(shown).collect()
}

/// The metrics that an expression asks for, with all labels by which it picks or groups them.
fn asked(expression: &Expr, grouped: &[String], metrics: &mut Metrics) {
    let select = |selector: &VectorSelector, metrics: &mut Metrics| {
        let name = selector.name.clone().unwrap();
        let picked = selector.matchers.iter();
        let picked = picked.map(|matcher| matcher.name.clone());
        let labels = picked.chain(grouped.iter().cloned());
        metrics.entry(name).or_default().extend(labels);
    };
    match expression {
        Expr::Aggregation(of) => {
            let own = of.grouping.as_ref().map(|grouping| &grouping.labels[..]);
            asked(&of.expr, own.unwrap_or(grouped), metrics);
        }
        Expr::Unary(of) => asked(&of.expr, grouped, metrics),
        Expr::Binary(of) => {
            asked(&of.lhs, grouped, metrics);
            asked(&of.rhs, grouped, metrics);
        }
        Expr::Paren(of) => asked(of, grouped, metrics),
        Expr::Subquery(of) => asked(&of.expr, grouped, metrics),
        Expr::Call(of) => {
            for argument in &of.args {
                asked(argument, grouped, metrics);
            }
        }
        Expr::VectorSelector(selector) => select(selector, metrics),
        Expr::MatrixSelector(of) => select(&of.selector, metrics),
        Expr::Number(_) | Expr::String(_) => {}
    }
}

/// The metrics of a whole expression.
fn asked_by(place: &str, expression: &str) -> Metrics {
    let (rest, parsed) =
        expr(expression).unwrap_or_else(|error| panic!("{place}: {expression}: {error}"));
    assert!(rest.trim().is_empty(), "{place}: {rest:?} of {expression}");
    let mut metrics = Metrics::new();
    asked(&parsed, &[], &mut metrics);
    assert!(!metrics.is_empty(), "{place}: {expression}");
    metrics
}

/// What a text of metrics has, and what Prometheus adds of its own.
fn had(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((sample, _)) = line.rsplit_once(' ') else {
            continue;
        };
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        // No value of ours has a quote in it.
        let labels = labels.split('"').step_by(2);
        let labels = labels.filter_map(|label| label.trim_start_matches(',').strip_suffix('='));
        let known = metrics.entry(name.to_owned()).or_default();
        known.extend(labels.map(str::to_owned));
    }
    let own = ["job", "instance"].map(str::to_owned);
    metrics.insert("up".to_owned(), own.into());
    metrics
}

/// A bank in which everything happens that is counted.
async fn busy_bank() -> (Running, SocketAddr) {
    // Before anything is opened that counts.
    let _ = chassis::metrics_text();
    let platform = Platform::connect("bank", PlatformSettings::default());
    let platform = platform.await.unwrap();
    let feed = Feed::open(&platform).unwrap();
    let ttl = Duration::from_secs(3600);
    let notification = notification_service::start(&platform, &feed).await.unwrap();
    let mut http = HttpSettings::at("127.0.0.1:0".parse().unwrap());
    http.breaker_failures = 1;
    let (gateway, address) = start(&platform, &http, &feed).await.unwrap();
    let running = [
        auth_service::start(&platform, ttl).await.unwrap(),
        account_service::start(&platform).await.unwrap(),
        transfer_service::start(&platform).await.unwrap(),
        gateway,
    ];
    let running = running.into_iter().fold(Running::new(), Running::with);
    let client = Client::new();
    let post = async |path: &str, session: &str, body: Value| {
        let request = client.post(format!("http://{address}/api/{path}"));
        let told = request
            .header("X-Session", session)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(told.status(), StatusCode::OK, "{path}");
        told.json::<Value>().await.unwrap()
    };
    for username in ["ada", "bob"] {
        let who = json!({ "username": username, "password": "correct horse" });
        post("auth/register", "", who).await;
    }
    let who = json!({ "username": "ada", "password": "correct horse" });
    let told = post("auth/login", "", who).await;
    let session = told["session"].as_str().unwrap();
    post("account/deposit", session, json!({ "amount": 5 })).await;
    let order = json!({ "to_username": "bob", "amount": 5 });
    post("transfer/transfer", session, order).await;
    let forged = TransactionCompleted {
        id: Uuid::now_v7(),
        movement: Movement::Deposit {
            to: Party {
                user_id: UserId::new(),
                username: "eve".parse().unwrap(),
                account_number: AccountNumber::draw(),
            },
            new_balance: 1_000_000,
        },
        amount: Amount::new(5).unwrap(),
        completed_at: Timestamp::now(),
        proof: None,
    };
    platform.bus.emit(&forged).await.unwrap();
    until(
        address,
        &[
            "bank_notifications_stored_total",
            "bank_events_not_told_total",
        ],
    )
    .await;
    // One service is away, and is not asked again for a while.
    notification.stop().await;
    let list = client.get(format!("http://{address}/api/notifications/notifications"));
    let told = list.header("X-Session", session).send().await.unwrap();
    assert_eq!(told.status(), StatusCode::SERVICE_UNAVAILABLE);
    (running, address)
}

/// The metrics, once these are among them.
async fn until(address: SocketAddr, names: &[&str]) -> Metrics {
    let mut missing = Vec::new();
    let there = async {
        loop {
            let text = reqwest::get(format!("http://{address}/metrics"))
                .await
                .unwrap();
            let metrics = had(&text.text().await.unwrap());
            missing = names
                .iter()
                .filter(|name| !metrics.contains_key(**name))
                .collect();
            if missing.is_empty() {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let there = tokio::time::timeout(SOON, there).await;
    there.unwrap_or_else(|_| panic!("a bank that runs has no metrics {missing:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_expression_asks_for_metrics_and_labels_that_a_bank_has() {
    let mut asked_for = Vec::new();
    for (place, expression) in expressions() {
        let metrics = asked_by(&place, &expression);
        asked_for.push((place, metrics));
    }
    let (running, address) = busy_bank().await;
    let names = asked_for.iter().flat_map(|(_, metrics)| metrics.keys());
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let had = until(address, &names).await;
    for (place, metrics) in asked_for {
        for (name, labels) in metrics {
            let unknown: Vec<_> = labels.difference(&had[&name]).collect();
            assert!(
                unknown.is_empty(),
                "{place}: {name} has no labels {unknown:?}"
            );
        }
    }
    running.stop().await;
}

#[test]
fn what_asks_for_something_else_is_found() {
    let expression = "sum by (le, gone) (rate(made_up_bucket{other=\"x\"}[5m])) > 1";
    let metrics = asked_by("here", expression);
    let labels = ["gone", "le", "other"].map(str::to_owned);
    assert_eq!(
        metrics,
        Metrics::from([("made_up_bucket".to_owned(), labels.into())])
    );
    let text = "# HELP x y\nmade_up_bucket{le=\"1\",other=\"a b\"} 3\nplain 1\n";
    let had = had(text);
    assert_eq!(
        had["made_up_bucket"],
        ["le", "other"].map(str::to_owned).into()
    );
    assert!(had["plain"].is_empty());
}

#[test]
fn every_alert_says_how_bad_it_is_and_has_a_runbook_that_is_written() {
    let written = banking("docs/operations.md");
    let headings = written.lines().filter_map(|line| line.strip_prefix("### "));
    let headings: BTreeSet<_> = headings.map(str::to_lowercase).collect();
    let mut linked = BTreeSet::new();
    for rule in rules() {
        let name = &rule.alert;
        let severity = rule.labels["severity"].as_str();
        assert!(
            ["critical", "warning"].contains(&severity),
            "{name}: {severity}"
        );
        assert!(!rule.annotations["summary"].is_empty(), "{name}");
        let link = &rule.annotations["runbook_url"];
        let anchor = link.strip_prefix("banking/docs/operations.md#").unwrap();
        assert_eq!(anchor, name.to_lowercase());
        assert!(
            headings.contains(anchor),
            "{name}: nothing is written of it"
        );
        linked.insert(anchor.to_owned());
    }
    assert_eq!(headings, linked, "runbooks without an alert");
}

#[test]
fn every_program_is_asked_for_its_metrics_and_every_panel_knows_whom_to_ask() {
    let scraped = banking("deploy/monitoring/prometheus.yml");
    let scraped: Value = serde_saphyr::from_str(&scraped).unwrap();
    let targets = scraped["scrape_configs"][0]["static_configs"][0]["targets"].as_array();
    let targets: BTreeSet<&str> = targets
        .unwrap()
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect();
    let programs = contracts::program::QUEUES.map(|of| of.program);
    let programs = programs
        .into_iter()
        .chain([contracts::program::API_PRODUCER]);
    let programs: BTreeSet<String> = programs.map(|name| format!("{name}:9090")).collect();
    assert!(targets.into_iter().eq(programs.iter().map(String::as_str)));
    let source = banking("deploy/monitoring/grafana/provisioning/datasources/prometheus.yml");
    let source: Value = serde_saphyr::from_str(&source).unwrap();
    for panel in panels() {
        assert_eq!(
            panel["datasource"]["uid"], source["datasources"][0]["uid"],
            "{panel}"
        );
    }
}
