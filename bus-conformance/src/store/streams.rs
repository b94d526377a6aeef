//! Frames of a stream, on their way to its reader.

use super::bench::Bench;
use replybus::{Bytes, CallId, reply::Stored};

pub(crate) async fn frames_of_a_stream_come_in_order(bench: Bench) {
    let (caller, service) = (bench.open().await, bench.open().await);
    let (one, two) = (CallId::new(), CallId::new());
    let inbox = caller.store.inbox().into();
    let frame = |number: u16| Bytes::from(vec![0xc1; usize::from(number) * 100]);
    for number in 0..200 {
        for id in [one, two] {
            let added = service.store.append(&inbox, id, frame(number)).await;
            assert_eq!(added.unwrap(), Stored::AsAsked);
        }
    }
    // A reply among them is no frame, and the other way round.
    service.send(one, caller.target(), "reply").await;
    for number in 0..200 {
        for id in [one, two] {
            assert_eq!(caller.arrived().await, (id, frame(number)));
        }
    }
    assert_eq!(caller.arrived().await, (one, "reply".into()));
}

pub(crate) async fn a_frame_for_an_inbox_that_is_gone_is_stored_nowhere(bench: Bench) {
    let (gone, service) = (bench.open().await, bench.open().await);
    let (id, inbox) = (CallId::new(), gone.store.inbox().into());
    gone.store.close().await;
    let added = service.store.append(&inbox, id, "frame".into()).await;
    assert_eq!(added.unwrap(), Stored::InboxAbsent);
    assert_eq!(service.store.fetch(id).await.unwrap(), None);
}
