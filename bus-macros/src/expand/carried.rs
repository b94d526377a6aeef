//! The attributes of a method that its client's method has as well: what is said of the one is true
//! of the other.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Expr, Meta, Token, parse::Parser, punctuated::Punctuated};

/// Documentation, deprecation and levels of lints, also where they depend on `cfg`.
pub(super) fn carried(attributes: &[Attribute]) -> Vec<TokenStream> {
    attributes
        .iter()
        .filter_map(|attribute| meta(&attribute.meta))
        .map(|meta| quote!(#[#meta]))
        .collect()
}

/// The texts of the documentation, but for those that depend on `cfg`.
pub(super) fn docs(attributes: &[Attribute]) -> impl Iterator<Item = &Expr> {
    attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(meta) if meta.path.is_ident("doc") => Some(&meta.value),
            _ => None,
        })
}

/// True if an attribute deprecates what it stands on, if only with some `cfg`.
pub(super) fn deprecates(attribute: &Attribute) -> bool {
    attribute.path().is_ident("deprecated")
        || conditional(&attribute.meta)
            .is_some_and(|metas| metas.iter().any(|meta| meta.path().is_ident("deprecated")))
}

/// The condition of a `cfg_attr`, and the attributes that depend on it.
pub(crate) fn conditional(meta: &Meta) -> Option<Vec<Meta>> {
    let Meta::List(list) = meta else { return None };
    if !list.path.is_ident("cfg_attr") {
        return None;
    }
    let metas = Punctuated::<Meta, Token![,]>::parse_terminated;
    Some(
        metas
            .parse2(list.tokens.clone())
            .ok()?
            .into_iter()
            .collect(),
    )
}

fn meta(meta: &Meta) -> Option<TokenStream> {
    let is = |name: &str| meta.path().is_ident(name);
    if ["doc", "deprecated", "allow", "warn", "deny"]
        .into_iter()
        .any(is)
    {
        return Some(meta.to_token_stream());
    }
    // What is expected of the trait may not be there in the client.
    if let (true, Meta::List(list)) = (is("expect"), meta) {
        let lints = &list.tokens;
        return Some(quote!(allow(#lints)));
    }
    let mut metas = conditional(meta)?.into_iter();
    let condition = metas.next()?;
    let carried: Vec<_> = metas.filter_map(|meta| self::meta(&meta)).collect();
    (!carried.is_empty()).then(|| quote!(cfg_attr(#condition, #(#carried),*)))
}
