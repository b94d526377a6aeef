//! From syntax to model: what a contract can't say is refused here, every mistake at once.

use crate::{
    ast::{self, Item},
    attr::{MethodOptions, ServiceOptions},
    cache, expand, feed,
    mistakes::Mistakes,
    model::{Argument, Method, Service},
    names, partitions,
};
use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Attribute, FnArg, Ident, PatType, ReceiverKind, ReturnType, Safety, Signature, Type,
    TypeParamBound, ext::IdentExt,
};

/// The model of `ast` with the methods that have no mistakes; `None` if the trait itself has one
/// that leaves nothing to generate.
pub(crate) fn service<'a>(
    ast: &'a ast::Trait,
    options: ServiceOptions,
    mistakes: &mut Mistakes,
) -> Option<Service<'a>> {
    let sound = check_trait(ast, mistakes);
    let mut service = Service {
        ast,
        options,
        methods: Vec::new(),
    };
    for item in &ast.items {
        match item {
            Item::Method(method) => {
                let partitioned = service.options.partitions.is_some();
                let model = check_method(method, &service.methods, partitioned, mistakes);
                service.methods.extend(model);
            }
            Item::Other(other) => mistakes.push(
                other,
                "only methods travel over a queue: associated types, constants and macros have no place here",
            ),
        }
    }
    if ast.items.is_empty() {
        mistakes.push(&ast.ident, "a service has at least one method");
    }
    sound.then_some(service)
}

fn check_trait(ast: &ast::Trait, mistakes: &mut Mistakes) -> bool {
    let mut sound = true;
    if let Some(unsafety) = &ast.unsafety {
        mistakes.push(unsafety, "a service is a safe trait");
        sound = false;
    }
    if !ast.generics.params.is_empty() || ast.generics.where_clause.is_some() {
        let params = &ast.generics.params;
        let clause = &ast.generics.where_clause;
        mistakes.push(
            quote!(#params #clause),
            "a service has no type parameters or lifetimes: one queue carries one set of types",
        );
        sound = false;
    }
    for bound in &ast.supertraits {
        if !is_implied(bound) {
            mistakes.push(
                bound,
                "a service has no supertraits but `Send`, `Sync` and `'static`, which are implied",
            );
            sound = false;
        }
    }
    for attribute in &ast.attrs {
        if attribute.path().is_ident("cfg") {
            mistakes.push(
                attribute,
                "put `#[cfg]` before `#[queue_handler]`, so that it covers client and server too",
            );
        }
        if ast::is_mark(attribute) || cache::is_invalidates(attribute) {
            mistakes.push(
                attribute,
                "`#[query]`, `#[stream]`, `#[command]` and `#[invalidates]` go on the methods",
            );
        }
    }
    sound
}

fn is_implied(bound: &TypeParamBound) -> bool {
    match bound {
        TypeParamBound::Lifetime(lifetime) => lifetime.ident == "static",
        TypeParamBound::Trait(bound) => {
            let path: Vec<String> = bound
                .path
                .segments
                .iter()
                .map(|segment| segment.to_token_stream().to_string())
                .collect();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            bound.maybe.is_none()
                && matches!(
                    path.as_slice(),
                    ["Send" | "Sync"] | ["core" | "std", "marker", "Send" | "Sync"]
                )
        }
        _ => false,
    }
}

fn check_method<'a>(
    ast: &'a ast::Method,
    earlier: &[Method<'_>],
    partitioned: bool,
    mistakes: &mut Mistakes,
) -> Option<Method<'a>> {
    // Mistakes of this method alone decide whether it is in the model.
    let mut own = Mistakes::default();
    let options = MethodOptions::read(ast, &mut own);
    check_attributes(&ast.attrs, &mut own);
    check_signature(&ast.sig, &mut own);
    check_name(&ast.sig.ident, earlier, &mut own);
    if let Some(body) = &ast.body {
        own.push(
            body,
            "a method has no default body: a caller could not tell whether the service has its own",
        );
    }
    let key = partitions::check(ast, &options, partitioned, &mut own);
    let arguments = ast.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Receiver(_) => None,
        FnArg::Typed(argument) => Some(argument),
    });
    let arguments = arguments
        .filter_map(|argument| check_argument(argument, &mut own))
        .collect::<Vec<_>>();
    feed::check(&arguments, &options, partitioned, &mut own);
    let invalidates = cache::invalidates(ast, options.kind, &arguments, &mut own);
    let caching = options.cache;
    let cache = caching.of_method(options.kind, options.stream, &arguments, &mut own);
    let output = check_output(&ast.sig, &mut own);
    let sound = own.is_empty();
    mistakes.append(own);
    let output = output.filter(|_| sound)?;
    Some(Method {
        ast,
        wire_name: ast.sig.ident.unraw().to_string(),
        kind: options.kind,
        timeout: options.timeout,
        own_record: options.own_record,
        job: options.job,
        stream: options.stream,
        retry: options.retry,
        cache,
        invalidates,
        arguments,
        key,
        output,
    })
}

