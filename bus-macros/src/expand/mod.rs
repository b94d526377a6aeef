//! Code from the model, one file per generated item.

mod arguments;
mod client;
mod server;
mod service_trait;

use crate::model::Service;
use proc_macro2::TokenStream;
use quote::quote;
use syn::Attribute;

/// The trait, its client and its server.
pub(crate) fn service(service: &Service<'_>) -> TokenStream {
    let service_trait = service_trait::expand(service);
    let client = client::expand(service);
    let server = server::expand(service);
    quote!(#service_trait #client #server)
}

/// `#[allow(deprecated)]` if anything in the trait is: what is generated uses all of it, and the
/// warning is for those who call it.
fn allow_deprecated(service: &Service<'_>) -> Option<TokenStream> {
    let deprecated = |attribute: &Attribute| attribute.path().is_ident("deprecated");
    let methods = service.methods.iter().flat_map(|method| &method.ast.attrs);
    let mut attributes = service.ast.attrs.iter().chain(methods);
    attributes
        .any(deprecated)
        .then(|| quote!(#[allow(deprecated)]))
}
