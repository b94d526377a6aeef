//! Servers that speak TLS, vouched for by an authority of one's own.

use crate::program;
use replybus_testkit::{
    certificates::Authority,
    live::require_or_skip,
    servers::{PrivateRabbit, PrivateRedis, ReservedPort, Workplace},
};
use std::fs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_are_reached_with_certificates_of_the_environment_or_of_a_profile() {
    let (authority, workplace) = (Authority::new().unwrap(), Workplace::new("cli").unwrap());
    let server = authority.certify("localhost").unwrap();
    let files = authority.write(workplace.directory(), &server).unwrap();
    let port = ReservedPort::new().unwrap();
    let amqp = format!("amqps://guest:guest@localhost:{}/%2f", port.number());
    let (rabbit, redis) = tokio::join!(
        PrivateRabbit::set_up(|rabbit| rabbit.tls(port, &files)),
        PrivateRedis::set_up(|redis| redis.tls(&files)),
    );
    let (Some(_rabbit), Some(redis)) = (require_or_skip(rabbit), require_or_skip(redis)) else {
        return;
    };
    let redis = format!("rediss://localhost:{}", redis.port());
    // The server's own certificate is as good as another for a client.
    let [ca, cert, key] = [&files.authority, &files.certificate, &files.key]
        .map(|path| path.to_str().unwrap().to_owned());
    let environment = [
        ("AMQP_URL", amqp.as_str()),
        ("REDIS_URL", &redis),
        ("AMQP_CA_FILE", &ca),
        ("AMQP_CERT_FILE", &cert),
        ("AMQP_KEY_FILE", &key),
        ("REDIS_CA_FILE", &ca),
        ("REDIS_CERT_FILE", &cert),
        ("REDIS_KEY_FILE", &key),
    ];
    let found = program::run(&environment, &["services"], "").await;
    assert!(found.text().contains("nothing is served"), "{found:?}");
    let checked = program::run(&environment, &["check"], "").await;
    assert!(checked.text().contains("Redis version"), "{checked:?}");

    let config = format!(
        "[profiles.here]\namqp_url = \"{amqp}\"\nredis_url = \"{redis}\"\n\
         amqp_ca_file = \"{ca}\"\namqp_cert_file = \"{cert}\"\namqp_key_file = \"{key}\"\n\
         redis_ca_file = \"{ca}\"\nredis_cert_file = \"{cert}\"\nredis_key_file = \"{key}\"\n"
    );
    fs::create_dir(workplace.path("replybus")).unwrap();
    fs::write(workplace.path("replybus/config.toml"), config).unwrap();
    let profile = [("XDG_CONFIG_HOME", workplace.directory().to_str().unwrap())];
    let found = program::run(&profile, &["--profile", "here", "services"], "").await;
    assert!(found.text().contains("nothing is served"), "{found:?}");

    // Nobody vouches for the servers, nothing is shown, a file is not there.
    let nobody = program::run(&environment[..2], &["services"], "").await;
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.err.contains("none of the authorities"), "{nobody:?}");
    let unshown = [
        environment[0],
        environment[1],
        environment[2],
        environment[5],
    ];
    let unshown = program::run(&unshown, &["services"], "").await;
    assert!(unshown.err.contains("identity_pem"), "{unshown:?}");
    let gone = [("AMQP_CA_FILE", "/none/hunter2")];
    let gone = program::run(&gone, &["services"], "").await;
    assert_eq!(gone.code, 2, "{gone:?}");
    assert!(
        gone.err.contains("amqp_ca_file") && !gone.err.contains("hunter2"),
        "{gone:?}"
    );
}
