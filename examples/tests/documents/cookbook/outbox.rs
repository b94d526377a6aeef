use super::{database, stock::Outcome};
use replybus::{Bus, Event};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc::unbounded_channel, oneshot};

#[derive(Event, Serialize, Deserialize)]
#[event("order.paid")]
struct OrderPaid {
    order: i64,
}

use replybus_sql::{Outbox, Relay};
use sqlx::SqlitePool;
use std::error::Error;

async fn pay(pool: &SqlitePool, outbox: &Outbox, order: i64) -> Result<(), Box<dyn Error>> {
    let mut transaction = pool.begin().await?;
    let paid = sqlx::query("UPDATE orders SET paid = 1 WHERE id = $1").bind(order);
    paid.execute(&mut *transaction).await?;
    outbox.put(&mut *transaction, &OrderPaid { order }).await?;
    transaction.commit().await?; // both, or neither
    outbox.wake();
    Ok(())
}

#[tokio::test]
async fn an_event_is_as_certain_as_what_it_tells_of() -> Outcome {
    let bus = Bus::in_memory();
    let pool = database("outbox").await?;
    sqlx::query("CREATE TABLE orders (id INTEGER, paid INTEGER)")
        .execute(&pool)
        .await?;
    let (told, mut heard) = unbounded_channel();
    let _subscription = bus
        .subscribe("billing", move |paid: OrderPaid| {
            let _ = told.send(paid.order);
            async {}
        })
        .await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let stop_of_relay = async move {
        let _ = stopped.await;
    };

    let outbox = Outbox::new(); // the table outbox
    outbox.install().run(&mut *pool.acquire().await?).await?; // at each start
    let relay = Relay::new(&bus, &outbox, pool.clone());
    let relaying = tokio::spawn(relay.run_until(stop_of_relay)); // in any number of programs

    pay(&pool, &outbox, 17).await?;
    assert_eq!(heard.recv().await, Some(17));
    drop(stop);
    relaying.await?;
    Ok(())
}
