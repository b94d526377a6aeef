//! Calls that come later, commands that are put off, and such as keep a record of their own, between
//! programs in other languages and ours.

use super::{
    brought::{self, Runner},
    depot::{self, DepotServer, OurDepot},
    desk::Place,
    foreign::Worker,
};
use replybus_testkit::wait::bounded;

/// A program in another language calls a service in ours.
async fn calls(runner: Runner) {
    let Some(place) = Place::open("later-calls").await else {
        return;
    };
    let serving = place.bus.serve(DepotServer::new(OurDepot::default()));
    let serving = serving.await.unwrap();
    depot::hears_late(&place, async {
        let mut program = runner.program("depot_calls", &place.servers);
        let called = bounded(brought::done(&mut program)).await;
        assert_eq!(called.unwrap(), "all was as it should be\n");
    })
    .await;
    depot::lists_what_waits(&place).await;
    depot::keeps_what_was_put_off_in_vain(&place, 2).await;
    serving.shutdown().await.unwrap();
    depot::remove(place).await;
}

/// A program in ours calls a service in another language.
async fn serves(runner: Runner) {
    let Some(place) = Place::open("later-serves").await else {
        return;
    };
    let records = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = runner.program("depot_worker", &place.servers);
        command.env("DEPOT_RECORDS", records.path());
        Worker::start(command)
    };
    let mut first = start().await;
    depot::asks_for_later(&place).await;
    depot::asks_what_is_put_off(&place).await;
    depot::keeps_what_was_put_off_in_vain(&place, 4).await;
    let replaces = async {
        assert_eq!(first.died().await, Some(9));
        start().await
    };
    let (second, ()) = tokio::join!(replaces, depot::is_noted_once(&place));
    depot::has_no_claim(&place).await;
    assert_eq!(second.stop().await, "all was as it should be\n");
    depot::remove(place).await;
}

#[tokio::test]
async fn callers_in_python_delay_and_wait_for_what_is_put_off() {
    if let Some(python) = brought::python().await {
        calls(python).await;
    }
}

#[tokio::test]
async fn callers_in_typescript_delay_and_wait_for_what_is_put_off() {
    if let Some(node) = brought::node().await {
        calls(node).await;
    }
}

#[tokio::test]
async fn workers_in_python_put_off_and_keep_records() {
    if let Some(python) = brought::python().await {
        serves(python).await;
    }
}

#[tokio::test]
async fn workers_in_typescript_put_off_and_keep_records() {
    if let Some(node) = brought::node().await {
        serves(node).await;
    }
}
