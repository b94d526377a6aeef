//! The cache of a query, `#[query(cache = "300s", tags("product:{id}"), vary("tenant"))]`, and the
//! tags that a command invalidates, `#[invalidates("product:{id}", "products")]`.

use crate::{
    ast::Method,
    duration::{Millis, in_millis},
    mistakes::Mistakes,
    model::{Argument, Kind},
    options::{self, Setting},
};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, LitStr, Meta, Type, ext::IdentExt};

/// The longest time for which an answer is kept, in milliseconds; `replybus::limits` says why.
const TTL_MAX: u64 = 24 * 60 * 60 * 1000;

/// Most tags of an answer or a command.
const TAGS_MAX: usize = 16;

/// Bytes of the name of a piece of metadata.
const METADATA_NAME_BYTES_MAX: usize = 64;

/// How the answers of a query are kept.
pub(crate) struct Cache {
    pub(crate) ttl: Millis,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) vary: Vec<LitStr>,
}

/// The options of a cache as they are collected.
#[derive(Default)]
pub(crate) struct CacheOptions {
    /// What was said first, where a mistake about all of it is reported.
    said: Option<TokenStream>,
    ttl: Option<Millis>,
    /// There is a `cache`, right or wrong.
    has_ttl: bool,
    tags: Option<Vec<LitStr>>,
    vary: Option<Vec<LitStr>>,
}

/// `true` of an option that is a list: `tags(..)` or `vary(..)`.
pub(crate) fn is_list(option: &TokenStream) -> bool {
    let first = option.clone().into_iter().next();
    matches!(first, Some(TokenTree::Ident(name)) if name == "tags" || name == "vary")
}

/// `true` of the mark `#[invalidates(..)]`.
pub(crate) fn is_invalidates(attribute: &Attribute) -> bool {
    attribute.path().is_ident("invalidates")
}

impl CacheOptions {
    /// Reads `tags(..)` or `vary(..)`.
    pub(crate) fn read_list(&mut self, option: TokenStream, mistakes: &mut Mistakes) {
        let is_tags = option.to_string().starts_with("tags");
        let mut tokens = option.clone().into_iter().skip(1);
        let texts = match (tokens.next(), tokens.next()) {
            (Some(TokenTree::Group(group)), None)
                if group.delimiter() == Delimiter::Parenthesis =>
            {
                texts(group.stream(), mistakes)
            }
            _ => None,
        };
        let Some(texts) = texts else {
            mistakes.push(
                option,
                "tags and names of metadata are texts in brackets: `tags(\"product:{id}\")`, `vary(\"tenant\")`",
            );
            return;
        };
        self.said.get_or_insert_with(|| option.clone());
        let (place, name) = match is_tags {
            true => (&mut self.tags, "tags"),
            false => (&mut self.vary, "vary"),
        };
        if place.is_some() {
            mistakes.push(option, format!("`{name}` is given twice"));
        } else {
            *place = Some(texts);
        }
    }

    /// Reads `cache = ".."`.
    pub(crate) fn read_ttl(&mut self, setting: &Setting, mistakes: &mut Mistakes) {
        self.said.get_or_insert_with(|| setting.value().clone());
        self.has_ttl = true;
        let allowed = "`cache` is how long answers are kept, in quotes, from \"1ms\" to \"24h\": a whole number and its unit, `ms`, `s`, `m` or `h`";
        let read = |text: &str| match in_millis(text) {
            Some(millis @ 1..=TTL_MAX) => Ok(Millis(millis)),
            _ => Err(allowed.to_owned()),
        };
        self.ttl = setting.text(allowed, read, mistakes);
    }

