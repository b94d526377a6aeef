//! The arguments of one call as a struct, local to where it is used. On the wire it is a map of
//! names to values, so that an optional argument can be added.
//!
//! It is generic over the types of its fields: the derived code then holds for any, and what the
//! user's types lack is reported once, at those types.

use crate::{
    model::{Argument, Method},
    names::CratePath,
};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Ident, spanned::Spanned};

/// The struct that a client encodes.
pub(super) fn encoded(krate: &CratePath, method: &Method<'_>) -> TokenStream {
    let serde = krate.serde();
    let declared = declared(method);
    quote! {
        #[derive(#krate::serde::Serialize)]
        #[serde(crate = #serde)]
        #declared
    }
}

/// The struct that a server decodes.
pub(super) fn decoded(krate: &CratePath, method: &Method<'_>) -> TokenStream {
    let serde = krate.serde();
    let expecting = format!("the arguments of `{}`", method.wire_name);
    let declared = declared(method);
    quote! {
        #[derive(#krate::serde::Deserialize)]
        #[serde(crate = #serde, expecting = #expecting)]
        #declared
    }
}

fn declared(method: &Method<'_>) -> TokenStream {
    let name = name(Span::call_site());
    let fields = method.sent().map(|argument| argument.name);
    let parameters: Vec<_> = (0..method.sent().count())
        .map(|index| format_ident!("T{index}"))
        .collect();
    quote! {
        struct #name<#(#parameters),*> {
            #(#fields: #parameters,)*
        }
    }
}

/// The struct with `types` for its parameters. It spans from the first to the last type of the
/// user's, which is where the compiler then reports what they lack.
pub(super) fn of_types(method: &Method<'_>, types: &[TokenStream]) -> TokenStream {
    let span = |argument: Option<&Argument<'_>>| {
        argument.map_or_else(Span::call_site, |argument| argument.ty.span())
    };
    let name = name(span(method.sent().next()));
    let end = quote_spanned!(span(method.sent().last())=> >);
    quote!(#name<#(#types),* #end)
}

/// The struct with the values in the variables named like the method's arguments, borrowed.
pub(super) fn of_values(method: &Method<'_>) -> TokenStream {
    let name = name(Span::call_site());
    let fields = method.sent().map(|argument| argument.name);
    let values = method.sent().map(|argument| argument.name);
    quote!(#name { #(#fields: &#values),* })
}

/// No type of the user's has this name.
fn name(span: Span) -> Ident {
    Ident::new("__Arguments", span)
}
