//! What a contract says of the types of its methods, for the feature `schema` of replybus: without
//! it the macro that these tokens are given to leaves nothing of them.

use crate::{
    expand::carried::docs,
    model::{Argument, Method, Service},
    names::CratePath,
};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{ext::IdentExt, spanned::Spanned};

pub(super) fn expand(service: &Service<'_>) -> TokenStream {
    let krate = &service.options.krate;
    let methods = service
        .methods
        .iter()
        .map(|method| self::method(krate, method));
    quote! {
        #krate::described! {
            |of| {
                #[allow(unused_imports)]
                use #krate::{KnownType as _, UnknownType as _};
                #(#methods)*
            }
        }
    }
}

fn method(krate: &CratePath, method: &Method<'_>) -> TokenStream {
    let docs = docs(&method.ast.attrs);
    let key = method.key.and_then(|key| method.arguments.get(key));
    let key = optional(key.map(|Argument { name, .. }| name.unraw().to_string()));
    let arguments = method.sent().map(|Argument { name, ty, .. }| {
        let name = name.unraw().to_string();
        let part = part(krate, quote!(#ty), ty);
        quote!((#name, #part))
    });
    let fed = optional(method.fed().map(|Argument { name, ty, .. }| {
        let name = name.unraw().to_string();
        let part = part(krate, quote!(<#ty as #krate::StreamArgument>::Item), ty);
        quote!((#name, #part))
    }));
    let output = method.output;
    let (outcome, value) = match method.stream {
        true => (quote!(StreamOutcome), quote!(Item)),
        false => (quote!(Outcome), quote!(Ok)),
    };
    let reply = part(krate, quote!(<#output as #krate::#outcome>::#value), output);
    let error = part(krate, quote!(<#output as #krate::#outcome>::Err), output);
    quote! {
        of.method(#krate::MethodParts {
            docs: &[#(#docs),*],
            key: #key,
            arguments: &[#(#arguments),*],
            fed: #fed,
            reply: #reply,
            error: #error,
        });
    }
}

/// What is known of a type: its schema, if it has one.
fn part(krate: &CratePath, ty: TokenStream, written: &impl Spanned) -> TokenStream {
    quote_spanned!(written.span()=> (&#krate::TypeOf::<#ty>::NEW).part())
}

fn optional(value: Option<impl quote::ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}
