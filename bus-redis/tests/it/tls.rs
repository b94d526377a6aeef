//! TLS is checked or refused, never weakened.

use crate::setup::refused;
use replybus::SetupError;
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::require_or_skip,
    servers::{PrivateRedis, Workplace, program},
    wait::bounded,
};
use std::{path::Path, process::Command};

/// A certificate for localhost, signed by nobody but itself.
fn certify(directory: &Path) {
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(' '))
        .args([
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_before_the_password_is_sent() {
    if require_or_skip(program("OpenSSL", &["openssl"])).is_none() {
        return;
    }
    let workplace = Workplace::new("tls").unwrap();
    certify(workplace.directory());
    let (certificate, key) = (workplace.path("cert.pem"), workplace.path("key.pem"));
    let set_up = PrivateRedis::set_up(|redis| redis.password("hunter2").tls(&certificate, &key));
    let Some(server) = require_or_skip(set_up.await) else {
        return;
    };
    let port = server.port();

    let replies = RedisReplies::new(format!("rediss://:hunter2@localhost:{port}"));
    let refused = bounded(refused(replies, "")).await;
    assert!(matches!(refused, SetupError::Refused { .. }), "{refused:?}");
    assert!(refused.to_string().contains("certificate"), "{refused}");
    assert!(!format!("{refused:?}").contains("hunter2"));
}
