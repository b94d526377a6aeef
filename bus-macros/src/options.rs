//! One option of an attribute: `name = value`, and the values there are.

use crate::{duration::Millis, mistakes::Mistakes, names::CratePath};
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::quote;
use std::{fmt::Display, ops::RangeInclusive, str::FromStr};
use syn::{LitBool, LitInt, LitStr, Path, PathArguments, ext::IdentExt};

/// A name, and the tokens after its `=`.
pub(crate) struct Setting {
    name: Ident,
    value: TokenStream,
}

/// The parts between the commas, so that a mistake in one leaves the others readable.
pub(crate) fn split(tokens: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![TokenStream::new()];
    for token in tokens {
        match (&token, parts.last_mut()) {
            (TokenTree::Punct(punct), _) if punct.as_char() == ',' => {
                parts.push(TokenStream::new());
            }
            (_, Some(part)) => part.extend([token]),
            (_, None) => {}
        }
    }
    // Nothing at all, or nothing after a trailing comma.
    if parts.last().is_some_and(TokenStream::is_empty) {
        parts.pop();
    }
    parts
}

/// The name in quotes that an attribute starts with; empty if it is missing or wrong.
pub(crate) fn leading_name(
    part: Option<TokenStream>,
    missing: &str,
    check: impl Fn(&str) -> Result<(), String>,
    mistakes: &mut Mistakes,
) -> String {
    let part = part.unwrap_or_default();
    let Ok(literal) = syn::parse2::<LitStr>(part.clone()) else {
        mistakes.push(part, missing);
        return String::new();
    };
    match check(&literal.value()) {
        Ok(()) => literal.value(),
        Err(reason) => {
            mistakes.push(literal, reason);
            String::new()
        }
    }
}

impl Setting {
    /// The options in `parts`, each of `known` at most once.
    pub(crate) fn read_all(
        parts: impl IntoIterator<Item = TokenStream>,
        known: &[&str],
        mistakes: &mut Mistakes,
    ) -> Vec<Self> {
        let mut settings: Vec<Self> = Vec::new();
        for part in parts {
            let Some(setting) = Self::read(part, known, mistakes) else {
                continue;
            };
            if settings.iter().any(|earlier| earlier.name == setting.name) {
                let message = format!("`{}` is given twice", setting.name);
                mistakes.push(setting.name, message);
            } else {
                settings.push(setting);
            }
        }
        settings
    }

    fn read(part: TokenStream, known: &[&str], mistakes: &mut Mistakes) -> Option<Self> {
        let mut tokens = part.clone().into_iter();
        let name = match tokens.next() {
            Some(TokenTree::Ident(name)) => name,
            first => {
                let wrong = first.map_or(part, |first| quote!(#first));
                mistakes.push(wrong, format!("expected an option: {}", listed(known)));
                return None;
            }
        };
        if !known.contains(&name.to_string().as_str()) {
            let message = format!("unknown option `{name}`; the options are {}", listed(known));
            mistakes.push(name, message);
            return None;
        }
        let equals = matches!(tokens.next(), Some(TokenTree::Punct(p)) if p.as_char() == '=');
        let value: TokenStream = tokens.collect();
        if !equals || value.is_empty() {
            let message = format!("`{name}` takes a value: `{name} = ..`");
            mistakes.push(name, message);
            return None;
        }
        Some(Self { name, value })
    }

    /// The option's name.
    pub(crate) fn name(&self) -> String {
        self.name.to_string()
    }

    /// The value, where a mistake in it is reported.
    pub(crate) fn value(&self) -> &TokenStream {
        &self.value
    }

    /// A number within `range`.
    pub(crate) fn integer<T>(&self, range: RangeInclusive<T>, mistakes: &mut Mistakes) -> Option<T>
    where
        T: FromStr<Err: Display> + PartialOrd + Display,
    {
        let number = syn::parse2::<LitInt>(self.value.clone())
            .ok()
            .filter(|literal| literal.suffix().is_empty())
            .and_then(|literal| literal.base10_parse::<T>().ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            let message = format!("`{}` is a number from {least} to {most}", self.name);
            mistakes.push(&self.value, message);
        }
        number
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, mistakes: &mut Mistakes) -> Option<bool> {
        let literal = syn::parse2::<LitBool>(self.value.clone());
        let message = format!("`{}` is `true` or `false`", self.name);
        literal
            .map(|literal| literal.value)
            .map_err(|_| mistakes.push(&self.value, message))
            .ok()
    }

    /// A duration, in quotes.
    pub(crate) fn duration(&self, mistakes: &mut Mistakes) -> Option<Millis> {
        let allowed = format!("`{}` is a duration in quotes, such as \"2s\"", self.name);
        self.text(&allowed, str::parse, mistakes)
    }

    /// A text in quotes that `read` understands.
    pub(crate) fn text<T>(
        &self,
        allowed: &str,
        read: impl Fn(&str) -> Result<T, String>,
        mistakes: &mut Mistakes,
    ) -> Option<T> {
        let read = match syn::parse2::<LitStr>(self.value.clone()) {
            Ok(literal) => read(&literal.value()),
            Err(_) => Err(allowed.to_owned()),
        };
        read.map_err(|reason| mistakes.push(&self.value, reason))
            .ok()
    }

    /// A path that means the same everywhere.
    pub(crate) fn crate_path(&self, mistakes: &mut Mistakes) -> CratePath {
        let absolute = |path: &Path| {
            let first = path.segments.first();
            let plain = path
                .segments
                .iter()
                .all(|segment| matches!(segment.arguments, PathArguments::None));
            plain
                && (path.leading_colon.is_some()
                    || first.is_some_and(|first| first.ident.unraw() == "crate"))
        };
        match syn::parse2::<Path>(self.value.clone()) {
            Ok(path) if absolute(&path) => CratePath::new(path),
            _ => {
                mistakes.push(
                    &self.value,
                    "`crate` is an absolute path, such as `::replybus` or `crate::reexported::replybus`",
                );
                CratePath::default()
            }
        }
    }
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
