//! Code from the model, one file per generated item.

mod arguments;
mod carried;
mod client;
mod description;
mod server;
mod service_trait;
mod shared;

pub(crate) use carried::conditional;

use crate::model::Service;
use proc_macro2::TokenStream;
use quote::quote;

/// The trait, its implementation for shared services, its client and its server.
pub(crate) fn service(service: &Service<'_>) -> TokenStream {
    let service_trait = service_trait::expand(service);
    let shared = shared::expand(service);
    let client = client::expand(service);
    let server = server::expand(service);
    quote!(#service_trait #shared #client #server)
}

/// `#[allow(deprecated)]` if anything in the trait is: what is generated uses all of it, and the
/// warning is for those who call it.
fn allow_deprecated(service: &Service<'_>) -> Option<TokenStream> {
    let methods = service.methods.iter().flat_map(|method| &method.ast.attrs);
    let mut attributes = service.ast.attrs.iter().chain(methods);
    attributes
        .any(carried::deprecates)
        .then(|| quote!(#[allow(deprecated)]))
}
