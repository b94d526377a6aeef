//! Makes four files of the page's many: the document, one script, one style sheet and one picture.
//! All but the document have a hash of their contents in their names, so that browsers keep them
//! and ask for none of them again.

#![allow(clippy::print_stdout, reason = "it is how cargo is told")]

#[path = "src/page/bundle.rs"]
mod bundle;

use bundle::bundle;
use std::{
    env,
    error::Error,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

const PAGE: &str = "src/page";

/// In the order in which one has its way over another.
const STYLES: [&str; 14] = [
    "theme", "layout", "controls", "notices", "door", "hall", "activity", "month", "standing",
    "details", "toasts", "phone", "motion", "media",
];

fn main() -> Result<(), Box<dyn Error>> {
    for input in [PAGE, "build.rs"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let page = PathBuf::from(PAGE);
    let made = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names no directory")?);
    let script = bundle("page.js", |path| read(&page.join(path)))?;
    let mut styles = String::new();
    for name in STYLES {
        styles += &read(&page.join(format!("styles/{name}.css")))?;
    }
    let picture = read(&page.join("favicon.svg"))?;
    let mut document = read(&page.join("index.html"))?;
    for (name, contents) in [
        ("page.js", script),
        ("page.css", styles),
        ("favicon.svg", picture),
    ] {
        let path = hashed(name, &contents)?;
        let named = format!("\"/{name}\"");
        if !document.contains(&named) {
            return Err(format!("index.html does not ask for {named}").into());
        }
        document = document.replace(&named, &format!("\"{path}\""));
        fs::write(made.join(name), contents)?;
        let variable = name.replace('.', "_").to_uppercase();
        println!("cargo::rustc-env=PATH_OF_{variable}={path}");
    }
    fs::write(made.join("index.html"), document)?;
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The path of a file: with other contents it is another.
fn hashed(name: &str, contents: &str) -> Result<String, String> {
    let (stem, kind) = name.split_once('.').ok_or(format!("{name} has no kind"))?;
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    Ok(format!("/{stem}-{:016x}.{kind}", hasher.finish()))
}
