//! Contracts that are put together at run time.

use super::{MethodContract, MethodKind, ServiceContract, check_name};
use crate::{
    error::SetupError,
    limits::{LEARNED_CONTRACTS_MAX, LEARNED_METHODS_MAX, NAME_BYTES_MAX},
};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The contracts that were kept, each once. They live as long as the process, as those do that
/// macros write: calls, metrics and logs name them without a copy.
static KEPT: Mutex<Vec<&'static ServiceContract>> = Mutex::new(Vec::new());

/// A contract whose names came from a user, a file or another program: for gateways and tools, which
/// call services that they were not compiled with.
///
/// ```
/// use replybus::{
///     Bus, ContentType, Never,
///     client::ServiceClient,
///     contract::LearnedContract,
///     queue_handler,
/// };
/// use std::collections::BTreeMap;
///
/// # #[queue_handler("greeter.requests")]
/// # pub trait Greeter {
/// #     #[query]
/// #     async fn greet(&self, name: String) -> Result<String, Never>;
/// # }
/// # struct English;
/// # impl Greeter for English {
/// #     async fn greet(&self, name: String) -> Result<String, Never> {
/// #         Ok(format!("Hello, {name}!"))
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// # let serving = bus.serve(GreeterServer::new(English)).await?;
/// let (queue, method) = ("greeter.requests".to_owned(), "greet".to_owned()); // read somewhere
/// let contract = LearnedContract::new("Greeter", queue).query(&method).keep()?;
///
/// let client = ServiceClient::new(&bus, contract).with_content_type(ContentType::Json);
/// let (greet, _) = contract.method(&method).ok_or("no such method")?;
/// let arguments = BTreeMap::from([("name", "Ada")]); // or a serde_json::Value
/// let greeting = client.call::<_, Result<String, Never>>(greet, &arguments).await?;
/// assert_eq!(greeting, "Hello, Ada!");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a contract can't be called before it is kept"]
pub struct LearnedContract {
    name: String,
    queue: String,
    methods: Vec<LearnedMethod>,
}

#[derive(Debug, Clone)]
struct LearnedMethod {
    name: String,
    kind: MethodKind,
    job: Option<Duration>,
    stream: bool,
}

impl LearnedContract {
    /// A contract without methods, of the service that is called `name` in metrics and errors.
    pub fn new(name: impl Into<String>, queue: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            queue: queue.into(),
            methods: Vec::new(),
        }
    }

    /// Adds a method. If it is not known what it is, it is a command: nothing goes wrong when a
    /// query is called so.
    pub fn method(self, name: impl Into<String>, kind: MethodKind) -> Self {
        self.and(name.into(), kind, None, false)
    }

    /// Adds a query.
    pub fn query(self, name: impl Into<String>) -> Self {
        self.method(name, MethodKind::Query)
    }

    /// Adds a command.
    pub fn command(self, name: impl Into<String>) -> Self {
        self.method(name, MethodKind::Command)
    }

    /// Adds a command that may take as long as this: [`MethodContract::job`].
    pub fn job(self, name: impl Into<String>, timeout: Duration) -> Self {
        self.and(name.into(), MethodKind::Command, Some(timeout), false)
    }

    /// Adds a query whose answer is a stream: [`MethodContract::stream`].
    pub fn stream(self, name: impl Into<String>) -> Self {
        self.and(name.into(), MethodKind::Query, None, true)
    }

    fn and(mut self, name: String, kind: MethodKind, job: Option<Duration>, stream: bool) -> Self {
        self.methods.push(LearnedMethod {
            name,
            kind,
            job,
            stream,
        });
        self
    }

    /// The contract, kept for as long as the process lives: make one for each service, not for each
    /// call. One that was kept before is given again.
    ///
    /// # Errors
    /// No queue or method can have such a name, two methods have one, or there are more than
    /// [`LEARNED_METHODS_MAX`] in it, or than [`LEARNED_CONTRACTS_MAX`] contracts in this process.
    pub fn keep(self) -> Result<&'static ServiceContract, SetupError> {
        self.check()?;
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.iter().find(|known| self.is(known)) {
            return Ok(known);
        }
        if kept.len() >= LEARNED_CONTRACTS_MAX {
            let reason =
                format!("this process has learned {LEARNED_CONTRACTS_MAX}, no more are kept");
            return Err(SetupError::setting("contract", reason));
        }
        let contract: &'static ServiceContract = Box::leak(Box::new(self.leak()));
        kept.push(contract);
        Ok(contract)
    }

    fn check(&self) -> Result<(), SetupError> {
        check_name("queue", &self.queue)?;
        let is_name = |name: &str| {
            (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control)
        };
        let refused = |what: &str| {
            let reason =
                format!("names have 1 to {NAME_BYTES_MAX} bytes, without control characters");
            Err(SetupError::setting(what, reason))
        };
        if !is_name(&self.name) {
            return refused("service");
        }
        if !self.methods.iter().all(|method| is_name(&method.name)) {
            return refused("method");
        }
        let mut names: Vec<&str> = self.methods.iter().map(|method| &*method.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        if names.len() < all {
            return Err(SetupError::setting("method", "two have one name"));
        }
        if all > LEARNED_METHODS_MAX {
            let reason = format!("{all} methods, up to {LEARNED_METHODS_MAX} are allowed");
            return Err(SetupError::setting("contract", reason));
        }
        Ok(())
    }

    fn is(&self, known: &ServiceContract) -> bool {
        self.name == known.name
            && self.queue == known.queue
            && self.methods.len() == known.methods.len()
            && self
                .methods
                .iter()
                .zip(known.methods)
                .all(|(learned, known)| {
                    learned.name == known.name
                        && learned.kind == known.kind
                        && learned.job == known.job
                        && learned.stream == known.stream
                })
    }

    fn leak(self) -> ServiceContract {
        let methods: Vec<MethodContract> = self
            .methods
            .into_iter()
            .map(|learned| MethodContract {
                job: learned.job,
                stream: learned.stream,
                ..MethodContract::new(learned.name.leak(), learned.kind)
            })
            .collect();
        ServiceContract::new(self.name.leak(), self.queue.leak(), methods.leak())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_contract_is_kept_once() {
        let learned = || LearnedContract::new("Learned", "learned.requests").query("greet");
        let one = learned().keep().unwrap();
        assert!(std::ptr::eq(one, learned().keep().unwrap()));
        let hour = Duration::from_secs(3_600);
        for other in [
            learned().command("pay"),
            learned().job("pay", hour),
            learned().job("pay", hour * 2),
            learned().stream("pay"),
            LearnedContract::new("Learned", "other.requests").query("greet"),
        ] {
            let other = other.keep().unwrap();
            assert!(!std::ptr::eq(one, other));
            assert_eq!(other.method("greet").unwrap().0, 0);
        }
    }

    #[test]
    fn what_can_be_no_contract_is_refused_and_not_kept() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let of = |name: &str, queue: &str| LearnedContract::new(name, queue);
        let many = (0..=LEARNED_METHODS_MAX).fold(of("L", "l"), |of, n| of.query(n.to_string()));
        for refused in [
            of("", "l.requests"),
            of("L\n", "l.requests"),
            of("L", "amq.topic"),
            of("L", "l requests"),
            of("L", "l.requests").query(""),
            of("L", "l.requests").query(&long),
            of("L", "l.requests").query("a\u{1b}"),
            of("L", "l.requests").query("a").command("a"),
            many,
        ] {
            let shown = format!("{:?}", refused.queue);
            assert!(refused.keep().is_err(), "{shown}");
        }
    }
}
