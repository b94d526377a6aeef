//! A new service: a package with a contract, an event, a service, a caller, a subscriber and tests,
//! which builds and runs.

mod name;

use crate::{failure::Failure, output::Output};
use clap::Args;
use name::ServiceName;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The files of a package, each with what it is made of.
const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../templates/Cargo.toml.in")),
    ("README.md", include_str!("../../templates/README.md.in")),
    (".gitignore", "/target\n"),
    (".dockerignore", "/.git\n/target\n"),
    ("Dockerfile", include_str!("../../templates/Dockerfile.in")),
    ("src/lib.rs", include_str!("../../templates/lib.rs.in")),
    (
        "src/service.rs",
        include_str!("../../templates/service.rs.in"),
    ),
    ("src/main.rs", include_str!("../../templates/main.rs.in")),
    (
        "examples/call.rs",
        include_str!("../../templates/call.rs.in"),
    ),
    (
        "examples/hear.rs",
        include_str!("../../templates/hear.rs.in"),
    ),
    ("tests/calls.rs", include_str!("../../templates/test.rs.in")),
];

/// Make a new service: a package that builds and runs
///
/// Its folder has the name of the service, and must not exist.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  replybus init rate-service --replybus ../replybus && cd rate-service && cargo test\n  replybus init rate-service --in services"
)]
pub(crate) struct InitArgs {
    /// The service's name: lower-case letters, digits and single hyphens
    name: String,
    /// The directory to make its folder in
    #[arg(long = "in", value_name = "DIRECTORY", default_value = ".")]
    directory: PathBuf,
    /// A checkout of replybus to depend on, instead of this version from crates.io
    #[arg(long, value_name = "DIRECTORY")]
    replybus: Option<PathBuf>,
}

pub(crate) fn run(args: &InitArgs, output: &Output) -> Result<(), Failure> {
    let name = ServiceName::new(&args.name).map_err(Failure::Usage)?;
    let folder = args.directory.join(&args.name);
    let shown = folder.display().to_string();
    let words = Words::of(&name, args.replybus.as_deref())?;
    // Refuses what is there already, whoever makes it meanwhile.
    fs::create_dir(&folder).map_err(|error| Failure::because(&shown, error))?;
    for (path, template) in FILES {
        let path = folder.join(path);
        let written = match path.parent() {
            Some(parent) => fs::create_dir_all(parent),
            None => Ok(()),
        };
        let written = written.and_then(|()| fs::write(&path, words.fill(template)));
        written.map_err(|error| Failure::because(&path.display().to_string(), error))?;
    }
    if output.json {
        let files: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        return output.json(&json!({ "folder": shown, "queue": name.queue(), "files": files }));
    }
    output.line(&format!(
        "{shown}: `cargo test` runs its tests, and its README.md says the rest"
    ))?;
    if args.replybus.is_some() {
        return Ok(());
    }
    let version = env!("CARGO_PKG_VERSION");
    output.line(&format!(
        "it takes replybus {version} from crates.io; until that is published, make it with \
         --replybus CHECKOUT"
    ))
}

/// What stands for each word in double braces.
struct Words(Vec<(&'static str, String)>);

impl Words {
    fn of(name: &ServiceName, checkout: Option<&Path>) -> Result<Self, Failure> {
        let mut words = vec![
            ("{{name}}", name.package().to_owned()),
            ("{{lib}}", name.crate_name()),
            ("{{Trait}}", name.contract()),
            ("{{queue}}", name.queue()),
        ];
        for (word, folder) in [
            ("{{replybus}}", "bus-core"),
            ("{{replybus-redis}}", "bus-redis"),
        ] {
            let dependency = match checkout {
                None => format!("{:?}", env!("CARGO_PKG_VERSION")),
                Some(checkout) => format!("{{ path = {} }}", path_of(checkout, folder)?),
            };
            words.push((word, dependency));
        }
        Ok(Self(words))
    }

    fn fill(&self, template: &str) -> String {
        // A brace of the code is kept apart from those of a word.
        let template = template.replace("{ {{", "{{{");
        let words = self.0.iter();
        words.fold(template, |text, (word, value)| text.replace(word, value))
    }
}

/// The path of a crate in a checkout, as TOML has it: it is not the same from within the new folder.
fn path_of(checkout: &Path, folder: &str) -> Result<String, Failure> {
    let path = checkout.join(folder);
    let shown = path.display().to_string();
    let path = path
        .canonicalize()
        .map_err(|error| Failure::because(&shown, error))?;
    if !path.join("Cargo.toml").is_file() {
        return Err(Failure::Said(format!("{shown}: there is no Cargo.toml")));
    }
    let text = path
        .to_str()
        .ok_or_else(|| Failure::Said(format!("{shown}: is not UTF-8")))?;
    // The escapes of JSON are TOML's as well.
    Ok(json!(text).to_string())
}
