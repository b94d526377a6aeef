//! The trait, implemented for an `Arc` of each of its implementations: a service that the rest of
//! the program holds, too, can be served as it is.

use crate::{
    expand::allow_deprecated,
    model::{Argument, Method, Service},
};
use proc_macro2::TokenStream;
use quote::quote;

/// Nothing if a method has mistakes: the implementation would lack it.
pub(super) fn expand(service: &Service<'_>) -> TokenStream {
    if service.methods.len() != service.ast.items.len() {
        return TokenStream::new();
    }
    let name = &service.ast.ident;
    let allow = allow_deprecated(service);
    let methods = service
        .methods
        .iter()
        .map(|method| self::method(service, method));
    quote! {
        #allow
        impl<__S: #name> #name for ::std::sync::Arc<__S> {
            #(#methods)*
        }
    }
}

fn method(service: &Service<'_>, method: &Method<'_>) -> TokenStream {
    let (trait_name, name, output) = (&service.ast.ident, &method.ast.sig.ident, method.output);
    let inputs = method
        .arguments
        .iter()
        .map(|Argument { name, ty, .. }| quote!(#name: #ty));
    let names = method.arguments.iter().map(|argument| argument.name);
    quote! {
        fn #name(&self, #(#inputs),*)
            -> impl ::core::future::Future<Output = #output> + ::core::marker::Send
        {
            <__S as #trait_name>::#name(self, #(#names),*)
        }
    }
}
