//! The expansion of an item with mistakes: the mistakes, and as much of the rest as makes sense, so
//! that one mistake is one message and editors keep completing.

use crate::{ast, expand, mistakes::Mistakes, model::Service};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::quote;

/// An annotated trait with mistakes; `service` holds its methods without any.
pub(crate) fn service(
    ast: &ast::Trait,
    service: Option<&Service<'_>>,
    mistakes: &Mistakes,
) -> TokenStream {
    let item = match service {
        Some(service) => expand::service(service),
        None => quote!(#[allow(async_fn_in_trait)] #ast),
    };
    quote!(#item #mistakes)
}

/// An item that is no trait, or one too broken to parse.
pub(crate) fn unparsed(item: TokenStream, mistakes: &Mistakes) -> TokenStream {
    let item: TokenStream = item
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                let mut unmarked = Group::new(Delimiter::Brace, without_marks(group.stream()));
                unmarked.set_span(group.span());
                TokenTree::Group(unmarked)
            }
            token => token,
        })
        .collect();
    quote!(#item #mistakes)
}

/// Leaves out `#[query]`, `#[stream]`, `#[command]`, `#[invalidates]` and `#[key]`, of which the compiler knows nothing.
fn without_marks(tokens: TokenStream) -> TokenStream {
    let mut kept = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let hash = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#');
        if hash && tokens.next_if(is_mark).is_some() {
            continue;
        }
        kept.extend([match token {
            // Arguments have marks as well.
            TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
                let mut unmarked = Group::new(group.delimiter(), without_marks(group.stream()));
                unmarked.set_span(group.span());
                TokenTree::Group(unmarked)
            }
            token => token,
        }]);
    }
    kept
}

fn is_mark(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else {
        return false;
    };
    let first = group.stream().into_iter().next();
    let marks = ["query", "stream", "command", "invalidates", "key"];
    matches!(first, Some(TokenTree::Ident(name)) if marks.iter().any(|mark| name == mark))
}
