//! Clients in other languages: generated, checked by the tools of their language, and run against a
//! service in ours.

use crate::program::run;
use replybus::{
    Amqp, Bus, Context, queue_handler,
    schema::{Contracts, JsonSchema, schemars},
};
use replybus_redis::RedisReplies;
use replybus_testkit::live::{rabbitmq, redis, unique};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};
use tokio::process::Command;

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

/// What one language needs, brought here once, or why it can't be.
type Brought = Result<PathBuf, String>;

async fn done(command: &mut Command) -> Result<String, String> {
    let ran = command.kill_on_drop(true).output().await;
    let ran = ran.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match ran.status.success() {
        true => Ok(text(&ran.stdout)),
        false => Err(format!("{}{}", text(&ran.stdout), text(&ran.stderr))),
    }
}

/// A place of this build's for what is brought, found again by later runs.
fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A Python that has pika and redis.
async fn python() -> Brought {
    let folder = place("python");
    let python = folder.join("bin/python");
    let has_all =
        async || done(Command::new(&python).args(["-c", "import pika, redis, mypy"])).await;
    if has_all().await.is_err() {
        done(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await?;
        let packages = ["pika>=1.3,<2", "redis>=5,<9", "mypy<3"];
        let mut install = Command::new(&python);
        done(
            install
                .args(["-m", "pip", "install", "--quiet"])
                .args(packages),
        )
        .await?;
    }
    done(Command::new(&python).args(["-c", "import sys; assert sys.version_info >= (3, 11)"]))
        .await?;
    Ok(python)
}

/// A folder in which Node.js finds amqplib, ioredis and the compiler.
async fn node() -> Brought {
    done(Command::new("node").arg("--version")).await?;
    let folder = place("node");
    if !folder.join("node_modules/.bin/tsc").exists() {
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        std::fs::write(
            folder.join("package.json"),
            r#"{"private":true,"type":"module"}"#,
        )
        .unwrap();
        let packages = [
            "amqplib@0.10",
            "ioredis@5",
            "typescript@5",
            "@types/amqplib@0.10",
            "@types/node@20",
        ];
        let mut install = Command::new("npm");
        install
            .args(["install", "--silent", "--no-audit", "--no-fund"])
            .args(packages);
        done(install.current_dir(&folder)).await?;
    }
    Ok(folder)
}

/// What a language needs; says why nothing is tested without it.
#[expect(
    clippy::print_stderr,
    reason = "as other tests say that they are skipped"
)]
fn brought(language: &str, brought: Brought) -> Option<PathBuf> {
    brought
        .inspect_err(|why| eprintln!("skipped: nothing runs {language} here: {why}"))
        .ok()
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
    let Some(python) = brought("python", python().await) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pantry.py"), module).unwrap();
    std::fs::write(folder.path().join("caller.py"), PYTHON).unwrap();
    let mut check = Command::new(&python);
    check.args([
        "-m",
        "mypy",
        "--ignore-missing-imports",
        "--strict-equality",
        "caller.py",
    ]);
    done(check.current_dir(&folder)).await.unwrap();
    let Some(served) = Served::open("python").await else {
        return;
    };
    let mut call = Command::new(&python);
    let called = done(
        call.arg("caller.py")
            .args(served.arguments())
            .current_dir(&folder),
    )
    .await;
    assert_eq!(called.unwrap(), "all was as it should be\n");
    served.close().await;
}

const PYTHON: &str = r#"
import sys
import pantry

