//! How servers are found, and what is said when they are not.

use crate::{program, shop::Site};
use replybus_testkit::servers::ReservedPort;
use std::fs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_names_servers_and_an_address_is_shown_without_its_password() {
    let Some(site) = Site::open("cli-profile").await else {
        return;
    };
    let [(_, amqp), (_, redis), (_, namespace)] = site.environment();
    let directory = tempfile::tempdir().unwrap();
    let nobody = ReservedPort::new().unwrap();
    fs::create_dir(directory.path().join("replybus")).unwrap();
    let config = format!(
        "[profiles.here]\namqp_url = \"{amqp}\"\nredis_url = \"{redis}\"\nnamespace = \"{namespace}\"\n\
         [profiles.gone]\namqp_url = \"amqp://ada:hunter2@{}/%2f\"\n",
        nobody.address()
    );
    fs::write(directory.path().join("replybus/config.toml"), config).unwrap();
    let environment = [("XDG_CONFIG_HOME", directory.path().to_str().unwrap())];
    let run = async |arguments: &[&str]| program::run(&environment, arguments, "").await;

    let found = run(&["--profile", "here", "services"]).await;
    assert!(found.text().contains("nothing is served"), "{found:?}");
    let gone = run(&["services", "--profile", "gone"]).await;
    assert_eq!((gone.code, gone.err.lines().count()), (1, 1), "{gone:?}");
    assert!(
        gone.err.contains("RabbitMQ") && !gone.err.contains("hunter2"),
        "{gone:?}"
    );
    let unknown = run(&["services", "--profile", "prod"]).await;
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("there are: gone, here"), "{unknown:?}");
    site.close().await;
}

#[tokio::test]
async fn help_says_what_there_is_and_what_is_unknown_is_a_mistake_of_the_user() {
    let help = program::run(&[], &["--help"], "").await;
    for command in ["services", "call", "listen", "dlq", "drain"] {
        assert!(help.text().contains(command), "{help:?}");
    }
    assert_eq!(program::run(&[], &["serve"], "").await.code, 2);
}
