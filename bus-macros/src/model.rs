//! The model of a service, with all that expansion needs to know of it, each part with the syntax
//! it came from.

use crate::{ast, attr::ServiceOptions, cache::Cache, duration::Millis, retry::Retry};
use syn::{Ident, LitStr, Pat, PatType, Type};

pub(crate) struct Service<'a> {
    pub(crate) ast: &'a ast::Trait,
    pub(crate) options: ServiceOptions,
    pub(crate) methods: Vec<Method<'a>>,
}

pub(crate) struct Method<'a> {
    pub(crate) ast: &'a ast::Method,
    /// The AMQP property `type` of its requests.
    pub(crate) wire_name: String,
    pub(crate) kind: Kind,
    pub(crate) timeout: Option<Millis>,
    /// Its handler keeps the record, and no claim is taken.
    pub(crate) own_record: bool,
    /// The time it may take, if that is long.
    pub(crate) job: Option<Millis>,
    /// Its answer is a stream of items.
    pub(crate) stream: bool,
    pub(crate) retry: Option<Retry>,
    /// How its answers are kept.
    pub(crate) cache: Option<Cache>,
    /// The tags of the answers that it makes untrue.
    pub(crate) invalidates: Vec<LitStr>,
    pub(crate) arguments: Vec<Argument<'a>>,
    /// The position of the argument that its calls are kept in order by.
    pub(crate) key: Option<usize>,
    pub(crate) output: &'a Type,
}

pub(crate) struct Argument<'a> {
    pub(crate) name: &'a Ident,
    pub(crate) ty: &'a Type,
    /// A stream of items, which its caller sends beside the request.
    pub(crate) is_stream: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Kind {
    Query,
    #[default]
    Command,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum QueueType {
    #[default]
    Classic,
    Quorum,
}

impl Service<'_> {
    /// The method as expansion sees it; `None` if it has mistakes.
    pub(crate) fn method(&self, ast: &ast::Method) -> Option<&Method<'_>> {
        self.methods
            .iter()
            .find(|method| std::ptr::eq(method.ast, ast))
    }
}

impl<'a> Argument<'a> {
    /// The argument, if its pattern is a plain name.
    pub(crate) fn read(syntax: &'a PatType) -> Option<Self> {
        match &*syntax.pat {
            Pat::Ident(pat)
                if pat.by_ref.is_none() && pat.mutability.is_none() && pat.subpat.is_none() =>
            {
                Some(Self {
                    name: &pat.ident,
                    ty: &syntax.ty,
                    is_stream: false,
                })
            }
            _ => None,
        }
    }
}
