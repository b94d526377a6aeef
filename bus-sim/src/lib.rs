//! Simulated processes, broker and store for tests of services on [replybus]: a seed decides
//! what goes wrong, and when it is run again, the same does.
//!
//! A [`Simulation`] has processes, each with services and clients of its own on a runtime of its own,
//! which one broker and one store connect. Their clocks go only as the simulation moves them, so that
//! a minute takes milliseconds. Every request that a process makes of a server, a publish, a settlement,
//! a claim, a reply, is a step, and [faults](Fault) hit steps. [`check`] runs a scenario under many
//! seeds, and [`invariants`] says what must hold at its end.
//!
//! ```
//! use replybus::{Never, queue_handler};
//! use replybus_sim::{Faults, History, Node, ProcessError, Simulation, Violation, check, invariants};
//! use std::time::Duration;
//!
//! #[queue_handler("counter.requests", timeout = "10s")]
//! trait Counter {
//!     async fn count(&self, key: String) -> Result<u64, Never>;
//! }
//!
//! struct Counting {
//!     node: Node,
//!     history: History,
//! }
//!
//! impl Counter for Counting {
//!     async fn count(&self, key: String) -> Result<u64, Never> {
//!         self.node.step("opens a transaction").await; // may be killed here,
//!         let count = self.history.did_once(&key, 1); // a row with a unique key
//!         self.node.step("has committed it").await; // or here
//!         Ok(count)
//!     }
//! }
//!
//! async fn serve(node: Node, history: History) -> Result<(), ProcessError> {
//!     let bus = node.connect().await?;
//!     let counting = Counting { node: node.clone(), history };
//!     let serving = bus.serve(CounterServer::new(counting)).await?;
//!     node.stopped().await;
//!     serving.shutdown().await?;
//!     bus.close(Duration::from_secs(5)).await;
//!     Ok(())
//! }
//!
//! async fn call(node: Node, history: History) -> Result<(), ProcessError> {
//!     let bus = node.connect().await?;
//!     let key = format!("key {}", node.life());
//!     let asked = history.asks(&*key);
//!     let told = CounterClient::new(&bus).count(key.clone()).idempotency_key(key).await;
//!     history.is_told(asked, &told);
//!     bus.close(Duration::from_secs(5)).await;
//!     Ok(())
//! }
//!
//! // In a test:
//! check(5, &Faults::all(), |simulation: &mut Simulation| -> Result<(), Violation> {
//!     let history = History::new();
//!     for name in ["one", "another"] {
//!         let history = history.clone();
//!         simulation.service(name, move |node| serve(node, history.clone()));
//!     }
//!     let asking = history.clone();
//!     simulation.caller("caller", move |node| call(node, asking.clone()));
//!     let ended = simulation.run()?;
//!     invariants::answered_truthfully(&history)?;
//!     invariants::effects_are_present_once(&history)?;
//!     invariants::no_message_is_left(&ended)
//! });
//! ```
//!
//! When it is violated, `check` panics with the seed, the faults that are left when all are left out
//! that can be, and the last steps. `REPLYBUS_SIM_SEED=42 REPLYBUS_SIM_FAULTS=0,3` runs just that again;
//! `REPLYBUS_SIM_SEEDS=100000` runs more seeds than the test says.
//!
//! # What is simulated
//!
//! Broker and store are those in memory of replybus, which obey the contract of RabbitMQ and Redis, on
//! the other side of connections that take time, and break. A connection to the broker keeps its order;
//! those to the store are several. A process that is killed loses its runtime and with it all its tasks.
//! One that stands still finds its clocks ahead; after 10 s the broker has given it up, and what it was
//! sent until then is still in its buffers. A broker that restarts with its queues loses what was not to
//! be written to disk. Ids, jitter and the wall clock are the simulation's, by the feature `simulation`
//! of replybus, which this crate turns on in builds that have it: have it among `[dev-dependencies]`.
//!
//! # What replays
//!
//! All that happens between processes and servers, in its order: [`Ended::digest`] is the same for the
//! same seed and faults, of one build. Handlers must not bring chance of their own: no threads, no
//! clock but tokio's, [`Node::chance`] in place of a random number, `tokio::select!` with `biased`, and no
//! order that comes from iterating over a `HashMap` or from several waiters on a `tokio::sync::watch`.
//!
//! # What is not
//!
//! What lapin and redis-rs do on a socket, TLS, permissions, alarms and full disks: tests on real
//! servers show these. A handler that blocks its thread blocks the simulation. Looking through a queue
//! ([`Transport::browse`](replybus::transport::Transport::browse)) is refused, so dead letters are not
//! put back; [`Ended::left`] has them.

mod chance;
mod deliveries;
mod fault;
mod flights;
mod history;
pub mod invariants;
mod node;
mod plan;
mod process;
mod replies;
mod run;
mod search;
mod servers;
mod session;
mod simulation;
mod surroundings;
mod trace;
mod transport;
mod wire;

pub use fault::Fault;
pub use history::{AskedCall, History};
pub use node::Node;
pub use plan::Faults;
pub use process::ProcessError;
pub use replies::SimulatedReplies;
pub use search::{Found, check, search};
pub use simulation::{Ended, Simulation, Violation};
pub use trace::Happened;
pub use transport::SimulatedBroker;