fn check_attributes(attributes: &[Attribute], mistakes: &mut Mistakes) {
    for attribute in attributes {
        let conditional = expand::conditional(&attribute.meta).unwrap_or_default();
        let depends = |name: &str| {
            conditional
                .iter()
                .skip(1)
                .any(|meta| meta.path().is_ident(name))
        };
        if attribute.path().is_ident("cfg") || depends("cfg") {
            mistakes.push(
                attribute,
                "a method can't depend on `cfg`: callers and services built with other features would disagree about the contract",
            );
        }
        let marks = ["query", "stream", "command", "invalidates"];
        if marks.into_iter().any(depends) {
            mistakes.push(
                attribute,
                "the kind of a method can't depend on `cfg`: callers and services built with other features would disagree about it",
            );
        }
    }
}

fn check_signature(sig: &Signature, mistakes: &mut Mistakes) {
    if let Some(constness) = &sig.constness {
        mistakes.push(constness, "a call can't be `const`");
    }
    if let Safety::Unsafe(token) = &sig.safety {
        mistakes.push(
            token,
            "a call can't be `unsafe`: its caller is another process",
        );
    }
    if let Some(abi) = &sig.abi {
        mistakes.push(abi, "a call has no ABI of its own");
    }
    if let Some(variadic) = &sig.variadic {
        mistakes.push(variadic, "a call has a fixed list of arguments");
    }
    if sig.asyncness.is_none() {
        mistakes.push(sig.fn_token, "calls are async: write `async fn`");
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        let params = &sig.generics.params;
        let clause = &sig.generics.where_clause;
        mistakes.push(
            quote!(#params #clause),
            "a call has no type parameters or lifetimes: the service must know what it reads",
        );
    }
    match sig.receiver() {
        Some(receiver) if matches!(receiver.kind, ReceiverKind::Reference(_, None, None)) => {}
        Some(receiver) => mistakes.push(
            receiver,
            "methods take `&self`: the service is shared by all calls that run at the same time",
        ),
        None => mistakes.push(
            &sig.ident,
            "methods take `&self` first: it is how a handler reaches the service's state",
        ),
    }
}

fn check_name(name: &Ident, earlier: &[Method<'_>], mistakes: &mut Mistakes) {
    let text = name.unraw().to_string();
    if names::CLIENT_METHODS.contains(&text.as_str()) {
        let message = format!("every client has a method `{text}` of its own: choose another name");
        mistakes.push(name, message);
    }
    if earlier.iter().any(|method| method.wire_name == text) {
        let message = format!("two methods are called `{text}` on the wire");
        mistakes.push(name, message);
    }
}

fn check_argument<'a>(argument: &'a PatType, mistakes: &mut Mistakes) -> Option<Argument<'a>> {
    for attribute in argument.attrs.iter().filter(|mark| !feed::is_mark(mark)) {
        mistakes.push(
            attribute,
            "arguments have no attributes but `#[stream]`, and `#[key]`, which one has in a contract with `partitions`",
        );
    }
    let is_stream = feed::read(argument, mistakes);
    check_type(
        &argument.ty,
        "arguments are owned types, such as `String` for `&str`: they come off the wire",
        mistakes,
    );
    let read = Argument::read(argument);
    if read.is_none() {
        mistakes.push(
            &argument.pat,
            "an argument is a plain name: it names the argument on the wire",
        );
    }
    read.map(|read| Argument { is_stream, ..read })
}

fn check_output<'a>(sig: &'a Signature, mistakes: &mut Mistakes) -> Option<&'a Type> {
    match &sig.output {
        ReturnType::Type(_, ty) => {
            check_type(
                ty,
                "answers are owned types, such as `String` for `&str`: they come off the wire",
                mistakes,
            );
            Some(ty)
        }
        ReturnType::Default => {
            mistakes.push(
                &sig.ident,
                "a call returns `Result<T, E>`; `Result<(), E>` if there is nothing to tell",
            );
            None
        }
    }
}

/// Refuses what can't be a type on the wire, wherever in `ty` it stands.
fn check_type(ty: &Type, owned: &str, mistakes: &mut Mistakes) {
    fn walk(tokens: TokenStream, owned: &str, mistakes: &mut Mistakes) -> bool {
        let mut before = None;
        for token in tokens {
            let message = match &token {
                TokenTree::Group(group) => {
                    if walk(group.stream(), owned, mistakes) {
                        return true;
                    }
                    None
                }
                TokenTree::Punct(punct) if punct.as_char() == '&' => Some(owned),
                TokenTree::Ident(name) if *name == "_" && before == Some('\'') => Some(owned),
                TokenTree::Ident(name) if *name == "impl" => {
                    Some("`impl Trait` is no type a service can read: name the type")
                }
                TokenTree::Ident(name) if *name == "Self" => {
                    Some("`Self` is the service's own type, which callers don't have")
                }
                _ => None,
            };
            if let Some(message) = message {
                mistakes.push(&token, message);
                return true;
            }
            before = match &token {
                TokenTree::Punct(punct) => Some(punct.as_char()),
                _ => None,
            };
        }
        false
    }
    walk(ty.to_token_stream(), owned, mistakes);
}
