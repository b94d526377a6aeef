//! `#[derive(Event)]`: the routing key and exchange of a type.

use crate::{attr::EventOptions, mistakes::Mistakes};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Meta};

pub(crate) fn derive(item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let Some(input) = mistakes.keep(syn::parse2::<DeriveInput>(item)) else {
        return quote!(#mistakes);
    };
    let options = EventOptions::read(attribute(&input, &mut mistakes), &mut mistakes);
    if let Data::Union(data) = &input.data {
        mistakes.push(
            data.union_token,
            "an event is a struct or an enum: a union can't be read from the wire",
        );
        return quote!(#mistakes);
    }
    if !input.generics.params.is_empty() {
        mistakes.push(
            &input.generics.params,
            "an event has no type parameters or lifetimes: one routing key carries one type",
        );
        return quote!(#mistakes);
    }
    let EventOptions {
        routing_key,
        exchange,
        krate,
    } = options;
    let name = &input.ident;
    quote! {
        #mistakes

        impl #krate::Event for #name {
            const ROUTING_KEY: &'static str = #routing_key;
            const EXCHANGE: &'static str = #exchange;
        }
    }
}

/// The inside of the one `#[event(..)]`.
fn attribute(input: &DeriveInput, mistakes: &mut Mistakes) -> TokenStream {
    let mut found = None;
    for attribute in &input.attrs {
        if !attribute.path().is_ident("event") {
            continue;
        }
        if found.is_some() {
            mistakes.push(attribute, "an event has one `#[event(..)]`");
            continue;
        }
        found = Some(match &attribute.meta {
            Meta::List(list) => list.tokens.clone(),
            Meta::Path(_) | Meta::NameValue(_) => TokenStream::new(),
        });
    }
    found.unwrap_or_default()
}
