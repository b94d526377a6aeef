//! A contract, a handler and a client, in one process and without a server.
//!
//! ```text
//! cargo run -p replybus-examples --example hello
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use replybus::{Bus, Never, queue_handler};

#[queue_handler("greeter.requests")]
trait Greeter {
    #[query]
    async fn greet(&self, name: String) -> Result<String, Never>;
}

struct English;

impl Greeter for English {
    async fn greet(&self, name: String) -> Result<String, Never> {
        Ok(format!("Hello, {name}!"))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bus = Bus::in_memory(); // or Bus::connect(Amqp::new(..), RedisReplies::new(..)).await?
    let serving = bus.serve(GreeterServer::new(English)).await?;

    let greeter = GreeterClient::new(&bus); // in another program, with Bus::connect
    let greeting = greeter.greet("Ada".to_owned()).await?;
    println!("{greeting}");
    assert_eq!(greeting, "Hello, Ada!");

    serving.shutdown().await?;
    Ok(())
}
