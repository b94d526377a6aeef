//! From gRPC: tonic's server and client, and no queue between them. `orders.proto` was the contract.

mod from_old;
pub(crate) mod messages;
pub(crate) mod old_caller;
mod old_service;
mod status;
mod to_old;

/// What tonic's generator made of `orders.proto`.
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    unused_qualifications
)]
pub(crate) mod proto {
    include!(concat!(env!("OUT_DIR"), "/orders.Orders.rs"));
}

use super::{
    orders::{OrdersClient, OrdersServer},
    place::Place,
    program::{Program, Stop},
    stages::Old,
};
use old_caller::Caller;
use proto::orders_server::{Orders, OrdersServer as GrpcServer};
use replybus::Bus;
use std::{sync::Arc, time::Duration};
use tonic::transport::{Server, server::TcpIncoming};

pub(crate) struct Grpc;

impl Old for Grpc {
    type Caller = Caller;
    type NewCaller = OrdersClient;

    async fn caller(place: &Place) -> anyhow::Result<Caller> {
        Caller::connect(place).await
    }

    async fn worker(place: &Place) -> anyhow::Result<Program> {
        old_service::start(place)
    }

    async fn from_old(place: &Place) -> anyhow::Result<Program> {
        from_old::start(place).await
    }

    async fn to_old(place: &Place) -> anyhow::Result<Program> {
        to_old::start(place).await
    }

    async fn service(place: &Place) -> anyhow::Result<Program> {
        let bus = place.bus().await?;
        let orders = OrdersServer::new(Arc::clone(&place.book));
        let serving = bus.serve(orders).on_queue(place.new_queue()).await?;
        Ok(Program::run(|stop| async move {
            serving.run_until(stop).await?;
            bus.close(Duration::from_secs(5)).await;
            Ok(())
        }))
    }

    fn new_caller(bus: &Bus, place: &Place) -> OrdersClient {
        OrdersClient::new(bus).on_queue(place.new_queue())
    }
}

/// Serves until it is told to stop, and then what it has begun.
async fn serve(orders: impl Orders, incoming: TcpIncoming, stop: Stop) -> anyhow::Result<()> {
    let server = Server::builder().add_service(GrpcServer::new(orders));
    let stopped = async {
        // Who drops the other end wants it to stop as well.
        let _ = stop.await;
    };
    server
        .serve_with_incoming_shutdown(incoming, stopped)
        .await?;
    Ok(())
}
