//! What docs/migration.md tells is what happens: a service moves, and no caller is answered wrongly.

use crate::migration::{
    grpc::{Grpc, messages::Order as Message},
    orders::{self, Book, Order, OrdersServer},
    place::Place,
    polled::Polled,
    reply_to::ReplyTo,
    stages::{self, Old},
};
use futures_util::{Stream, StreamExt as _, stream};
use replybus::Bus;
use replybus_testkit::live::{rabbitmq, redis, unique};
use std::{
    future::{IntoFuture as _, pending, ready},
    time::Duration,
};
use tokio::sync::oneshot;

async fn place(name: &str) -> Option<Place> {
    let (rabbitmq, redis) = (rabbitmq().await?, redis().await?);
    Some(Place::new(rabbitmq, redis, unique(name)).unwrap())
}

async fn service_first<O: Old>(name: &str) {
    let Some(place) = place(name).await else {
        return;
    };
    stages::service_first::<O>(&place).await.unwrap();
    place.remove().await.unwrap();
}

async fn callers_first<O: Old>(name: &str) {
    let Some(place) = place(name).await else {
        return;
    };
    stages::callers_first::<O>(&place).await.unwrap();
    place.remove().await.unwrap();
}

#[tokio::test]
async fn a_service_whose_answers_are_polled_for_moves_before_its_callers() {
    service_first::<Polled>("polled.service").await;
}

#[tokio::test]
async fn callers_that_poll_for_answers_move_before_their_service() {
    callers_first::<Polled>("polled.callers").await;
}

#[tokio::test]
async fn a_service_with_reply_queues_moves_before_its_callers() {
    service_first::<ReplyTo>("reply_to.service").await;
}

#[tokio::test]
async fn callers_with_a_reply_queue_move_before_their_service() {
    callers_first::<ReplyTo>("reply_to.callers").await;
}

#[tokio::test]
async fn a_service_behind_grpc_moves_before_its_callers() {
    service_first::<Grpc>("grpc.service").await;
}

#[tokio::test]
async fn callers_by_grpc_move_before_their_service() {
    callers_first::<Grpc>("grpc.callers").await;
}

/// Three orders, and then no end if somebody wants to be told that they were taken.
fn three<T: From<Order> + Send>(
    taken: Option<oneshot::Sender<()>>,
) -> impl Stream<Item = T> + Send {
    let order = |id| Order {
        id,
        sku: "pen".to_owned(),
        quantity: 1,
        by: None,
    };
    let rest = stream::once(async move {
        if let Some(taken) = taken {
            taken.send(()).unwrap();
            pending::<()>().await;
        }
        None
    });
    let orders = stream::iter((1..=3).map(move |id| Some(T::from(order(id)))));
    orders.chain(rest).filter_map(ready)
}

/// Waits until all that is sent was taken, and leaves.
async fn leaves<F: Future>(import: F, taken: oneshot::Receiver<()>) {
    tokio::select! {
        _ = import => panic!("an import ended whose orders had no end"),
        taken = taken => taken.unwrap(),
    }
}

#[tokio::test]
async fn what_an_old_caller_imports_is_whole_or_nothing() {
    let Some(place) = place("grpc.imports.old").await else {
        return;
    };
    let service = Grpc::service(&place).await.unwrap();
    let bridge = Grpc::from_old(&place).await.unwrap();
    let caller = Grpc::caller(&place).await.unwrap();
    assert_eq!(caller.import(three::<Message>(None)).await.unwrap(), 3);
    let (tell, taken) = oneshot::channel();
    leaves(caller.import(three(Some(tell))), taken).await;
    bridge.stop().await.unwrap();
    service.stop().await.unwrap();
    assert_eq!(place.book.of_sku("pen").len(), 3);
    place.remove().await.unwrap();
}

#[tokio::test]
async fn what_a_new_caller_imports_is_whole_or_nothing() {
    let Some(place) = place("grpc.imports.new").await else {
        return;
    };
    let worker = Grpc::worker(&place).await.unwrap();
    let bridge = Grpc::to_old(&place).await.unwrap();
    let bus = place.bus().await.unwrap();
    let caller = Grpc::new_caller(&bus, &place);
    assert_eq!(caller.import_orders(three(None)).await.unwrap(), 3);
    let (tell, taken) = oneshot::channel();
    let import = caller.import_orders(three(Some(tell)));
    leaves(import.into_future(), taken).await;
    bridge.stop().await.unwrap();
    worker.stop().await.unwrap();
    assert_eq!(place.book.of_sku("pen").len(), 3);
    bus.close(Duration::from_secs(5)).await;
    place.remove().await.unwrap();
}

#[tokio::test]
async fn what_was_a_proto_is_called_in_all_its_kinds() {
    let bus = Bus::in_memory();
    let serving = bus.serve(OrdersServer::new(Book::default())).await.unwrap();
    orders::call(&bus).await.unwrap();
    serving.shutdown().await.unwrap();
}
