//! Names: those that expansions define or refer to, and the rules for those on the wire.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{Ident, Path};

/// The methods that every client has besides those of its trait: a call can't be named like one.
pub(crate) const CLIENT_METHODS: &[&str] =
    &["new", "on_queue", "with_content_type", "layer", "clone"];

/// Bytes of a queue, exchange or routing key; `replybus::limits` says why.
pub(crate) const WIRE_NAME_BYTES_MAX: usize = 200;

/// The exchange of an event that names none.
pub(crate) const EXCHANGE: &str = "replybus.events";

pub(crate) fn client(service: &Ident) -> Ident {
    format_ident!("{service}Client")
}

pub(crate) fn server(service: &Ident) -> Ident {
    format_ident!("{service}Server")
}

/// The path, from wherever the macro is used, of the crate `replybus`. As tokens it is the path of
/// the module that generated code may name, and the only one: what is public can then move.
#[derive(Clone)]
pub(crate) struct CratePath(Path);

impl CratePath {
    pub(crate) fn new(path: Path) -> Self {
        Self(path)
    }

    /// The same path, said to be written at `span`.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        let respan = |mut token: TokenTree| {
            token.set_span(span);
            token
        };
        self.to_token_stream().into_iter().map(respan).collect()
    }

    /// The path of serde as text, which is how serde's own attribute takes it.
    pub(crate) fn serde(&self) -> String {
        let mut text = String::new();
        if self.0.leading_colon.is_some() {
            text.push_str("::");
        }
        for segment in &self.0.segments {
            text.push_str(&segment.ident.to_string());
            text.push_str("::");
        }
        text + "__private::serde"
    }
}

impl Default for CratePath {
    fn default() -> Self {
        Self(syn::parse_quote!(::replybus))
    }
}

impl ToTokens for CratePath {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let krate = &self.0;
        tokens.extend(quote!(#krate::__private));
    }
}

/// The mistake in the name of a queue or exchange, as an error.
pub(crate) fn check_entity(name: &str) -> Result<(), String> {
    check_bytes(name)?;
    check_characters(name)?;
    if name.starts_with("amq.") {
        return Err("names that start with `amq.` belong to the broker".into());
    }
    Ok(())
}

/// The mistake in the routing key of an event, as an error.
pub(crate) fn check_routing_key(key: &str) -> Result<(), String> {
    check_bytes(key)?;
    if key.contains(['*', '#']) {
        return Err(
            "`*` and `#` are patterns of a subscription; an event has one exact key".into(),
        );
    }
    check_characters(key)?;
    if key.split('.').any(str::is_empty) {
        return Err("a routing key is words with single dots between them".into());
    }
    Ok(())
}

fn check_bytes(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("the name is empty".into()),
        1..=WIRE_NAME_BYTES_MAX => Ok(()),
        bytes => Err(format!(
            "the name has {bytes} bytes, and {WIRE_NAME_BYTES_MAX} are allowed"
        )),
    }
}

fn check_characters(name: &str) -> Result<(), String> {
    let refused = |c: &char| !c.is_ascii_alphanumeric() && !".-_".contains(*c);
    match name.chars().find(refused) {
        None => Ok(()),
        Some(c) => Err(format!(
            "{c:?} is not allowed: names are ASCII letters, digits, `.`, `-` and `_`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_runtime() {
        assert_eq!(WIRE_NAME_BYTES_MAX, replybus::limits::NAME_BYTES_MAX);
    }

    #[test]
    fn names_of_queues() {
        for name in ["a", "account.requests", "A-1_b", &"x".repeat(200)] {
            assert_eq!(check_entity(name), Ok(()), "{name}");
        }
        for name in ["", "amq.x", "a b", "ä", "a/b", "a\n", &"x".repeat(201)] {
            assert!(check_entity(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn routing_keys() {
        for key in ["a", "transaction.completed", "a-b.c_d.1"] {
            assert_eq!(check_routing_key(key), Ok(()), "{key}");
        }
        for key in ["", ".", "a.", ".a", "a..b", "a.*", "#", "a b"] {
            assert!(check_routing_key(key).is_err(), "{key:?}");
        }
    }
}
