//! What docs/migration.md tells is what happens: a service moves, and no caller is answered wrongly.

use crate::migration::{
    orders::{self, Book, OrdersServer},
    place::Place,
    polled::Polled,
    reply_to::ReplyTo,
    stages::{self, Old},
};
use replybus::Bus;
use replybus_testkit::live::{rabbitmq, redis, unique};

async fn place(name: &str) -> Option<Place> {
    Some(Place {
        amqp_url: rabbitmq().await?,
        redis_url: redis().await?,
        name: unique(name),
    })
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
async fn what_was_a_proto_is_called_in_all_its_kinds() {
    let bus = Bus::in_memory();
    let serving = bus.serve(OrdersServer::new(Book::default())).await.unwrap();
    orders::call(&bus).await.unwrap();
    serving.shutdown().await.unwrap();
}
