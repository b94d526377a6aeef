//! A bus in this process, for a time that nobody waits for, and what a stranger does to it.

use crate::foreign::Foreign;
use futures_util::stream;
use replybus::{
    Bus, Context, Never,
    message::Message,
    queue_handler,
    reply::memory::MemoryReplies,
    stream::Items,
    transport::{
        Outgoing, Transport as _,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use tokio::runtime::Builder;

/// Runs it to its end: what it sleeps for has passed at once.
pub(crate) fn to_its_end(of: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("it needs no resources").block_on(of);
}

/// A service with methods of each kind.
#[queue_handler("fuzz.requests")]
pub(crate) trait Echo {
    #[query]
    async fn say(&self, text: String, times: Option<u8>) -> Result<String, Never>;

    async fn add(&self, amounts: Vec<i32>) -> Result<i64, Never>;

    #[command(job = "1h")]
    async fn copy(&self, pages: u8) -> Result<u8, Never>;

    #[stream]
    async fn count(&self, to: u8) -> Result<Items<u8, Never>, Never>;
}

#[derive(Debug)]
pub(crate) struct Here;

impl Echo for Here {
    async fn say(&self, text: String, times: Option<u8>) -> Result<String, Never> {
        Ok(text.repeat(times.unwrap_or(1).into()))
    }

    async fn add(&self, amounts: Vec<i32>) -> Result<i64, Never> {
        Ok(amounts.into_iter().map(i64::from).sum())
    }

    async fn copy(&self, pages: u8) -> Result<u8, Never> {
        Context::current().progress(1, u64::from(pages), "a page");
        Ok(pages)
    }

    async fn count(&self, to: u8) -> Result<Items<u8, Never>, Never> {
        Ok(Items::new(stream::iter((0..to).map(Ok))))
    }
}

/// A broker, and a bus on it.
pub(crate) struct World {
    pub(crate) bus: Bus,
    /// A connection of somebody else.
    pub(crate) stranger: MemoryTransport,
}

impl World {
    pub(crate) async fn new() -> Self {
        let broker = MemoryBroker::new();
        let bus = Bus::connect(broker.clone(), MemoryReplies::new()).await;
        Self {
            bus: bus.expect("it is in this process"),
            stranger: broker.connect(),
        }
    }

    /// Publishes what anybody could.
    pub(crate) async fn publish(&self, message: Message) {
        let mut receipt = self.stranger.publish(Outgoing::new(message));
        let _ = receipt.verdict().await;
    }

    /// Publishes these to a queue.
    pub(crate) async fn publish_all(&self, messages: Vec<Foreign>, queue: &str) {
        for message in messages {
            self.publish(message.into_message(queue)).await;
        }
    }

    /// Fails unless a service that strangers wrote to serves whoever calls it.
    pub(crate) async fn serves_neighbours(&self) {
        let echo = EchoClient::new(&self.bus);
        let said = echo.say("still here".to_owned(), Some(1)).await;
        assert_eq!(said.expect("a neighbour is answered"), "still here");
        let sum = echo.add(vec![1, 2]).await;
        assert_eq!(sum.expect("a neighbour is answered"), 3);
    }

    /// Fails if a message waits in a queue.
    pub(crate) async fn is_empty(&self, queue: &str) {
        let left = self.bus.inspect(queue).await.expect("it was declared");
        let left = left.expect("it was declared").waiting;
        assert_eq!(left, 0, "a message was given back");
    }
}