    /// The cache of a method, which can have one if it is a query.
    pub(crate) fn of_method(
        self,
        kind: Kind,
        is_stream: bool,
        arguments: &[Argument<'_>],
        mistakes: &mut Mistakes,
    ) -> Option<Cache> {
        let said = self.said?;
        let refusal = if kind == Kind::Command {
            "`cache` is for queries: a command is made once for its key, and then answered from its record"
        } else if is_stream || arguments.iter().any(|argument| argument.is_stream) {
            "a stream is not kept for others: leave `cache`, or answer in one piece"
        } else if !self.has_ttl {
            "`tags` and `vary` belong to a cache: `cache = \"300s\"` says how long answers are kept"
        } else {
            let (tags, vary) = (self.tags.unwrap_or_default(), self.vary.unwrap_or_default());
            check_tags(&tags, arguments, mistakes);
            for name in &vary {
                check_metadata_name(name, mistakes);
            }
            let ttl = self.ttl?;
            return Some(Cache { ttl, tags, vary });
        };
        mistakes.push(said, refusal);
        None
    }
}

/// The tags that a method invalidates, which can if it is a command.
pub(crate) fn invalidates(
    method: &Method,
    kind: Kind,
    arguments: &[Argument<'_>],
    mistakes: &mut Mistakes,
) -> Vec<LitStr> {
    let mut marks = method.attrs.iter().filter(|mark| is_invalidates(mark));
    let Some(mark) = marks.next() else {
        return Vec::new();
    };
    for other in marks {
        mistakes.push(
            other,
            "all tags that a command invalidates stand in one mark",
        );
    }
    if kind == Kind::Query {
        mistakes.push(
            mark,
            "`#[invalidates]` is for commands: a query changes nothing",
        );
        return Vec::new();
    }
    let tags = match &mark.meta {
        Meta::List(list) => texts(list.tokens.clone(), mistakes),
        _ => None,
    };
    let Some(tags) = tags else {
        mistakes.push(
            mark,
            "the tags stand in brackets: `#[invalidates(\"product:{id}\", \"products\")]`",
        );
        return Vec::new();
    };
    check_tags(&tags, arguments, mistakes);
    tags
}

/// The texts between commas, if there are any.
fn texts(tokens: TokenStream, mistakes: &mut Mistakes) -> Option<Vec<LitStr>> {
    let parts = options::split(tokens);
    if parts.is_empty() {
        return None;
    }
    let texts = parts.into_iter().filter_map(|part| {
        let text = syn::parse2::<LitStr>(part.clone());
        text.map_err(|_| mistakes.push(part, "a text in quotes belongs here"))
            .ok()
    });
    Some(texts.collect())
}

fn check_tags(tags: &[LitStr], arguments: &[Argument<'_>], mistakes: &mut Mistakes) {
    if let Some(beyond) = tags.get(TAGS_MAX) {
        let message = format!("{} tags, and {TAGS_MAX} are allowed", tags.len());
        mistakes.push(beyond, message);
    }
    for tag in tags {
        if let Err(message) = check_tag(&tag.value(), arguments) {
            mistakes.push(tag, message);
        }
    }
}

/// The mistake in a tag, as an error.
fn check_tag(tag: &str, arguments: &[Argument<'_>]) -> Result<(), String> {
    if tag.is_empty() {
        return Err("a tag is not empty".to_owned());
    }
    let mut rest = tag;
    while let Some(at) = rest.find(['{', '}']) {
        let braces = || {
            "braces are around the name of an argument: `product:{id}`; a tag has no others"
                .to_owned()
        };
        let (_, from) = rest.split_at(at);
        let inner = from.strip_prefix('{').ok_or_else(braces)?;
        let (name, after) = inner.split_once('}').ok_or_else(braces)?;
        if name.is_empty() || name.contains('{') {
            return Err(braces());
        }
        let named = arguments
            .iter()
            .find(|argument| argument.name.unraw() == name);
        let Some(argument) = named else {
            let names: Vec<_> = arguments
                .iter()
                .map(|argument| format!("`{}`", argument.name.unraw()))
                .collect();
            return Err(match names.as_slice() {
                [] => format!("`{name}` is no argument: the method has none"),
                names => format!(
                    "`{name}` is no argument of this method; its arguments are {}",
                    names.join(", ")
                ),
            });
        };
        if argument.is_stream || is_no_part_of_a_tag(argument.ty) {
            let ty = argument.ty.to_token_stream().to_string().replace(' ', "");
            return Err(format!(
                "`{name}` is a `{ty}`: a tag is made of arguments that travel as a text, a whole number of up to 64 bits, or true or false"
            ));
        }
        rest = after;
    }
    Ok(())
}

/// `true` of a type that is known by its name to be something else. Of others the service and the
/// caller find out.
fn is_no_part_of_a_tag(ty: &Type) -> bool {
    let named = match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Tuple(_) | Type::Array(_) => return true,
        _ => None,
    };
    const OTHERS: &[&str] = &[
        "f32", "f64", "i128", "u128", "Option", "Vec", "VecDeque", "HashMap", "BTreeMap",
        "HashSet", "BTreeSet", "Bytes",
    ];
    named.is_some_and(|segment| OTHERS.iter().any(|other| segment.ident == other))
}

fn check_metadata_name(name: &LitStr, mistakes: &mut Mistakes) {
    let text = name.value();
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    let fits = (1..=METADATA_NAME_BYTES_MAX).contains(&text.len());
    if !fits || !text.bytes().all(allowed) {
        let message = format!(
            "the name of a piece of metadata is 1 to {METADATA_NAME_BYTES_MAX} of `a` to `z`, digits, `-`, `_` and `.`"
        );
        mistakes.push(name, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use replybus::limits;

    #[test]
    fn limits_are_those_of_the_runtime() {
        assert_eq!(u128::from(TTL_MAX), limits::CACHE_TTL_MAX.as_millis());
        assert_eq!(TAGS_MAX, limits::CACHE_TAGS_MAX);
        assert_eq!(METADATA_NAME_BYTES_MAX, limits::METADATA_NAME_BYTES_MAX);
    }
}
