//! Generated clients of what is more than a call: what their callers must know of a method is in the
//! export, and so they have it.

use super::{
    brought,
    depot::{self, DepotClient, DepotServer, OurDepot},
    desk::Place,
    scale::{OurScale, ScaleClient, ScaleServer},
};
use crate::program::run;
use replybus::schema::Contracts;
use replybus_testkit::wait::bounded;
use tokio::process::Command;

async fn generated(language: &str) -> String {
    let contracts = Contracts::builder()
        .service(DepotClient::CONTRACT)
        .service(ScaleClient::CONTRACT)
        .build()
        .unwrap();
    let arguments = ["contracts", "client", "-", "--language", language];
    let module = run(&[], &arguments, &contracts.to_json()).await;
    module.text().to_owned()
}

/// Serves both, and has a program call them.
async fn calls(program: impl FnOnce(&[String; 3]) -> Command) {
    let Some(place) = Place::open("offered").await else {
        return;
    };
    let depot = place.bus.serve(DepotServer::new(OurDepot::default()));
    let depot = depot.await.unwrap();
    let scale = place.bus.serve(ScaleServer::new(OurScale)).await.unwrap();
    let called = bounded(brought::done(&mut program(&place.servers))).await;
    assert_eq!(called.unwrap(), "all was as it should be\n");
    for serving in [depot, scale] {
        serving.shutdown().await.unwrap();
    }
    depot::remove(place).await;
}

#[tokio::test]
async fn clients_in_python_offer_what_a_method_is() {
    let module = generated("python").await;
    let Some(python) = brought::python().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let module = ("offered.py", &*module);
    python.checks(folder.path(), module, PYTHON).await;
    calls(|servers| {
        let mut call = python.command();
        call.arg("caller.py").args(servers).current_dir(&folder);
        call
    })
    .await;
}

const PYTHON: &str = r#"
import asyncio
import sys

import offered
from replybus import Bus


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace) as bus:
        depot, scale = offered.Depot(bus), offered.Scale(bus)
        assert await scale.total(start=7, amounts=[1, 2]) == 10
        assert await scale.some(amounts=iter(range(9))) == [0, 1, 2]
        ticket = await depot.stamp().submit(after=1)
        assert (ticket.recorded, ticket.put_off, ticket.delayed) == (True, False, True)
        assert await bus.wait(ticket) > 0
        ticket = await depot.stubborn(fails=1).submit()
        assert (ticket.recorded, ticket.put_off, ticket.delayed) == (True, True, False)
        assert await bus.wait(ticket) == 2
        ticket = await depot.noted(dies=False).submit()
        assert (ticket.recorded, await bus.wait(ticket)) == (False, 1)
    print("all was as it should be")


asyncio.run(main())
"#;

#[tokio::test]
async fn clients_in_typescript_offer_what_a_method_is() {
    let module = generated("typescript").await;
    let Some(node) = brought::node().await else {
        return;
    };
    let folder = tempfile::tempdir_in(&node.client).unwrap();
    let module = ("offered.ts", &*module);
    node.compiles(folder.path(), module, TYPESCRIPT).await;
    calls(|servers| {
        let mut call = node.command();
        call.arg("caller.js").args(servers).current_dir(&folder);
        call
    })
    .await;
}

const TYPESCRIPT: &str = r#"
import assert from "node:assert";
import { Bus } from "replybus";
import { Depot, Scale } from "./offered.js";

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace });
const depot = new Depot(bus);
const scale = new Scale(bus);
assert.equal(await scale.total({ start: 7, amounts: [1, 2] }), 10);
assert.deepEqual(await scale.some({ amounts: new Set([0, 1, 2, 3]) }), [0, 1, 2]);
let ticket = await depot.stamp().submit({ after: 1_000 });
assert.deepEqual([ticket.recorded, ticket.put_off, ticket.delayed], [true, false, true]);
assert.ok(((await bus.wait(ticket)) as number) > 0);
ticket = await depot.stubborn({ fails: 1 }).submit();
assert.deepEqual([ticket.recorded, ticket.put_off, ticket.delayed], [true, true, undefined]);
assert.equal(await bus.wait(ticket), 2);
ticket = await depot.noted({ dies: false }).submit();
assert.deepEqual([ticket.recorded, await bus.wait(ticket)], [false, 1]);
await bus.close();
console.log("all was as it should be");
"#;
