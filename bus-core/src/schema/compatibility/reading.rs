//! Whether all that is written of one type is read as another, and if not, why and where.

use super::{
    super::document::View,
    form::{Form, List, ListItems, Object, OtherFields, Range, Text, forms},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap};

/// The most schemas that are looked at for one type.
const STEPS_MAX: usize = 100_000;

/// How deep they are looked into. A level takes several calls, and the stack is that of any thread.
const DEPTH_MAX: usize = 64;

/// What is written and not read. `{w}` stands for whoever writes, `{r}` for whoever reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where: `.lines[].amount`.
    pub(super) path: String,
    pub(super) what: String,
}

/// A comparison of what one view writes with what another reads.
pub(super) struct Reading<'a> {
    reader: View<'a>,
    writer: View<'a>,
    /// What came of pairs of schemas, by their digests; nothing yet of those that are looked at.
    met: HashMap<[u8; 32], Vec<Problem>>,
    steps_left: usize,
    depth: usize,
}

/// Names a pair of schemas. Not by the definitions that they refer to: a type that holds itself may
/// do so in an `anyOf`, as `Option<Box<Self>>` does.
fn pair(read: &Value, written: &Value) -> [u8; 32] {
    Sha256::digest(format!("{read} {written}")).into()
}

fn problem(what: impl Into<String>) -> Vec<Problem> {
    vec![Problem {
        path: String::new(),
        what: what.into(),
    }]
}

fn at(path: &str, problems: Vec<Problem>) -> impl Iterator<Item = Problem> {
    problems.into_iter().map(move |problem| Problem {
        path: format!("{path}{}", problem.path),
        ..problem
    })
}

impl<'a> Reading<'a> {
    pub(super) fn new(reader: View<'a>, writer: View<'a>) -> Self {
        Self {
            reader,
            writer,
            met: HashMap::new(),
            steps_left: STEPS_MAX,
            depth: 0,
        }
    }

    /// What of the one is not read as the other.
    pub(super) fn problems(&mut self, read: &Value, written: &Value) -> Vec<Problem> {
        if self.steps_left == 0 || self.depth > DEPTH_MAX {
            return problem("is too large to be compared");
        }
        self.steps_left -= 1;
        let pair = pair(read, written);
        if let Some(problems) = self.met.get(&pair) {
            return problems.clone();
        }
        // A type that holds itself is read if all else of it is.
        self.met.insert(pair, Vec::new());
        let read = forms(read, self.reader, &mut self.steps_left);
        let written = forms(written, self.writer, &mut self.steps_left);
        self.depth += 1;
        let problems = self.of_forms(&read, &written);
        self.depth -= 1;
        self.met.insert(pair, problems.clone());
        problems
    }

