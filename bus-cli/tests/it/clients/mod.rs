//! Clients in other languages: generated, checked by the tools of their language, and run against a
//! service in ours.

mod adapters;
mod belt;
mod brought;
mod depot;
mod desk;
mod faults;
mod foreign;
mod later;
mod offered;
mod readme;
mod scale;
mod yard;

use crate::program::run;
use replybus::{
    Amqp, Bus, Context, queue_handler,
    schema::{Contracts, JsonSchema, schemars},
};
use replybus_redis::RedisReplies;
use replybus_testkit::live::{rabbitmq, redis, unique};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Mutex, time::Duration};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct Jar {
    name: String,
    grams: u32,
    #[serde(default)]
    tags: Vec<String>,
    /// A name that is none in other languages.
    #[serde(rename = "from")]
    origin: Option<Origin>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
enum Origin {
    Home,
    Bought { at: String },
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
enum PantryError {
    Full(u32),
}

#[queue_handler("pantry.requests", partitions = 3)]
trait Pantry {
    /// Puts a jar onto a shelf. "*/" ends no comment, and """ no text.
    async fn put(&self, #[key] shelf: String, jar: Jar) -> Result<u32, PantryError>;

    /// What is on a shelf.
    #[query]
    async fn list(&self, #[key] shelf: String, from: Option<u32>) -> Result<Vec<Jar>, PantryError>;

    /// Says who asks.
    #[query(timeout = "700ms")]
    async fn r#await(&self, #[key] shelf: String) -> Result<BTreeMap<String, u64>, PantryError>;
}

#[derive(Debug, Default)]
struct Shelves(Mutex<BTreeMap<String, Vec<Jar>>>);

impl Pantry for Shelves {
    async fn put(&self, shelf: String, jar: Jar) -> Result<u32, PantryError> {
        let mut shelves = self.0.lock().unwrap();
        let shelf = shelves.entry(shelf).or_default();
        if shelf.len() == 2 {
            return Err(PantryError::Full(2));
        }
        shelf.push(jar);
        Ok(u32::try_from(shelf.len()).unwrap())
    }

    async fn list(&self, shelf: String, from: Option<u32>) -> Result<Vec<Jar>, PantryError> {
        let shelves = self.0.lock().unwrap();
        let from = usize::try_from(from.unwrap_or(0)).unwrap();
        let jars = shelves.get(&shelf).into_iter().flatten();
        Ok(jars.skip(from).cloned().collect())
    }

    async fn r#await(&self, _: String) -> Result<BTreeMap<String, u64>, PantryError> {
        let caller = Context::current().caller().unwrap_or_default().to_owned();
        Ok([(caller, 1)].into())
    }
}

async fn generated(language: &str) -> String {
    let contracts = Contracts::builder()
        .service(PantryClient::CONTRACT)
        .build()
        .unwrap();
    let arguments = ["contracts", "client", "-", "--language", language];
    run(&[], &arguments, &contracts.to_json())
        .await
        .text()
        .to_owned()
}

/// A service, and its servers.
struct Served {
    amqp: String,
    redis: String,
    namespace: String,
    bus: Bus,
    serving: replybus::server::Serving,
}

impl Served {
    async fn open(name: &str) -> Option<Self> {
        let (amqp, redis) = (rabbitmq().await?, redis().await?);
        let namespace = unique(name);
        let bus = Bus::builder().namespace(&namespace);
        let bus = bus
            .connect(Amqp::new(&amqp), RedisReplies::new(&redis))
            .await
            .unwrap();
        let serving = bus
            .serve(PantryServer::new(Shelves::default()))
            .await
            .unwrap();
        Some(Self {
            amqp,
            redis,
            namespace,
            bus,
            serving,
        })
    }

    fn arguments(&self) -> [&str; 3] {
        [&self.amqp, &self.redis, &self.namespace]
    }

    async fn close(self) {
        self.serving.shutdown().await.unwrap();
        self.bus.close(Duration::from_secs(5)).await;
        let transport = Amqp::new(&self.amqp).connect().await.unwrap();
        let contract = PantryClient::CONTRACT;
        for queue in contract.queues().chain(["pantry.requests.dead".to_owned()]) {
            let queue = format!("{}.{queue}", self.namespace);
            transport.remove(&queue, &[], true).await.unwrap();
        }
        transport.close(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_client_in_python_is_checked_and_calls() {
    let module = generated("python").await;
    let Some(python) = brought::python().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let module = ("pantry.py", &*module);
    python.checks(folder.path(), module, PYTHON).await;
    let Some(served) = Served::open("python").await else {
        return;
    };
    let mut call = python.command();
    let called = brought::done(
        call.arg("caller.py")
            .args(served.arguments())
            .current_dir(&folder),
    )
    .await;
    assert_eq!(called.unwrap(), "all was as it should be\n");
    served.close().await;
}

const PYTHON: &str = r#"
import asyncio
import sys

import pantry
from replybus import Bus, CallFailed, HandlerError


async def main() -> None:
    amqp, redis, namespace = sys.argv[1:]
    async with Bus(amqp, redis, namespace=namespace) as bus:
        client = pantry.Pantry(bus)
        jam: pantry.Jar = {"name": "jam", "grams": 250, "from": {"Bought": {"at": "the market"}}}
        for _ in range(2):
            assert await client.put(shelf="top", jar=jam, idempotency_key="jam") == 1
        salt: pantry.Jar = {"name": "salt", "grams": 1000, "from": "Home"}
        assert await client.put(shelf="top", jar=salt) == 2
        try:
            await client.put(shelf="top", jar=jam)
            raise AssertionError("it is full")
        except HandlerError as error:
            assert error.error == {"Full": 2}, error
        listed = await client.list(shelf="top", from_=1)
        assert listed == [{"name": "salt", "grams": 1000, "tags": [], "from": "Home"}], listed
        assert len(await client.list(shelf="top")) == 2 and await client.list(shelf="low") == []
        assert await client.await_(shelf="low") == {"python": 1}
        ticket = await client.put(shelf="later", jar=jam).submit()
        assert await bus.wait(ticket) == 1
        bad: pantry.Jar = {"name": "jam", "grams": -1}
        try:
            await client.put(shelf="low", jar=bad)
            raise AssertionError("less than nothing")
        except CallFailed as failed:
            assert (failed.code, failed.may_have_executed) == ("bad_request", False), failed
    async with Bus(amqp, redis, namespace=namespace + ".nobody") as bus:
        try:
            await pantry.Pantry(bus).list(shelf="top")
            raise AssertionError("nobody is there")
        except CallFailed as failed:
            assert (failed.code, failed.may_have_executed) == ("unroutable", False), failed
    print("all was as it should be")


asyncio.run(main())
"#;

#[tokio::test]
async fn a_client_in_typescript_is_compiled_and_calls() {
    let module = generated("typescript").await;
    let Some(node) = brought::node().await else {
        return;
    };
    let folder = tempfile::tempdir_in(&node.client).unwrap();
    let module = ("pantry.ts", &*module);
    node.compiles(folder.path(), module, TYPESCRIPT).await;
    let Some(served) = Served::open("typescript").await else {
        return;
    };
    let mut call = node.command();
    let called = brought::done(
        call.arg("caller.js")
            .args(served.arguments())
            .current_dir(&folder),
    )
    .await;
    assert_eq!(called.unwrap(), "all was as it should be\n");
    served.close().await;
}

const TYPESCRIPT: &str = r#"
import assert from "node:assert";
import { Bus, CallFailed, HandlerError } from "replybus";
import { Pantry, type Jar } from "./pantry.js";

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, { namespace });
const client = new Pantry(bus);
const jam: Jar = { name: "jam", grams: 250, from: { Bought: { at: "the market" } } };
assert.equal(await client.put({ shelf: "top", jar: jam }, { idempotencyKey: "jam" }), 1);
assert.equal(await client.put({ shelf: "top", jar: jam }, { idempotencyKey: "jam" }), 1);
assert.equal(await client.put({ shelf: "top", jar: { name: "salt", grams: 1000, from: "Home" } }), 2);
await assert.rejects(client.put({ shelf: "top", jar: jam }).reply(), (error: unknown) => {
  assert.deepEqual((error as HandlerError).error, { Full: 2 });
  return true;
});
const salt = [{ name: "salt", grams: 1000, tags: [], from: "Home" }];
assert.deepEqual(await client.list({ shelf: "top", from: 1 }), salt);
const both = await Promise.all([client.list({ shelf: "top" }), client.list({ shelf: "low" })]);
assert.deepEqual(both.map((jars) => jars.length), [2, 0]);
assert.deepEqual(await client.await({ shelf: "low" }), { node: 1 });
const ticket = await client.put({ shelf: "later", jar: jam }).submit();
assert.equal(await bus.wait(ticket), 1);
await assert.rejects(client.put({ shelf: "low", jar: { name: "jam", grams: -1 } }).reply(), (error: unknown) => {
  assert.ok(error instanceof CallFailed);
  assert.deepEqual([error.code, error.mayHaveExecuted], ["bad_request", false]);
  return true;
});
await bus.close();
const nobody = await Bus.connect(amqp, redis, { namespace: `${namespace}.nobody` });
await assert.rejects(new Pantry(nobody).list({ shelf: "top" }).reply(), (error: unknown) => {
  assert.ok(error instanceof CallFailed);
  assert.deepEqual([error.code, error.mayHaveExecuted], ["unroutable", false]);
  return true;
});
await nobody.close();
console.log("all was as it should be");
"#;
