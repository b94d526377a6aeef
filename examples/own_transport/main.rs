//! A transport of one's own: queues that a small broker keeps, the hub, over TCP.
//!
//! ```text
//! cargo run -p replybus-examples --example own_transport
//! cargo test -p replybus-examples --example own_transport
//! ```
//!
//! `transport.rs` is the transport, on `connection.rs`; `hub.rs` is its broker, and `frames.rs` what
//! travels between them. The test holds it to the part of the conformance suite that it claims. It does not connect again when
//! it lost its hub: what is under way then is lost, and it says that it is down. A transport for
//! production has that to do, and tests of it.

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

mod connection;
mod frames;
mod hub;
mod transport;

use replybus::{Bus, Never, queue_handler, reply::memory::MemoryReplies};
use std::time::Duration;
use transport::HubAddress;

#[queue_handler("greeter.requests")]
trait Greeter {
    /// A greeting for `name`.
    #[query]
    async fn greet(&self, name: String) -> Result<String, Never>;

    /// Remembers `name`: a command.
    async fn meet(&self, name: String) -> Result<usize, Never>;
}

struct English;

impl Greeter for English {
    async fn greet(&self, name: String) -> Result<String, Never> {
        Ok(format!("Hello, {name}!"))
    }

    async fn meet(&self, name: String) -> Result<usize, Never> {
        Ok(name.len())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let hub = HubAddress(hub::start().await?);
    // Two programs would have theirs in Redis.
    let replies = MemoryReplies::new();

    let worker = Bus::connect(hub.clone(), replies.clone()).await?;
    let serving = worker.serve(GreeterServer::new(English)).await?;

    let caller = Bus::connect(hub, replies).await?;
    let greeter = GreeterClient::new(&caller);
    let greeting = greeter.greet("Ada".to_owned()).await?;
    println!("over {caller:?}: {greeting}");
    assert_eq!(greeting, "Hello, Ada!");
    assert_eq!(greeter.meet("Grace".to_owned()).await?, 5);

    serving.shutdown().await?;
    worker.close(Duration::from_secs(5)).await;
    caller.close(Duration::from_secs(5)).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use replybus_conformance::{TransportCase, transport_suite};

    // The hub could do more, which this transport does not ask it for.
    transport_suite!(over_tcp, claims: [limits, turns, events]);

    #[tokio::main(flavor = "current_thread")]
    async fn over_tcp(case: TransportCase) {
        let hub = hub::start().await.unwrap();
        case.check(HubAddress(hub)).await;
    }
}
