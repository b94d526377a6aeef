//! One script of many modules: each becomes a function that returns what it exports, after those
//! that it imports from.
//!
//! What it reads is what the page uses of ECMAScript's modules: `import { a, b as c } from
//! "./x.js";` and `import words from "./x.json" with { type: "json" };` at the beginning of a line,
//! and `export` before a function, a class or a `const`. Anything else is an error, and none is
//! passed on to the browser.

use std::fmt::Write as _;

/// The reason why there is no script.
type Refusal = String;

/// Bundles the module `entry` and all that it imports. `read` returns the text of a module by its
/// path.
pub(crate) fn bundle(
    entry: &str,
    read: impl Fn(&str) -> Result<String, Refusal>,
) -> Result<String, Refusal> {
    let mut bundle = Bundle {
        read,
        script: String::new(),
        done: Vec::new(),
        open: Vec::new(),
    };
    bundle.add(entry)?;
    Ok(bundle.script)
}

struct Bundle<R> {
    read: R,
    script: String,
    done: Vec<String>,
    /// Those whose imports are being added.
    open: Vec<String>,
}

impl<R: Fn(&str) -> Result<String, Refusal>> Bundle<R> {
    fn add(&mut self, path: &str) -> Result<(), Refusal> {
        if self.done.iter().any(|done| done == path) {
            return Ok(());
        }
        if self.open.iter().any(|open| open == path) {
            return Err(format!("{path} imports itself, by way of {:?}", self.open));
        }
        self.open.push(path.to_owned());
        let text = (self.read)(path)?;
        let name = name_of(path);
        if path.ends_with(".json") {
            let _ = writeln!(self.script, "const {name} = {};", text.trim());
        } else {
            let module = Module::read(path, &text)?;
            for import in &module.imports {
                self.add(&import.path)?;
            }
            let _ = writeln!(self.script, "const {name} = (() => {{");
            for import in &module.imports {
                let (names, from) = (&import.names, name_of(&import.path));
                let _ = writeln!(self.script, "const {names} = {from};");
            }
            let exports = module.exports.join(", ");
            let _ = write!(
                self.script,
                "{}return {{ {exports} }};\n}})();\n",
                module.body
            );
        }
        self.open.pop();
        self.done.push(path.to_owned());
        Ok(())
    }
}

struct Import {
    path: String,
    /// As the left side of an assignment.
    names: String,
}

#[derive(Default)]
struct Module {
    imports: Vec<Import>,
    exports: Vec<String>,
    body: String,
}

impl Module {
    fn read(path: &str, text: &str) -> Result<Self, Refusal> {
        let mut module = Self::default();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.starts_with("import ") {
                let mut statement = line.to_owned();
                while !statement.ends_with(';') {
                    let more = lines.next();
                    statement += more.ok_or(format!("{path}: an import has no end"))?.trim();
                }
                module.imports.push(Import::read(path, &statement)?);
            } else if let Some(exported) = line.strip_prefix("export ") {
                let name = declared(exported);
                let name = name.ok_or(format!("{path}: {line:?} can't be bundled"))?;
                module.exports.push(name.to_owned());
                module.body += exported;
                module.body.push('\n');
            } else if !line.trim_start().starts_with("//") {
                module.body += line;
                module.body.push('\n');
            }
        }
        Ok(module)
    }
}

impl Import {
    fn read(path: &str, statement: &str) -> Result<Self, Refusal> {
        let refused = || format!("{path}: {statement:?} can't be bundled");
        let rest = statement.strip_prefix("import ").ok_or_else(refused)?;
        let (names, rest) = rest.split_once(" from \"./").ok_or_else(refused)?;
        let (file, end) = rest.split_once('"').ok_or_else(refused)?;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = format!("{folder}/{file}");
        let names = match end {
            ";" if names.starts_with('{') => names.replace(" as ", ": "),
            " with { type: \"json\" };" if is_name(names) => names.to_owned(),
            _ => return Err(refused()),
        };
        Ok(Self {
            path: path.trim_start_matches('/').to_owned(),
            names,
        })
    }
}

/// The name that a declaration declares.
fn declared(declaration: &str) -> Option<&str> {
    let rest = ["async function ", "function ", "class ", "const "]
        .iter()
        .find_map(|kind| declaration.strip_prefix(kind))?;
    let name = rest.split(|letter| !is_of_name(letter)).next()?;
    is_name(name).then_some(name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_of_name)
}

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '$'
}

/// The name of a module in the bundle.
fn name_of(path: &str) -> String {
    let letters = path.chars();
    let name: String = letters
        .map(|letter| if is_of_name(letter) { letter } else { '_' })
        .collect();
    format!("$_{name}")
}
