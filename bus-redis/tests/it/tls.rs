//! TLS is checked or refused, never weakened.

use crate::{
    live::{bounded, can_start},
    server::{Server, free_port},
    setup::refused,
};
use replybus::SetupError;
use replybus_redis::RedisReplies;
use std::{env, fs, path::Path, process::Command};

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
    if !can_start("redis-server") || Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let directory = env::temp_dir().join(crate::live::unique("replybus-redis-tls"));
    fs::create_dir_all(&directory).unwrap();
    certify(&directory);
    let port = free_port();
    let mut arguments = vec!["--port".to_owned(), "0".to_owned()];
    arguments.extend(["--tls-port".to_owned(), port.to_string()]);
    for (setting, file) in [
        ("--tls-cert-file", "cert.pem"),
        ("--tls-key-file", "key.pem"),
        ("--tls-ca-cert-file", "cert.pem"),
    ] {
        arguments.extend([
            setting.to_owned(),
            directory.join(file).display().to_string(),
        ]);
    }
    arguments.extend(["--tls-auth-clients", "no", "--requirepass", "hunter2"].map(str::to_owned));
    let _server = Server::launch("redis-server", port, arguments).await;

    let replies = RedisReplies::new(format!("rediss://:hunter2@localhost:{port}"));
    let refused = bounded(refused(replies, "")).await;
    assert!(matches!(refused, SetupError::Refused { .. }), "{refused:?}");
    assert!(refused.to_string().contains("certificate"), "{refused}");
    assert!(!format!("{refused:?}").contains("hunter2"));
    let _ = fs::remove_dir_all(&directory);
}
