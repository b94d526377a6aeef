use super::stock::Outcome;

#[tokio::test]
async fn connections_are_encrypted() -> Outcome {
    let authority = "-----BEGIN CERTIFICATE-----";

    use replybus::{Amqp, Bus, SetupError};
    use replybus_redis::RedisReplies;
    use std::time::Duration;

    // Features `tls` of replybus and of replybus-redis.
    let amqp = Amqp::new("amqps://stock:secret@localhost:1/%2f")
        .ca_certificate_pem(authority) // else the platform's
        .connect_within(Duration::from_millis(100));
    let redis = RedisReplies::new("rediss://stock:secret@localhost:1/0"); // the platform's
    let connected = Bus::connect(amqp, redis).await;

    assert!(matches!(
        connected,
        Err(SetupError::Unreachable { .. } | SetupError::Setting { .. })
    ));
    Ok(())
}