    fn of_forms(&mut self, read: &[Form], written: &[Form]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for form in written {
            for problem in self.of_form(read, form) {
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        problems
    }

    /// What of one form is not read: nothing if one of the others reads it, else the least.
    fn of_form(&mut self, read: &[Form], written: &Form) -> Vec<Problem> {
        let mut read: Vec<&Form> = read.iter().collect();
        if let Some(tag) = written.tag()
            && read.iter().any(|form| form.tag().is_some())
        {
            read.retain(|form| form.tag().is_none_or(|other| other == tag));
            if !read.iter().any(|form| form.tag().is_some()) && !read.contains(&&Form::Any) {
                return problem(format!(
                    "can be `{tag}` from {{w}}, which {{r}} does not know"
                ));
            }
        }
        let candidates: Vec<&&Form> = read.iter().filter(|form| form.is_like(written)).collect();
        let mut least: Option<Vec<Problem>> = None;
        for candidate in candidates {
            let problems = self.of_pair(candidate, written);
            if problems.is_empty() {
                return problems;
            }
            if least
                .as_ref()
                .is_none_or(|least| problems.len() < least.len())
            {
                least = Some(problems);
            }
        }
        least.unwrap_or_else(|| {
            let expected: BTreeSet<&str> = read.iter().map(|form| form.name()).collect();
            let expected: Vec<&str> = expected.into_iter().collect();
            problem(match &expected[..] {
                [] => format!(
                    "can be {} from {{w}}, where {{r}} expects nothing",
                    written.name()
                ),
                expected => format!(
                    "can be {} from {{w}}, and {{r}} reads {}",
                    written.name(),
                    expected.join(" or ")
                ),
            })
        })
    }

    fn of_pair(&mut self, read: &Form, written: &Form) -> Vec<Problem> {
        match (read, written) {
            (Form::Any, _) => Vec::new(),
            (Form::Integer(read), Form::Integer(written)) => within(*read, *written, ""),
            (Form::Integer(_), Form::Number) => {
                problem("can have a fraction from {w}, and {r} reads whole numbers")
            }
            (Form::Text(read), Form::Text(written)) => texts(read, written),
            (Form::List(read), Form::List(written)) => self.lists(read, written),
            (Form::Object(read), Form::Object(written)) => self.objects(read, written),
            (Form::Other(read), Form::Other(written)) if read != written => {
                problem("has another schema now, of a kind that can't be compared")
            }
            (Form::Constant(read), Form::Constant(written)) if read != written => problem(format!(
                "can be {written} from {{w}}, and {{r}} reads {read}"
            )),
            (Form::Integer(read), Form::Constant(written)) => {
                let only = written.as_i64().map(i128::from);
                let only = Range {
                    from: only,
                    to: only,
                };
                within(*read, only, "")
            }
            _ => Vec::new(),
        }
    }

    fn lists(&mut self, read: &List, written: &List) -> Vec<Problem> {
        let mut problems = within(read.length, written.length, " items");
        match (&read.items, &written.items) {
            (ListItems::Each(read), ListItems::Each(written)) => {
                problems.extend(at("[]", self.problems(read, written)));
            }
            (ListItems::Tuple(read), ListItems::Tuple(written)) => {
                for (place, (read, written)) in read.iter().zip(written).enumerate() {
                    problems.extend(at(&format!("[{place}]"), self.problems(read, written)));
                }
            }
            (ListItems::Tuple(read), ListItems::Each(written)) => {
                for (place, read) in read.iter().enumerate() {
                    problems.extend(at(&format!("[{place}]"), self.problems(read, written)));
                }
            }
            (ListItems::Each(read), ListItems::Tuple(written)) => {
                for (place, written) in written.iter().enumerate() {
                    problems.extend(at(&format!("[{place}]"), self.problems(read, written)));
                }
            }
        }
        problems
    }

    fn objects(&mut self, read: &Object, written: &Object) -> Vec<Problem> {
        let mut problems = Vec::new();
        for name in &read.required {
            let what = match (written.required.contains(name), written.has(name)) {
                (true, _) => continue,
                (false, true) => "may be left out by {w}, and {r} does not read it without",
                (false, false) => "is not sent by {w}, and {r} does not read it without",
            };
            problems.extend(at(&format!(".{name}"), problem(what)));
        }
        for (name, read) in &read.fields {
            let written = match (written.fields.get(name), &written.others) {
                (Some(written), _) | (None, OtherFields::Each(written)) => written,
                (None, _) => continue,
            };
            problems.extend(at(&format!(".{name}"), self.problems(read, written)));
        }
        let unknown = written.fields.iter();
        for (name, written) in unknown.filter(|(name, _)| !read.fields.contains_key(*name)) {
            problems.extend(at(&format!(".{name}"), self.others(&read.others, written)));
        }
        if let OtherFields::Each(written) = &written.others {
            problems.extend(at(".*", self.others(&read.others, written)));
        }
        problems
    }

    fn others(&mut self, read: &OtherFields, written: &Value) -> Vec<Problem> {
        match read {
            OtherFields::Open => Vec::new(),
            OtherFields::Closed => {
                problem("can be there from {w}, and {r} refuses what it does not know")
            }
            OtherFields::Each(read) => self.problems(read, written),
        }
    }
}

fn within(read: Range, written: Range, of: &str) -> Vec<Problem> {
    if read.contains(written) {
        return Vec::new();
    }
    problem(format!(
        "can have {written}{of} from {{w}}, and {{r}} reads {read}{of}"
    ))
}

fn texts(read: &Text, written: &Text) -> Vec<Problem> {
    match (&read.allowed, &written.allowed) {
        (Some(read), Some(written)) => {
            return written
                .difference(read)
                .flat_map(|text| {
                    problem(format!(
                        "can be `{text}` from {{w}}, which {{r}} does not know"
                    ))
                })
                .collect();
        }
        (Some(_), None) => {
            return problem("can be any text from {w}, and {r} knows only some");
        }
        // Which texts match is not looked at.
        (None, Some(_)) => return Vec::new(),
        (None, None) => {}
    }
    let mut problems = within(read.length, written.length, " characters");
    for (what, read, written) in [
        ("format", &read.format, &written.format),
        ("pattern", &read.pattern, &written.pattern),
    ] {
        if let Some(read) = read
            && Some(read) != written.as_ref()
        {
            let written = written.as_deref().unwrap_or("any");
            problems.extend(problem(format!(
                "can have another {what} from {{w}} ({written}) than {{r}} reads ({read})"
            )));
        }
    }
    problems
}

impl Object {
    fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name) || matches!(self.others, OtherFields::Each(_))
    }
}

impl Form {
    /// What tells it from other variants of an enum: the one field that it has, or the text that
    /// one of its fields must be.
    fn tag(&self) -> Option<String> {
        let Self::Object(object) = self else {
            return None;
        };
        let mut names = object.required.iter();
        if object.others == OtherFields::Closed
            && object.fields.len() == 1
            && let (Some(name), None) = (names.next(), names.next())
        {
            return Some(name.clone());
        }
        let required = object
            .fields
            .iter()
            .filter(|(name, _)| object.required.contains(*name));
        let mut texts = required.filter_map(|(_, schema)| only_text(schema));
        texts.next().map(str::to_owned)
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Integer(_), Self::Number)
            | (Self::Number, Self::Integer(_))
            | (Self::Other(_), Self::Other(_)) => true,
            (Self::Integer(_) | Self::Number, Self::Constant(value)) => value.is_number(),
            (Self::Boolean, Self::Constant(value)) => value.is_boolean(),
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Any => "anything",
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Integer(_) => "a whole number",
            Self::Number => "a number",
            Self::Text(_) => "a text",
            Self::Constant(_) => "one value",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
            Self::Other(_) => "something else",
        }
    }
}

/// The one text that a schema allows.
fn only_text(schema: &Value) -> Option<&str> {
    let listed = schema.get("enum").and_then(Value::as_array);
    let only = match listed.map(Vec::as_slice) {
        Some([only]) => Some(only),
        _ => schema.get("const"),
    };
    only?.as_str()
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.from, self.to) {
            (Some(from), Some(to)) => write!(f, "{from} to {to}"),
            (Some(from), None) => write!(f, "{from} or more"),
            (None, Some(to)) => write!(f, "up to {to}"),
            (None, None) => f.write_str("any number"),
        }
    }
}
