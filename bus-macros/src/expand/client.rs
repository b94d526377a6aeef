//! `AccountServiceClient`: one method per call, and the contract.

use crate::{
    duration::Millis,
    expand::{allow_deprecated, arguments},
    model::{Argument, Kind, Method, QueueType, Service},
    names::{self, CratePath},
};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Attribute, spanned::Spanned};

pub(super) fn expand(service: &Service<'_>) -> TokenStream {
    let krate = &service.options.krate;
    let (vis, name) = (&service.ast.vis, &service.ast.ident);
    let client = names::client(name);
    let about = format!(
        " Calls [`{name}`] through the queue `{}`. Cheap to clone.",
        service.options.queue
    );
    let contract = contract(service);
    let deprecated = attributes(&service.ast.attrs, &["deprecated"]);
    let allow = allow_deprecated(service);
    let methods = service
        .methods
        .iter()
        .enumerate()
        .map(|(index, method)| self::method(service, index, method));
    quote! {
        #[doc = #about]
        #(#deprecated)*
        // One program calls, another serves: few use both halves.
        #[allow(dead_code)]
        #[derive(::core::clone::Clone, ::core::fmt::Debug)]
        #vis struct #client {
            inner: #krate::client::ServiceClient,
        }

        #[allow(dead_code)]
        #allow
        impl #client {
            /// The queue, the methods and their defaults.
            #vis const CONTRACT: &'static #krate::contract::ServiceContract = &#contract;

            /// A client whose calls travel over `bus`.
            #[must_use]
            #vis fn new(bus: &#krate::Bus) -> Self {
                Self {
                    inner: #krate::client::ServiceClient::new(bus, Self::CONTRACT),
                }
            }

            /// The same client, on another queue than the contract's.
            #[must_use]
            #vis fn on_queue(
                self,
                queue: impl ::core::convert::Into<::std::string::String>,
            ) -> Self {
                Self {
                    inner: self.inner.on_queue(queue),
                }
            }

            /// The same client, with its arguments encoded as `content_type`.
            #[must_use]
            #vis fn with_content_type(self, content_type: #krate::ContentType) -> Self {
                Self {
                    inner: self.inner.with_content_type(content_type),
                }
            }

            /// The same client, with `layer` around its calls.
            #[must_use]
            #vis fn layer<L>(self, layer: L) -> Self
            where
                L: #krate::client::ClientLayer,
            {
                Self {
                    inner: self.inner.layer(layer),
                }
            }

            #(#methods)*
        }
    }
}

fn method(service: &Service<'_>, index: usize, method: &Method<'_>) -> TokenStream {
    let krate = &service.options.krate;
    let vis = &service.ast.vis;
    let (name, output) = (&method.ast.sig.ident, method.output);
    let carried = attributes(&method.ast.attrs, &["doc", "deprecated", "allow"]);
    let undocumented = attributes(&method.ast.attrs, &["doc"]).next().is_none();
    let about = format!(" Calls [`{0}::{1}`].", service.ast.ident, method.wire_name);
    let about = undocumented.then(|| quote!(#[doc = #about]));
    let inputs = method
        .arguments
        .iter()
        .map(|Argument { name, ty }| quote!(#name: #ty));
    let krate_there = krate.at(output.span());
    let call = quote_spanned!(output.span()=> #krate_there::client::Call<#output>);
    let borrowed: Vec<_> = method
        .arguments
        .iter()
        .map(|Argument { ty, .. }| quote_spanned!(ty.span()=> &#ty))
        .collect();
    let encoded = arguments::encoded(krate, method);
    let types = arguments::of_types(method, &borrowed);
    let values = arguments::of_values(method);
    quote! {
        #about
        #(#carried)*
        #vis fn #name(&self, #(#inputs),*) -> #call {
            #encoded
            self.inner.call::<#types, #output>(#index, &#values)
        }
    }
}

fn attributes<'a>(
    attributes: &'a [Attribute],
    names: &'a [&str],
) -> impl Iterator<Item = &'a Attribute> {
    attributes
        .iter()
        .filter(|attribute| names.iter().any(|name| attribute.path().is_ident(name)))
}

fn contract(service: &Service<'_>) -> TokenStream {
    let options = &service.options;
    let krate = &options.krate;
    let name = service.ast.ident.to_string();
    let queue = &options.queue;
    let concurrency = option(options.concurrency);
    let prefetch = option(options.prefetch);
    let timeout = option(options.timeout.map(duration));
    let queue_type = match options.queue_type {
        QueueType::Classic => quote!(Classic),
        QueueType::Quorum => quote!(Quorum),
    };
    let queue_length_max = option(options.queue_length_max);
    let methods = service
        .methods
        .iter()
        .map(|method| method_contract(krate, method));
    quote! {
        #krate::contract::ServiceContract {
            name: #name,
            queue: #queue,
            defaults: #krate::contract::ServeDefaults {
                concurrency: #concurrency,
                prefetch: #prefetch,
                timeout: #timeout,
                queue_type: #krate::contract::QueueType::#queue_type,
                queue_length_max: #queue_length_max,
            },
            methods: &[#(#methods),*],
        }
    }
}

fn method_contract(krate: &CratePath, method: &Method<'_>) -> TokenStream {
    let name = &method.wire_name;
    let kind = match method.kind {
        Kind::Query => quote!(Query),
        Kind::Command => quote!(Command),
    };
    let timeout = option(method.timeout.map(duration));
    quote! {
        #krate::contract::MethodContract {
            name: #name,
            kind: #krate::contract::MethodKind::#kind,
            timeout: #timeout,
        }
    }
}

fn option(value: Option<impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

fn duration(Millis(millis): Millis) -> TokenStream {
    quote!(::core::time::Duration::from_millis(#millis))
}
