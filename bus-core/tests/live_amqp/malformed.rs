//! Messages that lapin can't read, as the consumer of their queue is given them.

use crate::support::{BOUND, broker, next, publish, to_queue};
use lapin::types::{AMQPValue, FieldTable};
use replybus::transport::{Deliveries, Settled, Source, Verdict};
use replybus_testkit::{
    publisher::{RawPublisher, long, short},
    wait::bounded,
};

/// RabbitMQ adds `x-death` to what it moves, and a content header that was as large as a frame may
/// be is larger then.
#[tokio::test]
async fn a_content_header_that_outgrew_its_frame_is_delivered_without_what_does_not_fit() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let (first, last) = (broker.queue("first"), broker.queue("last"));
    let raw = broker.raw().await;
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(0));
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(last.name()));
    let declared = raw.queue_declare(first.name().into(), Default::default(), arguments);
    declared.await.unwrap();
    let mut deliveries = transport.consume(last.source(4)).await.unwrap();

    // A frame has 131,072 bytes: 8 are its own, 14 the header's, 4 the table's, 3 the id's, and 7
    // are the name, the type and the length of each of the two headers.
    let sizes = [60_000, 131_072 - 8 - 14 - 4 - 3 - 14 - 60_000];
    let headers = ["a", "b"].into_iter().zip(sizes).flat_map(|(name, size)| {
        [
            short(name.as_bytes()),
            b"S".to_vec(),
            long(&vec![b'x'; size]),
        ]
        .concat()
    });
    let headers = long(&headers.collect::<Vec<_>>());
    let properties = [&[0x20, 0x80][..], &headers, &short(b"m1")].concat();
    let mut publisher = RawPublisher::connect(broker.url.as_str()).await.unwrap();
    let published = publisher.publish(b"", first.name().as_bytes(), &properties, b"grown");
    bounded(published).await.unwrap();

    let delivery = next(&mut deliveries).await;
    let reason = delivery.malformed.as_deref();
    assert_eq!(reason, Some("1 headers too large to read"));
    assert_eq!(delivery.message.body, "grown");
    assert_eq!(
        delivery.message.properties.message_id.as_deref(),
        Some("m1")
    );
    assert_eq!(delivery.message.properties.cluster_id, None, "the mark");
    delivery.settler.settle(Settled::Ack);
    whole_ones_follow(&mut deliveries, &transport, &last.source(4)).await;
    deliveries.stop().await;
    transport.close(BOUND).await;
}

/// The connection, the channel and the consumer are those they were.
async fn whole_ones_follow(
    deliveries: &mut Box<dyn Deliveries>,
    transport: &std::sync::Arc<dyn replybus::transport::Transport>,
    source: &Source,
) {
    for body in ["one", "two"] {
        let sent = to_queue(&source.queue.name, body);
        assert_eq!(publish(transport, sent).await, Verdict::Confirmed);
        let delivery = next(deliveries).await;
        assert_eq!(delivery.message.body, body);
        assert_eq!(delivery.malformed, None);
        assert!(!delivery.redelivered);
        delivery.settler.settle(Settled::Ack);
    }
}

/// The mark of what was replaced is a secret of the connection: a publisher's own is a property
/// like any other.
#[tokio::test]
async fn a_publisher_cannot_have_a_good_message_taken_for_a_malformed_one() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("forged");
    let mut deliveries = transport.consume(queue.source(4)).await.unwrap();
    let mut publisher = RawPublisher::connect(broker.url.as_str()).await.unwrap();
    let mark = [
        &[0, 4][..],
        &short(b"0123456789abcdef0123456789abcdef it is bad"),
    ]
    .concat();
    for properties in [&[0, 0][..], &mark] {
        let published = publisher.publish(b"", queue.name().as_bytes(), properties, b"good");
        bounded(published).await.unwrap();
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.malformed, None);
        delivery.settler.settle(Settled::Ack);
    }
    deliveries.stop().await;
    transport.close(BOUND).await;
}
