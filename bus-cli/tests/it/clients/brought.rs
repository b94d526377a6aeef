//! What other languages need, brought once into a folder of this build, and found again by later
//! runs.

use replybus_testkit::wait::bounded;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio::{process::Command, sync::OnceCell};

/// What was brought by this process, once for all of its tests.
static PYTHON: OnceCell<Option<Runner>> = OnceCell::const_new();
static NODE: OnceCell<Option<Runner>> = OnceCell::const_new();

/// What runs programs of one language.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    /// The interpreter.
    pub(super) program: PathBuf,
    /// The folder of the client in this repository.
    pub(super) client: PathBuf,
    /// Where its programs are in there, and how their names end.
    programs: &'static str,
    ending: &'static str,
}

impl Runner {
    /// A program among the client's tests, with these arguments.
    pub(super) fn program(&self, name: &str, arguments: &[String]) -> Command {
        let mut command = self.command();
        let file = format!("{name}.{}", self.ending);
        command.arg(self.client.join(self.programs).join(file));
        command.args(arguments);
        command
    }

    /// The interpreter, which finds the client.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("PYTHONPATH", self.client.join("src"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MYPY_CACHE_DIR", place("mypy"))
            .env("RUFF_CACHE_DIR", place("ruff"));
        command
    }
}

impl Runner {
    /// Puts a module and a program that calls by it, `caller.py`, into a folder, and has all types of
    /// both checked.
    pub(super) async fn checks(&self, folder: &Path, module: (&str, &str), caller: &str) {
        put(folder, [module, ("caller.py", caller)]);
        let mut check = self.command();
        check.args(["-m", "mypy", "--strict", "--ignore-missing-imports"]);
        check.arg("caller.py");
        check.env("MYPYPATH", self.client.join("src"));
        done(check.current_dir(folder)).await.unwrap();
    }

    /// The same in TypeScript: `caller.ts`, which is `caller.js` then.
    pub(super) async fn compiles(&self, folder: &Path, module: (&str, &str), caller: &str) {
        put(folder, [module, ("caller.ts", caller)]);
        let mut compile = Command::new(self.client.join("node_modules/.bin/tsc"));
        compile.args(["--strict", "--target", "es2022", "--module", "nodenext"]);
        compile.args(["--noUnusedLocals", "--skipLibCheck", "caller.ts"]);
        done(compile.current_dir(folder)).await.unwrap();
    }
}

fn put(folder: &Path, files: [(&str, &str); 2]) {
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// Runs a command to its end. Returns what it printed, or all that it said if it failed.
pub(super) async fn done(command: &mut Command) -> Result<String, String> {
    let ran = command.kill_on_drop(true).output().await;
    let ran = ran.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match ran.status.success() {
        true => Ok(text(&ran.stdout)),
        false => Err(format!("{}{}", text(&ran.stdout), text(&ran.stderr))),
    }
}

/// A place of this build's.
pub(super) fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn client(language: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.join("../clients").join(language)
}

/// What a language needs; says why nothing is tested without it.
#[expect(
    clippy::print_stderr,
    reason = "as other tests say that they are skipped"
)]
fn or_skipped(language: &str, brought: Result<Runner, String>) -> Option<Runner> {
    brought
        .inspect_err(|why| eprintln!("skipped: nothing runs {language} here: {why}"))
        .ok()
}

/// A Python that has all that its client, and the tests of it, need.
pub(super) async fn python() -> Option<Runner> {
    let bring = || async { or_skipped("Python", bounded(bring_python()).await) };
    PYTHON.get_or_init(bring).await.clone()
}

/// A Node.js, and a folder in which it finds the compiled client and all that it needs.
pub(super) async fn node() -> Option<Runner> {
    let bring = || async { or_skipped("Node.js", bounded(bring_node()).await) };
    NODE.get_or_init(bring).await.clone()
}

async fn bring_node() -> Result<Runner, String> {
    let check = "process.exit(Number(process.versions.node.split('.')[0]) < 20 ? 1 : 0)";
    done(Command::new("node").args(["-e", check])).await?;
    let (from, folder) = (client("typescript"), place("typescript"));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let stamp = folder.join("stamp");
    let lock = fs::read_to_string(from.join("package-lock.json"));
    let wanted = lock.map_err(|error| error.to_string())?;
    for part in [
        "README.md",
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "src",
        "scripts",
        "tests",
        "examples",
    ] {
        copy(&from.join(part), &folder.join(part)).map_err(|error| error.to_string())?;
    }
    if fs::read_to_string(&stamp).unwrap_or_default() != wanted {
        let mut install = Command::new("npm");
        install.args([
            "ci",
            "--ignore-scripts",
            "--silent",
            "--no-audit",
            "--no-fund",
        ]);
        done(install.current_dir(&folder)).await?;
        fs::write(&stamp, wanted).map_err(|error| error.to_string())?;
    }
    for project in [
        "tsconfig.json",
        "tests/tsconfig.json",
        "examples/tsconfig.json",
    ] {
        let mut compile = Command::new(folder.join("node_modules/.bin/tsc"));
        done(compile.args(["-p", project]).current_dir(&folder)).await?;
    }
    Ok(Runner {
        program: "node".into(),
        client: folder,
        programs: "dist-tests",
        ending: "js",
    })
}

/// Copies a file, or a folder with all that is in it.
pub(super) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.is_file() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

async fn bring_python() -> Result<Runner, String> {
    let check = "import sys; assert sys.version_info >= (3, 11), sys.version";
    done(Command::new("python3").args(["-c", check])).await?;
    let (folder, client) = (place("python"), client("python"));
    let (lock, stamp) = (client.join("requirements.lock"), folder.join("stamp"));
    let wanted = fs::read_to_string(&lock).map_err(|error| error.to_string())?;
    let program = folder.join("bin/python");
    if fs::read_to_string(&stamp).unwrap_or_default() != wanted {
        let mut make = Command::new("python3");
        done(make.args(["-m", "venv", "--clear"]).arg(&folder)).await?;
        let mut install = Command::new(&program);
        install.args(["-m", "pip", "install", "--quiet", "--require-hashes", "-r"]);
        done(install.arg(&lock)).await?;
        fs::write(&stamp, wanted).map_err(|error| error.to_string())?;
    }
    Ok(Runner {
        program,
        client,
        programs: "tests",
        ending: "py",
    })
}
