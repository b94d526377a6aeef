//! Makes a few files of the pages' many: of each page the document, one script and one style sheet, and
//! the picture of both. All but the documents have a hash of their contents in their names, so that
//! browsers keep them and ask for none of them again.

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

/// Where the customers' page is, and what pages share.
const SHARED: &str = "src/page";
const PICTURE: &str = "favicon.svg";

/// A page. What is not in its own folder is shared.
struct Page {
    name: &'static str,
    folder: &'static str,
    document: &'static str,
    /// In the order in which one has its way over another.
    styles: &'static [&'static str],
}

const PAGES: [Page; 2] = [
    Page {
        name: "page",
        folder: SHARED,
        document: "index.html",
        styles: &[
            "theme", "layout", "controls", "notices", "door", "hall", "activity", "month",
            "standing", "details", "toasts", "phone", "motion", "media",
        ],
    },
    Page {
        name: "status",
        folder: "src/status_page",
        document: "status.html",
        styles: &["theme", "layout", "controls", "status", "motion"],
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let made = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names no directory")?);
    let picture = read(&Path::new(SHARED).join(PICTURE))?;
    make(&made, PICTURE, &picture)?;
    for page in &PAGES {
        println!("cargo::rerun-if-changed={}", page.folder);
        let script = format!("{}.js", page.name);
        let sheet = format!("{}.css", page.name);
        let mut styles = String::new();
        for name in page.styles {
            styles += &page.read(&format!("styles/{name}.css"))?;
        }
        let mut document = read(&Path::new(page.folder).join("index.html"))?;
        for (name, contents) in [
            (&script, bundle(&script, |path| page.read(path))?),
            (&sheet, styles),
        ] {
            let path = make(&made, name, &contents)?;
            document = naming(&document, page.folder, name, &path)?;
        }
        document = naming(&document, page.folder, PICTURE, &hashed(PICTURE, &picture)?)?;
        fs::write(made.join(page.document), document)?;
    }
    Ok(())
}

impl Page {
    /// A file of the page, or of all.
    fn read(&self, path: &str) -> Result<String, String> {
        let own = Path::new(self.folder).join(path);
        match own.is_file() {
            true => read(&own),
            false => read(&Path::new(SHARED).join(path)),
        }
    }
}

/// Writes a file, and tells its path to who serves it.
fn make(made: &Path, name: &str, contents: &str) -> Result<String, Box<dyn Error>> {
    let path = hashed(name, contents)?;
    fs::write(made.join(name), contents)?;
    let variable = name.replace('.', "_").to_uppercase();
    println!("cargo::rustc-env=PATH_OF_{variable}={path}");
    Ok(path)
}

/// The document, with this path for that name.
fn naming(document: &str, folder: &str, name: &str, path: &str) -> Result<String, String> {
    let named = format!("\"/{name}\"");
    if !document.contains(&named) {
        return Err(format!("{folder}/index.html does not ask for {named}"));
    }
    Ok(document.replace(&named, &format!("\"{path}\"")))
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
