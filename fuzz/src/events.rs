//! Messages in the queue of a group of events, by its exchange and by its name: whatever one holds, it
//! is settled, and the next event is handled. So are ticks in the queue of a schedule, whose handler is
//! called for no others than those of its pattern.

use crate::{
    arbitrary,
    foreign::Foreign,
    world::{World, to_its_end},
};
use replybus::{Event, Never, schedule::Tick};
use serde::{Deserialize, Serialize};
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::mpsc;

#[derive(Debug, Event, Serialize, Deserialize)]
#[event("till.opened", exchange = "fuzz.events")]
struct TillOpened {
    till: u16,
    by: Option<String>,
}

const GROUP: &str = "fuzz.group";
const SCHEDULE: &str = "schedule.fuzz";
/// Of the event that is emitted at the end.
const LAST: &str = "a neighbour";

pub(crate) fn run(data: &[u8]) {
    let Some((&place, data)) = data.split_first() else {
        return;
    };
    let Some(messages) = arbitrary(data) else {
        return;
    };
    match place % 3 {
        0 => to_its_end(emitted(messages, "")),
        1 => to_its_end(emitted(messages, "fuzz.events")),
        _ => to_its_end(due(messages)),
    }
}

async fn emitted(messages: Vec<Foreign>, exchange: &str) {
    let world = World::new().await;
    let (handled, mut events) = mpsc::unbounded_channel();
    let subscribe = world.bus.subscribe(GROUP, move |event: TillOpened| {
        let sent = handled.send(event);
        async move { sent.map_err(|_| "nobody listens") }
    });
    let subscription = subscribe.retry_within(Duration::ZERO).await;
    let subscription = subscription.expect("it is the only group");
    for message in messages {
        let key = if exchange.is_empty() {
            GROUP
        } else {
            "till.opened"
        };
        let mut message = message.into_message(key);
        message.exchange = exchange.into();
        world.publish(message).await;
    }
    let last = TillOpened {
        till: 7,
        by: Some(LAST.to_owned()),
    };
    world.bus.emit(&last).await.expect("there is a broker");
    while let Some(event) = events.recv().await {
        if event.by.as_deref() == Some(LAST) {
            break;
        }
    }
    let drained = subscription.shutdown().await;
    drained.expect("all deliveries are settled");
    world.is_empty(GROUP).await;
}

async fn due(messages: Vec<Foreign>) {
    let world = World::new().await;
    let schedule = world.bus.schedule("fuzz", "0 3 * * *", |tick: Tick| {
        let since = tick.at().duration_since(UNIX_EPOCH).expect("it is later");
        assert_eq!(since.as_secs() % (24 * 60 * 60), 3 * 60 * 60, "{tick:?}");
        async { Ok::<(), Never>(()) }
    });
    let schedule = schedule.await.expect("it is the only one");
    world.publish_all(messages, SCHEDULE).await;
    let drained = schedule.shutdown().await;
    drained.expect("all deliveries are settled");
}
