//! What a test leaves on a RabbitMQ that others use, too. A broker has a bounded number of open files,
//! and each quorum queue holds some of them for as long as it is there.

use lapin::{Channel, Connection, ConnectionProperties, types::ShortString};

/// The levels of the way on which messages of replybus wait until they are due, each of a power of two
/// of seconds.
const LEVELS: u32 = 25;

/// Queues and exchanges of one namespace of replybus, to be deleted when nobody uses them any more.
#[derive(Debug)]
#[must_use = "they are deleted by `delete`"]
pub struct Leftovers {
    namespace: String,
    queues: Vec<String>,
    exchanges: Vec<String>,
}

impl Leftovers {
    /// Those of a namespace: the exchange of its control line, which each service declares.
    pub fn of(namespace: &str) -> Self {
        let none = Self {
            namespace: namespace.to_owned(),
            queues: Vec::new(),
            exchanges: Vec::new(),
        };
        none.exchanges(["replybus.control"])
    }

    /// Adds queues that are served or of groups, each with that of its dead letters, by their names in
    /// the namespace.
    pub fn queues<'a>(mut self, queues: impl IntoIterator<Item = &'a str>) -> Self {
        for queue in queues {
            let queue = self.full(queue);
            self.queues.push(format!("{queue}.dead"));
            self.queues.push(queue);
        }
        self
    }

    /// Adds exchanges, by their names in the namespace.
    pub fn exchanges<'a>(mut self, exchanges: impl IntoIterator<Item = &'a str>) -> Self {
        for exchange in exchanges {
            let exchange = self.full(exchange);
            self.exchanges.push(exchange);
        }
        self
    }

    /// Adds those on which calls wait that are due later, put off or of jobs, to these queues.
    pub fn delays_to<'a>(mut self, queues: impl IntoIterator<Item = &'a str>) -> Self {
        let way = self.full("replybus.delay");
        for level in (0..LEVELS).map(|level| format!("{way}.{}s", 1_u64 << level)) {
            self.queues.push(level.clone());
            self.exchanges.push(level);
        }
        let others = ["lost", "unheard"].map(|other| format!("{way}.{other}"));
        self.queues.extend(others);
        for queue in queues {
            let due = format!("{way}.due.{}", self.full(queue));
            self.queues.push(due);
        }
        let steps = ["", ".fresh", ".first", ".due", ".lost"];
        self.exchanges
            .extend(steps.map(|step| format!("{way}{step}")));
        self
    }

    /// Deletes them from the RabbitMQ at this address. One that was never declared counts as deleted.
    ///
    /// # Errors
    /// RabbitMQ can't be reached, or refuses.
    ///
    /// # Cancel safety
    /// Dropped, some may be left.
    pub async fn delete(self, amqp_url: &str) -> Result<(), lapin::Error> {
        let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        self.delete_over(&channel).await?;
        connection.close(200, ShortString::from("done")).await
    }

    async fn delete_over(self, channel: &Channel) -> Result<(), lapin::Error> {
        for queue in self.queues {
            let deleted = channel.queue_delete(queue.into(), Default::default());
            deleted.await?;
        }
        for exchange in self.exchanges {
            let deleted = channel.exchange_delete(exchange.into(), Default::default());
            deleted.await?;
        }
        Ok(())
    }

    fn full(&self, name: &str) -> String {
        format!("{}.{name}", self.namespace)
    }
}
