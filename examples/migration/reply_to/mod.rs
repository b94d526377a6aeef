//! From a loop on lapin by hand: the caller has a reply queue of its own, and knows its answers by
//! their correlation ids.

pub(crate) mod caller;
pub(crate) mod from_old;
pub(crate) mod to_old;
pub(crate) mod worker;

use super::{contract::AccountsClient, place::Place, program::Program, service, stages::Old};
use caller::Caller;
use replybus::Bus;

pub(crate) struct ReplyTo;

impl Old for ReplyTo {
    type NewCaller = AccountsClient;
    type Caller = Caller;

    async fn caller(place: &Place) -> anyhow::Result<Caller> {
        Caller::connect(place).await
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
