//! The macros of replybus. Use them through `replybus`, which re-exports them.

// In reading order: `attr` reads the options, `ast` the syntax, `validate` turns both into the
// `model`, `expand` writes code from it, and `fallback` what an item with mistakes leaves.

mod ast;
mod attr;
mod duration;
mod event;
mod expand;
mod fallback;
mod mistakes;
mod model;
mod names;
mod options;
#[cfg(test)]
mod snapshots;
mod validate;

use mistakes::Mistakes;
use proc_macro2::TokenStream;

/// Makes a trait the contract of a service: every method is a call that travels over the queue
/// and is answered via the reply store.
///
/// ```
/// use replybus::queue_handler;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// pub struct AccountNumber(String);
///
/// #[derive(Debug, Serialize, Deserialize)]
/// pub enum AccountError {
///     Unknown,
/// }
///
/// #[queue_handler("account.requests", timeout = "2s")]
/// pub trait AccountService {
///     /// Balance in minor units.
///     #[query(timeout = "500ms")]
///     async fn balance(&self, account: AccountNumber) -> Result<u64, AccountError>;
///
///     /// Closes an account.
///     async fn close(&self, account: AccountNumber) -> Result<(), AccountError>;
/// }
///
/// struct Accounts;
///
/// impl AccountService for Accounts {
///     async fn balance(&self, _: AccountNumber) -> Result<u64, AccountError> {
///         Ok(100)
///     }
///
///     async fn close(&self, _: AccountNumber) -> Result<(), AccountError> {
///         Err(AccountError::Unknown)
///     }
/// }
///
/// # async fn call(bus: replybus::Bus) -> Result<(), Box<dyn std::error::Error>> {
/// let server = AccountServiceServer::new(Accounts);
/// let accounts = AccountServiceClient::new(&bus);
/// # drop(server);
/// # drop(accounts);
/// # Ok(())
/// # }
/// ```
///
/// # What is generated
/// - The trait itself, implying `Send + Sync + 'static`. The futures of its methods are `Send`;
///   implementations write `async fn`.
/// - `AccountServiceServer<S>`, which serves an `S: AccountService`.
/// - `AccountServiceClient`, with one method per call and `new`, `on_queue`, `with_content_type`
///   and `layer`, after which no call can be named. It carries over the documentation.
/// - `CONTRACT` on both: the queue, the methods and their defaults, as a constant.
///
/// # Options
/// The queue comes first: 1 to 200 ASCII letters, digits, `.`, `-` and `_`. After it, in any order:
///
/// | option | value | what it sets |
/// |---|---|---|
/// | `concurrency` | 1 to 4096 | handlers that run at the same time in one process |
/// | `prefetch` | 1 to 4096 | deliveries a process holds |
/// | `timeout` | `"250ms"`, `"2s"`, `"1m"`; up to 20 minutes | the budget of a call that names none |
/// | `queue_type` | `"classic"` (the default), `"quorum"` | the kind of queue |
/// | `queue_length_max` | 1 or more | messages the queue holds; further ones are refused |
/// | `crate` | an absolute path | where `replybus` is, if not at `::replybus` |
///
/// # Methods
/// `#[query]` marks a method that only reads and may be repeated; `#[command]`, the default, one
/// that changes something. Both take a budget: `#[query(timeout = "500ms")]`.
///
/// A method is async, takes `&self` and owned arguments with plain names, and returns a
/// `Result<T, E>`. All of these types implement serde's `Serialize` and `DeserializeOwned`, and are
/// `Send`.
///
/// # On the wire
/// The method is its name, the arguments are a map of their names to values; so the order of
/// methods and arguments is free to change. An argument that is an `Option` may be missing, and an
/// argument the service does not know is ignored: both ends can be upgraded in either order.
///
/// With `BUS_MACROS_DEBUG=1` in the compiler's environment, every expansion is printed.
#[proc_macro_attribute]
pub fn queue_handler(
    attribute: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    shown_on_request(service(attribute.into(), item.into())).into()
}

/// Makes a struct or enum an event, with the routing key it is published under.
///
/// ```
/// use replybus::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event("transaction.completed", exchange = "banking_events")]
/// pub struct TransactionCompleted {
///     id: u64,
/// }
///
/// assert_eq!(TransactionCompleted::ROUTING_KEY, "transaction.completed");
/// ```
///
/// The routing key comes first: words of ASCII letters, digits, `-` and `_` with dots between
/// them, 200 bytes at most. After it may follow `exchange = ".."`, which is `"replybus.events"` if
/// it does not, and `crate = ..`, the absolute path of `replybus` if that is not `::replybus`.
#[proc_macro_derive(Event, attributes(event))]
pub fn event(item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    shown_on_request(event::derive(item.into())).into()
}

/// Parse, validate, expand; with mistakes, as much of it as they leave.
fn service(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let options = attr::ServiceOptions::read(attribute, &mut mistakes);
    let Some(ast) = mistakes.keep(syn::parse2::<ast::Trait>(item.clone())) else {
        return fallback::unparsed(item, &mistakes);
    };
    let service = validate::service(&ast, options, &mut mistakes);
    match service {
        Some(service) if mistakes.is_empty() => expand::service(&service),
        service => fallback::service(&ast, service.as_ref(), &mistakes),
    }
}

/// `BUS_MACROS_DEBUG=1` prints every expansion while the user's crate compiles.
#[allow(clippy::print_stderr)]
fn shown_on_request(expansion: TokenStream) -> TokenStream {
    if std::env::var_os("BUS_MACROS_DEBUG").is_some_and(|value| value == "1") {
        eprintln!("{expansion}");
    }
    expansion
}
