//! The rights of a user of the broker, by what its programs do.

use crate::{
    bus::{DELAY_WAY, check_namespace, in_namespace},
    contract::check_name,
    control,
    error::SetupError,
    partition::partition_queue,
    work::dead_letter_queue,
};
use std::collections::BTreeSet;

/// As RabbitMQ calls the default exchange, by which messages go to queues, where it asks for rights.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// An instance, in the name of its control queue.
const INSTANCE: &str = "[0-9a-f-]{36}";

/// The least rights of a RabbitMQ user, by what its programs do: three regular expressions, of the
/// names that it may configure, write to and read from, as `rabbitmqctl set_permissions` takes them.
///
/// RabbitMQ has rights by the names of queues and exchanges, and no others. So whoever may call, or
/// keep dead letters, may publish to each queue of the virtual host, by the default exchange; and who
/// may cancel calls may cancel, ask and watch at each service of the namespace. A virtual host of
/// its own separates what these must not share.
///
/// ```
/// use replybus::transport::amqp::AmqpRights;
///
/// let rights = AmqpRights::new("bank")?.call("account.requests")?;
/// assert_eq!(rights.write(), r"^(amq\.default|bank\.replybus\.control)$");
/// assert_eq!(rights.read(), "^$");
/// # Ok::<(), replybus::SetupError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AmqpRights {
    namespace: String,
    configure: BTreeSet<String>,
    write: BTreeSet<String>,
    read: BTreeSet<String>,
}

impl AmqpRights {
    /// None, in the namespace of a bus; empty if it has none.
    ///
    /// # Errors
    /// No bus can have this namespace.
    pub fn new(namespace: impl Into<String>) -> Result<Self, SetupError> {
        let namespace = namespace.into();
        check_namespace(&namespace)?;
        Ok(Self {
            namespace,
            configure: BTreeSet::new(),
            write: BTreeSet::new(),
            read: BTreeSet::new(),
        })
    }

    /// To serve a queue of one without partitions: to declare and consume it, to keep dead letters,
    /// and to hear what is said over the control line.
    ///
    /// # Errors
    /// No queue can have this name.
    pub fn serve(self, queue: &str) -> Result<Self, SetupError> {
        check_name("queue", queue)?;
        let name = escaped(&self.name(queue));
        Ok(self.serve_as(queue, [name]))
    }

    /// The same, of a contract with so many partitions.
    ///
    /// # Errors
    /// No queue can have this name.
    pub fn serve_partitions(self, queue: &str, partitions: u16) -> Result<Self, SetupError> {
        check_name("queue", queue)?;
        let on_broker = self.name(queue);
        let names = (0..partitions).map(|at| escaped(&partition_queue(&on_broker, at)));
        let names: Vec<String> = names.collect();
        Ok(self.serve_as(queue, names))
    }

    fn serve_as(mut self, queue: &str, names: impl IntoIterator<Item = String>) -> Self {
        for name in names {
            self.configure.insert(name.clone());
            self.read.insert(name);
        }
        self.keep_letters(queue);
        let exchange = escaped(&self.name(control::EXCHANGE));
        let line = format!(r"{exchange}\.{INSTANCE}");
        self.configure.extend([exchange.clone(), line.clone()]);
        self.write.insert(line.clone());
        self.read.extend([exchange, line]);
        self
    }

    /// To call the services of a queue, to cancel calls to them, and to ask them.
    ///
    /// # Errors
    /// No queue can have this name.
    pub fn call(mut self, queue: &str) -> Result<Self, SetupError> {
        check_name("queue", queue)?;
        let exchange = escaped(&self.name(control::EXCHANGE));
        self.configure.insert(exchange.clone());
        self.write.extend([escaped(DEFAULT_EXCHANGE), exchange]);
        Ok(self)
    }

    /// To emit events to an exchange, and to declare it.
    ///
    /// # Errors
    /// No exchange can have this name.
    pub fn emit(mut self, exchange: &str) -> Result<Self, SetupError> {
        check_name("exchange", exchange)?;
        let exchange = escaped(&self.name(exchange));
        self.configure.insert(exchange.clone());
        self.write.insert(exchange);
        Ok(self)
    }

