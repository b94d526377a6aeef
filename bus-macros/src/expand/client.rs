//! `AccountServiceClient`: one method per call, and the contract.

use crate::{
    attr::ServiceOptions,
    cache::Cache,
    duration::Millis,
    expand::{allow_deprecated, arguments, carried::carried, description},
    model::{Argument, Kind, Method, QueueType, Service},
    names::{self, CratePath},
    retry::Retry,
};
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, LitStr, spanned::Spanned};

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
            inner: #krate::ServiceClient,
        }

        #[allow(dead_code)]
        #allow
        impl #client {
            /// The queue, the methods and their defaults.
            #vis const CONTRACT: &'static #krate::ServiceContract = &#contract;

            /// A client whose calls travel over `bus`.
            #[must_use]
            #vis fn new(bus: &#krate::Bus) -> Self {
                Self {
                    inner: #krate::ServiceClient::new(bus, Self::CONTRACT),
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
                L: #krate::ClientLayer,
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
    let carried = carried(&method.ast.attrs);
    let undocumented = attributes(&method.ast.attrs, &["doc"]).next().is_none();
    let about = format!(" Calls [`{0}::{1}`].", service.ast.ident, method.wire_name);
    let about = undocumented.then(|| quote!(#[doc = #about]));
    let inputs = method
        .arguments
        .iter()
        .map(|argument| input(krate, argument));
    let krate_there = krate.at(output.span());
    let key = method.key.and_then(|key| method.arguments.get(key));
    let (call, make) = match (method.stream, key) {
        (true, None) => (quote!(StreamCall), quote!(stream)),
        (true, Some(_)) => (quote!(StreamCall), quote!(stream_by_key)),
        (false, _) if method.fed().is_some() => (quote!(FeedCall), quote!(feed)),
        (false, None) => (quote!(Call), quote!(call)),
        (false, Some(_)) => (quote!(Call), quote!(call_by_key)),
    };
    let items = method.fed().map(|Argument { name, .. }| name).into_iter();
    let item = items.clone().map(|_| quote!(_,));
    let call = quote_spanned!(output.span()=> #krate_there::#call<#output>);
    let key_type = key.map(|Argument { ty, .. }| quote_spanned!(ty.span()=> , #ty));
    let key = key.map(|Argument { name, .. }| quote!(, &#name));
    let borrowed: Vec<_> = method
        .sent()
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
            self.inner.#make::<#types, #(#item)* #output #key_type>(#index, &#values #key #(, #items)*)
        }
    }
}

/// An argument of the client's method: of a stream whatever has its items.
fn input(krate: &CratePath, argument: &Argument<'_>) -> TokenStream {
    let Argument { name, ty, .. } = argument;
    if !argument.is_stream {
        return quote!(#name: #ty);
    }
    let krate_there = krate.at(ty.span());
    let item = quote_spanned!(ty.span()=> <#ty as #krate_there::StreamArgument>::Item);
    quote! {
        #name: impl #krate::Stream<Item = #item> + ::core::marker::Send + 'static
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
    let krate = &service.options.krate;
    let name = service.ast.ident.to_string();
    let queue = &service.options.queue;
    let methods = service
        .methods
        .iter()
        .map(|method| method_contract(krate, method));
    let partitions = setter("partitions", service.options.partitions);
    let defaults = defaults(&service.options);
    let description = description::expand(service);
    quote! {
        #krate::ServiceContract::new(#name, #queue, &[#(#methods),*]) #partitions #defaults
            .described(#description)
    }
}

/// The options of the attribute, each by the setter of its name.
fn defaults(options: &ServiceOptions) -> Option<TokenStream> {
    let krate = &options.krate;
    let queue_type = match options.queue_type {
        QueueType::Classic => None,
        QueueType::Quorum => Some(quote!(#krate::QueueType::Quorum)),
    };
    let set = [
        setter("concurrency", options.concurrency),
        setter("prefetch", options.prefetch),
        setter("timeout", options.timeout.map(duration)),
        setter("queue_type", queue_type),
        setter("queue_length_max", options.queue_length_max),
        setter("bundles", options.bundles),
    ];
    let set: TokenStream = set.into_iter().flatten().collect();
    (!set.is_empty()).then(|| quote!(.defaults(#krate::ServeDefaults::new() #set)))
}

fn method_contract(krate: &CratePath, method: &Method<'_>) -> TokenStream {
    let name = &method.wire_name;
    let kind = match method.kind {
        Kind::Query => quote!(Query),
        Kind::Command => quote!(Command),
    };
    let timeout = setter("timeout", method.timeout.map(duration));
    let own_record = method.own_record.then(|| quote!(.own_record()));
    let job = setter("job", method.job.map(duration));
    let stream = method.stream.then(|| quote!(.stream()));
    let feed = method.fed().map(|_| quote!(.feed()));
    let retry = setter("retry", method.retry.map(|retry| policy(krate, retry)));
    let cache = setter(
        "cache",
        method.cache.as_ref().map(|cache| caching(krate, cache)),
    );
    let invalidates = texts("invalidates", &method.invalidates);
    let signature = signature(method);
    quote! {
        #krate::MethodContract::new(#name, #krate::MethodKind::#kind)
            #timeout #own_record #job #retry #stream #feed #cache #invalidates .signature(#signature)
    }
}

/// Arguments and result as they are written, without blanks: those differ between compilers.
fn signature(method: &Method<'_>) -> String {
    let arguments = method.arguments.iter().enumerate();
    let arguments = arguments.map(|(position, argument)| {
        let Argument { name, ty, .. } = argument;
        let stream = argument.is_stream.then(|| quote!(#[stream]));
        let key = (method.key == Some(position)).then(|| quote!(#[key]));
        quote!(#key #stream #name: #ty)
    });
    let output = method.output;
    let mut signature = quote!((#(#arguments),*) -> #output).to_string();
    signature.retain(|character| !character.is_whitespace());
    signature
}

fn policy(krate: &CratePath, retry: Retry) -> TokenStream {
    let max = setter("max", retry.max);
    let base = setter("base", retry.base.map(duration));
    let max_delay = setter("max_delay", retry.max_delay.map(duration));
    let jitter = retry.jitter.then(|| quote!(.jitter()));
    quote!(#krate::RetryPolicy::new() #max #base #max_delay #jitter)
}

fn caching(krate: &CratePath, cache: &Cache) -> TokenStream {
    let ttl = duration(cache.ttl);
    let tags = texts("tags", &cache.tags);
    let vary = texts("vary", &cache.vary);
    quote!(#krate::CachePolicy::new(#ttl) #tags #vary)
}

/// The setter of a list that has texts.
fn texts(name: &str, texts: &[LitStr]) -> Option<TokenStream> {
    setter(name, (!texts.is_empty()).then(|| quote!(&[#(#texts),*])))
}

fn setter(name: &str, value: Option<impl ToTokens>) -> Option<TokenStream> {
    let name = format_ident!("{name}");
    value.map(|value| quote!(.#name(#value)))
}

fn duration(Millis(millis): Millis) -> TokenStream {
    quote!(::core::time::Duration::from_millis(#millis))
}
