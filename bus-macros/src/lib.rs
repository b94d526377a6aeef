//! The macros of replybus. Use them through `replybus`, which re-exports them.

// In reading order: `attr` reads the options, `ast` the syntax, `validate` turns both into the
// `model`, `expand` writes code from it, and `fallback` what an item with mistakes leaves.

mod ast;
mod attr;
mod cache;
mod duration;
mod event;
mod expand;
mod fallback;
mod feed;
mod mistakes;
mod model;
mod names;
mod options;
mod partitions;
mod retry;
#[cfg(test)]
mod snapshots;
mod validate;

use mistakes::Mistakes;
use proc_macro2::TokenStream;

// Documented where `replybus` re-exports it, beside the types its documentation links to.
#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn queue_handler(
    attribute: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    shown_on_request(service(attribute.into(), item.into())).into()
}

// Documented where `replybus` re-exports it.
#[allow(missing_docs)]
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
