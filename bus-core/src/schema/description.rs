//! A contract, described by generated code: for each of its methods the types that travel.

use super::part::Part;

/// The methods of a contract, in its order, and their types.
#[derive(Debug, Default)]
pub struct Description {
    pub(super) methods: Vec<MethodDescription>,
}

/// A method, as generated code names its parts.
#[derive(Debug)]
pub struct MethodParts<'a> {
    /// Its documentation, by lines.
    pub docs: &'a [&'static str],
    /// The argument that its calls are kept in order by.
    pub key: Option<&'static str>,
    /// The arguments in the body of its request.
    pub arguments: &'a [(&'static str, Part)],
    /// The argument that is a stream, and the type of its items.
    pub fed: Option<(&'static str, Part)>,
    /// The type of its value, or of the items of its answer.
    pub reply: Part,
    /// The type of its own error.
    pub error: Part,
}

#[derive(Debug)]
pub(super) struct MethodDescription {
    pub(super) docs: String,
    pub(super) key: Option<&'static str>,
    pub(super) arguments: Vec<(&'static str, Part)>,
    pub(super) fed: Option<(&'static str, Part)>,
    pub(super) reply: Part,
    pub(super) error: Part,
}

impl Description {
    /// Adds the next method.
    pub fn method(&mut self, parts: MethodParts<'_>) {
        // A line without text is a text without lines.
        let lines = parts.docs.iter().flat_map(|text| text.split('\n'));
        let lines: Vec<&str> = lines
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        self.methods.push(MethodDescription {
            docs: lines.join("\n").trim().to_owned(),
            key: parts.key,
            arguments: parts.arguments.to_vec(),
            fed: parts.fed,
            reply: parts.reply,
            error: parts.error,
        });
    }
}

impl MethodDescription {
    /// The types of it that have no schema, each with what it is the type of.
    pub(super) fn unknown(&self) -> impl Iterator<Item = String> {
        let named = self.arguments.iter().chain(&self.fed);
        let named = named.map(|(name, part)| (format!("argument `{name}`"), part));
        let rest = [
            ("value".to_owned(), &self.reply),
            ("error".to_owned(), &self.error),
        ];
        named
            .chain(rest)
            .filter(|(_, part)| part.known.is_none())
            .map(|(what, part)| format!("{what}: {}", part.name))
    }
}