amqp, redis, namespace = sys.argv[1:]
with pantry.Bus(amqp, redis, namespace) as bus:
    client = pantry.Pantry(bus)
    jam: pantry.Jar = {"name": "jam", "grams": 250, "from": {"Bought": {"at": "the market"}}}
    assert client.put(shelf="top", jar=jam, idempotency_key="jam") == 1
    assert client.put(shelf="top", jar=jam, idempotency_key="jam") == 1
    assert client.put(shelf="top", jar={"name": "salt", "grams": 1000, "from": "Home"}) == 2
    try:
        client.put(shelf="top", jar=jam)
    except pantry.HandlerError as error:
        assert error.error == {"Full": 2}, error
    else:
        raise AssertionError("it is full")
    listed = client.list(shelf="top", from_=1)
    assert listed == [{"name": "salt", "grams": 1000, "tags": [], "from": "Home"}], listed
    assert len(client.list(shelf="top")) == 2 and client.list(shelf="low") == []
    assert client.await_(shelf="low") == {"python": 1}
    bad: pantry.Jar = {"name": "jam", "grams": -1}
    try:
        client.put(shelf="low", jar=bad)
    except pantry.CallFailed as failed:
        assert (failed.code, failed.may_have_executed) == ("bad_request", False), failed
    else:
        raise AssertionError("less than nothing")
with pantry.Bus(amqp, redis, namespace + ".nobody") as bus:
    try:
        pantry.Pantry(bus).list(shelf="top")
    except pantry.CallFailed as failed:
        assert (failed.code, failed.may_have_executed) == ("unroutable", False), failed
    else:
        raise AssertionError("nobody is there")
print("all was as it should be")
"#;

#[tokio::test]
async fn a_client_in_typescript_is_compiled_and_calls() {
    let module = generated("typescript").await;
    let Some(node) = brought("typescript", node().await) else {
        return;
    };
    let folder = tempfile::tempdir_in(&node).unwrap();
    std::fs::write(folder.path().join("pantry.ts"), module).unwrap();
    std::fs::write(folder.path().join("caller.ts"), TYPESCRIPT).unwrap();
    let mut compile = Command::new(node.join("node_modules/.bin/tsc"));
    compile.args([
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--skipLibCheck",
    ]);
    done(compile.arg("caller.ts").current_dir(&folder))
        .await
        .unwrap();
    let Some(served) = Served::open("typescript").await else {
        return;
    };
    let mut call = Command::new("node");
    let called = done(
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
import { Bus, CallFailed, HandlerError, Jar, Pantry } from "./pantry.js";

const [amqp, redis, namespace] = process.argv.slice(2) as [string, string, string];
const bus = await Bus.connect(amqp, redis, namespace);
const client = new Pantry(bus);
const jam: Jar = { name: "jam", grams: 250, from: { Bought: { at: "the market" } } };
assert.equal(await client.put({ shelf: "top", jar: jam }, { idempotencyKey: "jam" }), 1);
assert.equal(await client.put({ shelf: "top", jar: jam }, { idempotencyKey: "jam" }), 1);
assert.equal(await client.put({ shelf: "top", jar: { name: "salt", grams: 1000, from: "Home" } }), 2);
await assert.rejects(client.put({ shelf: "top", jar: jam }), (error: unknown) => {
  assert.deepEqual((error as HandlerError<unknown>).error, { Full: 2 });
  return true;
});
const salt = [{ name: "salt", grams: 1000, tags: [], from: "Home" }];
assert.deepEqual(await client.list({ shelf: "top", from: 1 }), salt);
const both = await Promise.all([client.list({ shelf: "top" }), client.list({ shelf: "low" })]);
assert.deepEqual(both.map((jars) => jars.length), [2, 0]);
assert.deepEqual(await client.await({ shelf: "low" }), { typescript: 1 });
await assert.rejects(client.put({ shelf: "low", jar: { name: "jam", grams: -1 } }), (error: unknown) => {
  assert.ok(error instanceof CallFailed);
  assert.deepEqual([error.code, error.mayHaveExecuted], ["bad_request", false]);
  return true;
});
await bus.close();
const nobody = await Bus.connect(amqp, redis, `${namespace}.nobody`);
await assert.rejects(new Pantry(nobody).list({ shelf: "top" }), (error: unknown) => {
  assert.ok(error instanceof CallFailed);
  assert.deepEqual([error.code, error.mayHaveExecuted], ["unroutable", false]);
  return true;
});
await nobody.close();
console.log("all was as it should be");
"#;
