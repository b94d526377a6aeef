//! The syntax of an annotated trait. Signatures are parsed; bodies stay tokens, so that a
//! half-typed one costs nobody the rest of the trait in an editor.

use crate::{cache, feed};
use proc_macro2::{Group, TokenStream};
use quote::{ToTokens, TokenStreamExt};
use syn::{
    Attribute, FnArg, Generics, Ident, Signature, Token, TraitItem, TypeParamBound, Visibility,
    braced,
    ext::IdentExt,
    parse::{Parse, ParseStream, discouraged::Speculative},
    punctuated::Punctuated,
    token,
};

pub(crate) struct Trait {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) unsafety: Option<Token![unsafe]>,
    pub(crate) trait_token: Token![trait],
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) supertraits: Punctuated<TypeParamBound, Token![+]>,
    pub(crate) items: Vec<Item>,
}

pub(crate) enum Item {
    Method(Box<Method>),
    Other(Box<TraitItem>),
}

#[derive(Clone)]
pub(crate) struct Method {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) sig: Signature,
    /// The marks `#[key]` on its arguments, which are no part of the signature.
    pub(crate) keys: Vec<KeyMark>,
    /// The braces of a default body.
    pub(crate) body: Option<Group>,
}

/// The mark `#[key]`, and the position of its argument.
#[derive(Clone)]
pub(crate) struct KeyMark {
    pub(crate) mark: Attribute,
    pub(crate) position: usize,
}

/// Takes the marks off the arguments.
fn take_keys(sig: &mut Signature) -> Vec<KeyMark> {
    let mut keys = Vec::new();
    let arguments = sig.inputs.iter_mut().filter_map(|input| match input {
        FnArg::Receiver(_) => None,
        FnArg::Typed(argument) => Some(argument),
    });
    for (position, argument) in arguments.enumerate() {
        for mark in std::mem::take(&mut argument.attrs) {
            match mark.path().is_ident("key") {
                true => keys.push(KeyMark { mark, position }),
                false => argument.attrs.push(mark),
            }
        }
    }
    keys
}

/// True if the attribute is one that this macro consumes.
pub(crate) fn is_mark(attribute: &Attribute) -> bool {
    let path = attribute.path();
    ["query", "stream", "command"]
        .iter()
        .any(|mark| path.is_ident(mark))
}

impl Method {
    /// The attributes that stay on the method.
    pub(crate) fn attrs_kept(&self) -> impl Iterator<Item = &Attribute> {
        let is_ours =
            |attribute: &&Attribute| is_mark(attribute) || cache::is_invalidates(attribute);
        self.attrs
            .iter()
            .filter(move |attribute| !is_ours(attribute))
    }
}

impl Parse for Trait {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let unsafety = input.parse()?;
        if !input.peek(Token![trait]) {
            return Err(input.error(
                "`#[queue_handler]` goes on a trait: it lists the calls, and each service implements it",
            ));
        }
        let trait_token = input.parse()?;
        let ident = input.parse()?;
        let mut generics: Generics = input.parse()?;
        let supertraits = if input.parse::<Option<Token![:]>>()?.is_some() {
            parse_bounds(input)?
        } else {
            Punctuated::new()
        };
        generics.where_clause = input.parse()?;
        let content;
        braced!(content in input);
        let mut items = Vec::new();
        while !content.is_empty() {
            items.push(content.parse()?);
        }
        Ok(Self {
            attrs,
            vis,
            unsafety,
            trait_token,
            ident,
            generics,
            supertraits,
            items,
        })
    }
}

fn parse_bounds(input: ParseStream<'_>) -> syn::Result<Punctuated<TypeParamBound, Token![+]>> {
    let mut bounds = Punctuated::new();
    while !input.peek(token::Brace) && !input.peek(Token![where]) {
        bounds.push_value(input.parse()?);
        if !input.peek(Token![+]) {
            break;
        }
        bounds.push_punct(input.parse()?);
    }
    Ok(bounds)
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let ahead = input.fork();
        let attrs = ahead.call(Attribute::parse_outer)?;
        // `const` starts a method as well as an associated constant; after the latter is a name.
        let constant = ahead.peek(Token![const]) && (ahead.peek2(Ident) || ahead.peek2(Token![_]));
        let verbatim = ahead.peek(Ident::peek_any) && ahead.peek2(Token![!]);
        if constant || verbatim || ahead.peek(Token![type]) || ahead.peek(Token![::]) {
            return input.parse().map(Box::new).map(Self::Other);
        }
        let mut sig = ahead.parse()?;
        let keys = take_keys(&mut sig);
        let body = if ahead.peek(token::Brace) {
            Some(ahead.parse()?)
        } else {
            ahead.parse::<Token![;]>()?;
            None
        };
        input.advance_to(&ahead);
        Ok(Self::Method(Box::new(Method {
            attrs,
            sig,
            keys,
            body,
        })))
    }
}

/// The trait as it was written, without the marks on its methods.
impl ToTokens for Trait {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        self.vis.to_tokens(tokens);
        self.unsafety.to_tokens(tokens);
        self.trait_token.to_tokens(tokens);
        self.ident.to_tokens(tokens);
        self.generics.to_tokens(tokens);
        if !self.supertraits.is_empty() {
            <Token![:]>::default().to_tokens(tokens);
            self.supertraits.to_tokens(tokens);
        }
        self.generics.where_clause.to_tokens(tokens);
        token::Brace::default().surround(tokens, |tokens| tokens.append_all(&self.items));
    }
}

impl ToTokens for Item {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Method(method) => method.to_tokens(tokens),
            Self::Other(item) => item.to_tokens(tokens),
        }
    }
}

impl ToTokens for Method {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(self.attrs_kept());
        feed::unmarked(&self.sig).to_tokens(tokens);
        match &self.body {
            Some(body) => body.to_tokens(tokens),
            None => <Token![;]>::default().to_tokens(tokens),
        }
    }
}
