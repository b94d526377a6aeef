//! What anybody may send to the queues of partitions: it is refused, or comes to its end, and the
//! order of all else is what it was.

use crate::partitions::{EntriesClient, EntriesServer, World};
use replybus::{
    CallId,
    error::BoxError,
    limits::ATTEMPTS_MAX,
    message::{Message, Properties},
    server::{Answer, Request, ServerService},
    transport::{Outgoing, Transport, Verdict},
};
use replybus_testkit::wait::eventually;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;
use tower::{ServiceExt as _, layer::layer_fn, service_fn};

const QUEUE: &str = "entries.requests";
const KEYS: u32 = 12;

fn message(partition: u32, kind: &str, place: Option<&str>, body: &[u8]) -> Message {
    let header = place.map(|place| ("x-replybus-partition".into(), place.into()));
    Message {
        routing_key: format!("{QUEUE}.{partition}").into(),
        properties: Properties {
            kind: Some(kind.into()),
            content_type: Some("application/json".into()),
            persistent: true,
            headers: header.into_iter().collect(),
            ..Properties::default()
        },
        body: body.to_vec().into(),
        ..Message::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_says_a_wrong_place_or_nothing_right_holds_up_no_key() {
    let world = World::new();
    let (bus, serving) = world.serve("one").await;
    let client = EntriesClient::new(&bus);
    let transport = world.transport();
    let long = "9".repeat(30_000);
    let places = [
        "",
        "1/",
        "0/32",
        "32/32",
        "7/16",
        "4294967295/32",
        "-1/32",
        &long,
    ];
    let places = places.into_iter().map(Some).chain([None]);
    let places: Vec<_> = places.collect();
    // Right arguments come under no right place: two of these are of partition 0.
    let good = &br#"{"key":"0","number":77}"#[..];
    let bad: [&[u8]; 4] = [br#"{"number":77}"#, b"", b"[[[[", &[0xc1; 300_000]];
    let wrong = places
        .iter()
        .filter(|place| !matches!(place, Some("0/32" | "32/32")));
    let mut forged: Vec<_> = wrong.map(|place| (*place, good)).collect();
    forged.extend(
        places
            .iter()
            .flat_map(|place| bad.map(|body| (*place, body))),
    );
    for number in 0..5 {
        world.send(&client, KEYS, number..number + 1).await;
        for partition in 0..4 {
            for (place, body) in &forged {
                for kind in ["put_off", "none", "", "replybus/bundle"] {
                    let mut forged = message(partition, kind, *place, body);
                    let id = Some(CallId::new().to_string().into());
                    match (partition, kind) {
                        (0 | 1, _) => forged.properties.correlation_id = id,
                        (2, _) => forged.properties.message_id = id,
                        _ => forged.properties.reply_to = Some("session:admin".into()),
                    }
                    let verdict = transport.publish(Outgoing::new(forged)).verdict().await;
                    assert_eq!(verdict, Verdict::Confirmed);
                }
            }
        }
    }
    world.is_in_order(KEYS, 5).await;
    assert_eq!(world.count(), usize::try_from(KEYS * 5).unwrap());
    let letters = async || {
        let state = bus.inspect(&format!("{QUEUE}.dead")).await.unwrap();
        state.unwrap().waiting
    };
    let kept = letters().await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(letters().await, kept, "letters go round");
    for partition in 0..4 {
        let state = bus.inspect(&format!("{QUEUE}.{partition}")).await.unwrap();
        assert_eq!(state.unwrap().waiting, 0);
    }
    world.send(&client, KEYS, 5..6).await;
    world.is_in_order(KEYS, 6).await;
    serving.shutdown().await.unwrap();
}

/// A panic outside of the handler gives the message back, and what is behind it waits for it.
#[tokio::test(start_paused = true)]
async fn a_message_that_kills_its_task_holds_up_its_partition_for_a_few_deliveries() {
    let world = World::new();
    let bus = world.bus().await;
    let entered = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&entered);
    let panics = layer_fn(move |inner: ServerService| {
        let counted = Arc::clone(&counted);
        service_fn(move |request: Request| {
            let (counted, inner) = (Arc::clone(&counted), inner.clone());
            async move {
                if request.method() == "entered" {
                    counted.fetch_add(1, Ordering::SeqCst);
                    panic!("on purpose");
                }
                let answered: Result<Answer, BoxError> = inner.oneshot(request).await;
                answered
            }
        })
    });
    let serving = bus.serve(EntriesServer::new(world.member("one")));
    let serving = serving.layer(panics).await.unwrap();
    let client = EntriesClient::new(&bus);
    world.send(&client, KEYS, 0..3).await;
    client.entered("0".to_owned()).send().await.unwrap();
    world.send(&client, KEYS, 3..6).await;
    world.is_in_order(KEYS, 6).await;
    eventually("it is kept", || async {
        let state = bus.inspect(&format!("{QUEUE}.dead")).await.unwrap();
        state.unwrap().waiting == 1
    })
    .await;
    assert_eq!(entered.load(Ordering::SeqCst), ATTEMPTS_MAX);
    serving.shutdown().await.unwrap();
}
