use super::stock::Outcome;
use tokio::sync::mpsc::unbounded_channel;

#[tokio::test]
async fn an_event_reaches_each_group_once() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (told, mut heard) = unbounded_channel();
    let (pack, bill) = (told.clone(), told);

    use replybus::Event;
    use serde::{Deserialize, Serialize};

    #[derive(Event, Serialize, Deserialize)]
    #[event("order.placed")]
    struct OrderPlaced {
        order: u32,
    }

    // Each program subscribes its group; instances of one group share the events.
    let shipping = bus.subscribe("shipping", move |placed: OrderPlaced| {
        let _ = pack.send(("shipping", placed.order));
        async {}
    });
    let billing = bus.subscribe("billing", move |placed: OrderPlaced| {
        let _ = bill.send(("billing", placed.order));
        async {}
    });
    let (_shipping, _billing) = (shipping.await?, billing.await?); // kept: dropped, they end
    bus.emit(&OrderPlaced { order: 17 }).mandatory().await?;

    let mut both = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
    both.sort_unstable();
    assert_eq!(both, [("billing", 17), ("shipping", 17)]);
    Ok(())
}
