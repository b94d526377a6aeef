//! The bank on servers that speak TLS, vouched for by an authority of one's own, and want to know who
//! connects.

use crate::program;
use bank_client::Client;
use replybus_testkit::{
    certificates::Authority,
    live::require_or_skip,
    servers::{PrivatePostgres, PrivateRabbit, PrivateRedis, ReservedPort, Workplace},
    wait::until,
};
use std::{fs, path::Path, process::Command};
use town::command::run_in;

/// A path as a setting has it.
fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_serves_over_mutual_tls_to_all_its_servers_and_names_what_is_wrong() {
    let (authority, mut workplace) = (Authority::new().unwrap(), Workplace::new("bank").unwrap());
    let server = authority.certify("localhost").unwrap();
    let files = authority.write(workplace.directory(), &server).unwrap();
    let port = ReservedPort::new().unwrap();
    let amqps = port.number();
    let (rabbit, redis, postgres) = tokio::join!(
        PrivateRabbit::set_up(|rabbit| rabbit.tls(port, &files)),
        PrivateRedis::set_up(|redis| redis.tls(&files)),
        PrivatePostgres::set_up(|postgres| postgres.tls(&files)),
    );
    let (Some(_rabbit), Some(redis), Some(postgres)) = (
        require_or_skip(rabbit),
        require_or_skip(redis),
        require_or_skip(postgres),
    ) else {
        return;
    };
    let shown = authority.certify("bank").unwrap();
    let (certificate, key) = (workplace.path("bank.pem"), workplace.path("bank-key.pem"));
    fs::write(&certificate, &shown.certificate).unwrap();
    fs::write(&key, &shown.key).unwrap();

    let keys = text(&workplace.path("keys"));
    let (made, said) = run_in(&[], program().path, &["keys", &keys]);
    assert!(made, "{said}");
    let http = ReservedPort::new().unwrap();
    let mut environment = vec![
        (
            "RABBITMQ_URL",
            format!("amqps://guest:guest@localhost:{amqps}/%2f"),
        ),
        ("REDIS_URL", format!("rediss://localhost:{}", redis.port())),
        (
            "DATABASE_URL",
            format!("postgres://postgres@localhost:{}/postgres", postgres.port()),
        ),
        ("KEYS_DIR", keys),
        ("HTTP_ADDR", http.address().to_string()),
    ];
    let (ca, certificate, key) = (text(&files.authority), text(&certificate), text(&key));
    for (name, path) in [
        ("RABBITMQ_CA_FILE", &ca),
        ("RABBITMQ_CERT_FILE", &certificate),
        ("RABBITMQ_KEY_FILE", &key),
        ("REDIS_CA_FILE", &ca),
        ("REDIS_CERT_FILE", &certificate),
        ("REDIS_KEY_FILE", &key),
        ("DATABASE_CA_FILE", &ca),
        ("DATABASE_CERT_FILE", &certificate),
        ("DATABASE_KEY_FILE", &key),
    ] {
        environment.push((name, path.clone()));
    }

    let mut bank = Command::new(program().path);
    bank.envs(environment.iter().map(|(name, value)| (*name, value)));
    let bank = workplace.spawn(&mut bank).unwrap();
    let client = Client::new(format!("http://{}", http.address()).parse().unwrap()).unwrap();
    until("somebody becomes a customer", || async {
        let registered = town::customer(&client, "ada").await;
        let customer = registered.map_err(|error| format!("{error:#}"))?;
        let balance = customer.balance().await;
        match balance {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error:#}")),
        }
    })
    .await;
    drop(bank);

    let stranger = Authority::new().unwrap();
    let other_ca = workplace.path("other.pem");
    fs::write(&other_ca, stranger.pem()).unwrap();
    let other_ca = text(&other_ca);
    for (setting, value, reason) in [
        (
            "RABBITMQ_CA_FILE",
            other_ca.as_str(),
            "none of the authorities",
        ),
        ("REDIS_CA_FILE", &other_ca, "none of the authorities"),
        ("DATABASE_CA_FILE", &other_ca, "UnknownIssuer"),
        ("RABBITMQ_CA_FILE", "/none/ca.pem", "--amqp-ca-file"),
        ("REDIS_KEY_FILE", &ca, "holds no private key"),
        (
            "RABBITMQ_URL",
            "amqp://guest:guest@localhost/%2f",
            "amqps://",
        ),
    ] {
        let mut environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        environment.retain(|(name, _)| *name != setting);
        environment.push((setting, value));
        let (succeeded, said) = run_in(&environment, program().path, &[]);
        assert!(!succeeded && said.contains(reason), "{setting}: {said}");
        assert!(!said.contains("guest:guest"), "{said}");
    }
}
