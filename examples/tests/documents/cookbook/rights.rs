use super::stock::Outcome;

#[test]
fn a_program_has_the_rights_that_it_needs() -> Outcome {
    use replybus::transport::amqp::AmqpRights;
    use replybus_redis::RedisReplies;

    // A program that serves the stock, and calls prices.
    let amqp = AmqpRights::new("shop")?
        .serve("stock.requests")?
        .call("price.requests")?;
    println!(
        "rabbitmqctl set_permissions -p / stock '{}' '{}' '{}'",
        amqp.configure(),
        amqp.write(),
        amqp.read()
    );
    let redis = RedisReplies::new("redis://localhost").rights("shop")?;
    let redis = redis.serve("stock.requests").call("price.requests");
    println!("ACL SETUSER stock reset on >PASSWORD {}", redis.rules());

    assert!(amqp.read().contains("stock"), "{}", amqp.read());
    assert!(!amqp.read().contains("price"), "{}", amqp.read());
    let keys: Vec<_> = redis.keys().collect();
    assert!(
        keys.iter().any(|key| key.contains("stock.requests")),
        "{keys:?}"
    );
    Ok(())
}
