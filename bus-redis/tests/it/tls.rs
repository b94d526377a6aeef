//! TLS is checked or refused, never weakened. With an authority of one's own:
//! `tests/tests/it/encrypted.rs`.

use crate::setup::refused;
use replybus::SetupError;
use replybus_redis::RedisReplies;
use replybus_testkit::{
    certificates::Authority,
    live::require_or_skip,
    servers::{PrivateRedis, Workplace},
    wait::bounded,
};

#[tokio::test]
async fn an_unknown_certificate_is_refused_before_the_password_is_sent() {
    let (authority, workplace) = (Authority::new().unwrap(), Workplace::new("tls").unwrap());
    let server = authority.certify("localhost").unwrap();
    let files = authority.write(workplace.directory(), &server).unwrap();
    let set_up = PrivateRedis::set_up(|redis| redis.password("hunter2").tls(&files));
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