    /// To hear the events of an exchange as a member of a group, and to keep dead letters.
    ///
    /// # Errors
    /// No group, or no exchange, can have this name.
    pub fn subscribe(mut self, group: &str, exchange: &str) -> Result<Self, SetupError> {
        check_name("group", group)?;
        check_name("exchange", exchange)?;
        let (queue, exchange) = (escaped(&self.name(group)), escaped(&self.name(exchange)));
        self.configure.extend([queue.clone(), exchange.clone()]);
        self.write.insert(queue.clone());
        self.read.extend([queue, exchange]);
        self.keep_letters(group);
        Ok(self)
    }

    /// To delay messages: calls and events for later, jobs, schedules, and commands that are put off
    /// for more than a second.
    pub fn delay(mut self) -> Self {
        let way = escaped(&self.name(DELAY_WAY));
        // Queues and exchanges are named after destinations, events' with a colon.
        let all = format!(r"{way}(\.[A-Za-z0-9._:-]+)?");
        self.configure.insert(all.clone());
        self.write.extend([all.clone(), escaped(DEFAULT_EXCHANGE)]);
        self.read.insert(all);
        self
    }

    /// The names that it may declare and remove.
    #[must_use]
    pub fn configure(&self) -> String {
        any_of(&self.configure)
    }

    /// The names that it may publish to, and the queues that it may bind.
    #[must_use]
    pub fn write(&self) -> String {
        any_of(&self.write)
    }

    /// The queues that it may consume, and the exchanges that it may bind them to.
    #[must_use]
    pub fn read(&self) -> String {
        any_of(&self.read)
    }

    fn keep_letters(&mut self, queue: &str) {
        let dead = dead_letter_queue(&self.name(queue));
        self.configure.insert(escaped(&dead));
        self.write.insert(escaped(DEFAULT_EXCHANGE));
    }

    fn name(&self, name: &str) -> String {
        in_namespace(&self.namespace, name)
    }
}

/// A name as a regular expression.
fn escaped(name: &str) -> String {
    // Of all that names may have only this means something.
    name.replace('.', r"\.")
}

fn any_of(patterns: &BTreeSet<String>) -> String {
    if patterns.is_empty() {
        return "^$".to_owned();
    }
    let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
    format!("^({})$", patterns.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_its_names_and_no_others() {
        let rights = AmqpRights::new("").unwrap();
        let served = rights.clone().serve("a.requests").unwrap();
        let line = r"replybus\.control\.[0-9a-f-]{36}";
        assert_eq!(
            served.configure(),
            format!(r"^(a\.requests|a\.requests\.dead|replybus\.control|{line})$")
        );
        assert_eq!(served.write(), format!(r"^(amq\.default|{line})$"));
        assert_eq!(
            served.read(),
            format!(r"^(a\.requests|replybus\.control|{line})$")
        );
        let emitted = rights.clone().emit("bank.events").unwrap();
        assert_eq!(emitted.configure(), r"^(bank\.events)$");
        assert_eq!(emitted.write(), emitted.configure());
        assert_eq!(emitted.read(), "^$");
        let divided = rights.clone().serve_partitions("a", 2).unwrap();
        assert!(divided.read().starts_with(r"^(a\.0|a\.1|replybus"));
        let delays = rights.delay();
        assert_eq!(delays.read(), delays.configure());
    }

    #[test]
    fn a_namespace_is_before_all_names_but_the_brokers() {
        let rights = AmqpRights::new("bank.test").unwrap();
        let rights = rights
            .call("a")
            .unwrap()
            .subscribe("g", "e")
            .unwrap()
            .delay();
        for pattern in [rights.configure(), rights.write(), rights.read()] {
            let inner = pattern.trim_start_matches("^(").trim_end_matches(")$");
            for name in inner.split('|') {
                assert!(
                    name.starts_with(r"bank\.test\.") || name == r"amq\.default",
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn names_that_there_can_not_be_are_refused() {
        assert!(AmqpRights::new(".*|").is_err());
        let rights = AmqpRights::new("").unwrap();
        for name in ["", ".*|x)", "amq.default", "a b"] {
            assert!(rights.clone().serve(name).is_err(), "{name}");
            assert!(rights.clone().serve_partitions(name, 2).is_err(), "{name}");
            assert!(rights.clone().call(name).is_err(), "{name}");
            assert!(rights.clone().emit(name).is_err(), "{name}");
            assert!(rights.clone().subscribe(name, "e").is_err(), "{name}");
            assert!(rights.clone().subscribe("g", name).is_err(), "{name}");
        }
    }
}
