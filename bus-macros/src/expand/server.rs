//! `AccountServiceServer`: decodes a request's arguments and hands them to the user's service.

use crate::{
    expand::{allow_deprecated, arguments},
    model::{Method, Service},
    names,
};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

pub(super) fn expand(service: &Service<'_>) -> TokenStream {
    let krate = &service.options.krate;
    let (vis, name) = (&service.ast.vis, &service.ast.ident);
    let (client, server) = (names::client(name), names::server(name));
    let about = format!(
        " Serves an implementation of [`{name}`] from the queue `{}`. Cheap to clone.",
        service.options.queue
    );
    let text = server.to_string();
    let allow = allow_deprecated(service);
    let arms = service
        .methods
        .iter()
        .enumerate()
        .map(|(index, method)| arm(service, index, method));
    quote! {
        #[doc = #about]
        #[allow(dead_code)]
        #vis struct #server<S> {
            service: ::std::sync::Arc<S>,
        }

        #[allow(dead_code)]
        #allow
        impl<S> #server<S> {
            /// The queue, the methods and their defaults.
            #vis const CONTRACT: &'static #krate::ServiceContract = #client::CONTRACT;

            /// A server whose calls `service` answers, many of them at the same time; an `Arc` of
            /// a service is one, too.
            #[must_use]
            #vis fn new(service: S) -> Self {
                Self {
                    service: ::std::sync::Arc::new(service),
                }
            }
        }

        impl<S> ::core::clone::Clone for #server<S> {
            fn clone(&self) -> Self {
                Self {
                    service: ::core::clone::Clone::clone(&self.service),
                }
            }
        }

        impl<S> ::core::fmt::Debug for #server<S> {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Formatter::debug_struct(formatter, #text).finish_non_exhaustive()
            }
        }

        // The parameter's name is one that no type of an argument has.
        #allow
        impl<__S: #name> #krate::Service for #server<__S> {
            fn contract(&self) -> &'static #krate::ServiceContract {
                Self::CONTRACT
            }

            fn dispatch(
                &self,
                method: usize,
                payload: #krate::Payload,
            ) -> #krate::AnswerFuture {
                let service = ::core::clone::Clone::clone(&self.service);
                match method {
                    #(#arms)*
                    _ => #krate::no_such_method(),
                }
            }
        }
    }
}

fn arm(service: &Service<'_>, index: usize, method: &Method<'_>) -> TokenStream {
    let krate = &service.options.krate;
    let (trait_name, name, output) = (&service.ast.ident, &method.ast.sig.ident, method.output);
    let owned: Vec<_> = method
        .sent()
        .map(|argument| argument.ty.to_token_stream())
        .collect();
    let decoded = arguments::decoded(krate, method);
    let types = arguments::of_types(method, &owned);
    let values = method.arguments.iter().map(|argument| {
        let name = argument.name;
        match argument.is_stream {
            true => quote!(items),
            false => quote!(arguments.#name),
        }
    });
    let bound = if owned.is_empty() {
        quote!(_)
    } else {
        quote!(arguments)
    };
    let answer = match method.stream {
        true => quote!(answer_stream),
        false if method.fed().is_some() => quote!(answer_fed),
        false => quote!(answer),
    };
    let fed = method.fed().map(|argument| argument.ty).into_iter();
    let items = fed.clone().map(|_| quote!(, items));
    quote! {
        #index => {
            #decoded
            #krate::#answer::<#types, #(#fed,)* #output, _, _>(
                payload,
                move |#bound #(#items)*| async move {
                    <__S as #trait_name>::#name(&service, #(#values),*).await
                },
            )
        }
    }
}
