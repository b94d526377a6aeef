//! Messages in the queue of a service: whatever one holds, it is settled, and the next call is
//! answered.

use crate::{
    arbitrary,
    foreign::Foreign,
    world::{EchoServer, Here, World, to_its_end},
};

const QUEUE: &str = "fuzz.requests";

pub(crate) fn run(data: &[u8]) {
    if let Some(messages) = arbitrary(data) {
        to_its_end(deliver(messages));
    }
}

async fn deliver(messages: Vec<Foreign>) {
    let world = World::new().await;
    let serving = world.bus.serve(EchoServer::new(Here)).await;
    let serving = serving.expect("it is the only service");
    world.publish_all(messages, QUEUE).await;
    world.serves_neighbours().await;
    let drained = serving.shutdown().await;
    drained.expect("all deliveries are settled");
    world.is_empty(QUEUE).await;
}
