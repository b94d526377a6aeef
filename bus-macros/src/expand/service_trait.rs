//! The user's trait. Each `async fn` becomes the same method with its future spelled out, because
//! only then can it say that the future is `Send`; implementations still write `async fn`.

use crate::{
    ast::{self, Item},
    feed,
    model::{Argument, Method, Service},
};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{FnArg, ext::IdentExt, parse_quote};

pub(super) fn expand(service: &Service<'_>) -> TokenStream {
    let written = service.ast;
    let (vis, trait_token, name) = (&written.vis, &written.trait_token, &written.ident);
    let attrs = written.attrs.iter().filter(|attr| !ast::is_mark(attr));
    let supertraits = written.supertraits.iter();
    let items = written.items.iter().map(|item| match item {
        Item::Method(ast) => match service.method(ast) {
            Some(method) => sendable(method),
            None => mistaken(service, ast),
        },
        Item::Other(item) => quote!(#item),
    });
    quote! {
        #(#attrs)*
        #vis #trait_token #name:
            #(#supertraits +)* ::core::marker::Send + ::core::marker::Sync + 'static
        {
            #(#items)*
        }
    }
}

fn sendable(method: &Method<'_>) -> TokenStream {
    let attrs = method.ast.attrs_kept();
    let sig = feed::unmarked(&method.ast.sig);
    let (fn_token, name, inputs) = (&sig.fn_token, &sig.ident, &sig.inputs);
    let output = method.output;
    quote! {
        #(#attrs)*
        #fn_token #name(#inputs)
            -> impl ::core::future::Future<Output = #output> + ::core::marker::Send;
    }
}

/// A method with mistakes, which are reported: as it was written, so that its implementations
/// add none, except for what the compiler would report a second time.
fn mistaken(service: &Service<'_>, ast: &ast::Method) -> TokenStream {
    if service
        .methods
        .iter()
        .any(|method| ast.sig.ident.unraw() == method.wire_name)
    {
        return TokenStream::new();
    }
    let mut ast = ast.clone();
    for input in &mut ast.sig.inputs {
        if let FnArg::Typed(argument) = input
            && Argument::read(argument).is_none()
            && ast.body.is_none()
        {
            *argument.pat = parse_quote!(_);
        }
    }
    quote!(#[allow(async_fn_in_trait)] #ast)
}
