//! Messages on the control line of a service, to all of its instances or to one: what is asked can be
//! answered, and whatever it is, calls are served afterwards, and a ping is heard.

use crate::{
    arbitrary,
    foreign::Foreign,
    world::{EchoServer, Here, World, to_its_end},
};
use replybus::control::Pong;

const QUEUE: &str = "fuzz.requests";

pub(crate) fn run(data: &[u8]) {
    if let Some((is_for_all, messages)) = arbitrary(data) {
        to_its_end(hear(is_for_all, messages));
    }
}

async fn hear(is_for_all: bool, messages: Vec<Foreign>) {
    let world = World::new().await;
    let serving = world.bus.serve(EchoServer::new(Here)).await;
    let serving = serving.expect("it is the only service");
    let control = world.bus.control(QUEUE);
    let here = control.ping().await.expect("it can be asked");
    let [Pong { instance, .. }] = &here[..] else {
        panic!("{here:?}");
    };
    for message in messages {
        let key = match is_for_all {
            true => QUEUE.to_owned(),
            false => format!("replybus.control.{instance}"),
        };
        let mut message = message.into_message(&key);
        if is_for_all {
            message.exchange = "replybus.control".into();
        }
        world.publish(message).await;
    }
    world.serves_neighbours().await;
    // So many answers are given in a second.
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    let heard = control.ping().await.expect("it can be asked");
    assert_eq!(heard.len(), 1, "it is not allowed to drain, and hears");
    let drained = serving.shutdown().await;
    drained.expect("all deliveries are settled");
}
