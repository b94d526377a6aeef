//! From a queue whose workers answer under `response:{correlation_id}` in Redis, where the producer
//! polls for it.

pub(crate) mod from_old;
pub(crate) mod producer;
pub(crate) mod to_old;
pub(crate) mod worker;

use super::{contract::AccountsClient, place::Place, program::Program, service, stages::Old};
use producer::Producer;
use replybus::Bus;

pub(crate) struct Polled;

impl Old for Polled {
    type NewCaller = AccountsClient;
    type Caller = Producer;

    async fn caller(place: &Place) -> anyhow::Result<Producer> {
        Producer::connect(place).await
    }

    async fn worker(place: &Place) -> anyhow::Result<Program> {
        worker::start(place).await
    }

    async fn from_old(place: &Place) -> anyhow::Result<Program> {
        from_old::start(place).await
    }

    async fn to_old(place: &Place) -> anyhow::Result<Program> {
        to_old::start(place).await
    }

    async fn service(place: &Place) -> anyhow::Result<Program> {
        service::start(place).await
    }

    fn new_caller(bus: &Bus, place: &Place) -> AccountsClient {
        service::client(bus, place)
    }
}
