//! Where the programs of servers are, and how they are run from there.

use super::{
    ServerError,
    account::Account,
    process::finished,
    program::{program, versions},
};
use std::{
    env, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Where a tree has its programs.
const DIRECTORIES: [&str; 2] = ["/usr/sbin", "/usr/bin"];

/// Becomes a program that sees the tree's `/usr` in place of the machine's. Nobody else does: the
/// mount belongs to this process and its descendants, and is gone with them.
const ENTER: &str = r#"mount --bind "$0/usr" /usr && exec "$@""#;

/// Where the programs of servers are: on this machine, or in a tree, a directory with the files of
/// another Debian release, as `debootstrap` makes it.
///
/// A program of a tree runs on this machine with nothing but another `/usr`: files have the same
/// paths, ports and process ids are the machine's, and signals reach it. It takes root, and a
/// machine whose programs are all in `/usr`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installation {
    tree: Option<PathBuf>,
    store: Option<Store>,
}

/// A program that answers as Redis does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

impl Store {
    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let mut all = [Self::Redis, Self::Valkey].into_iter();
        all.find(|store| store.name() == name)
    }
}

impl Installation {
    /// The variable that names a tree, for programs that start servers of their own.
    pub const TREE: &str = "SERVERS_TREE";
    /// The variable that names the store: `redis` or `valkey`; without it the first that is there.
    pub const STORE: &str = "SERVERS_STORE";

    /// The programs of a tree.
    #[must_use]
    pub fn tree(tree: PathBuf) -> Self {
        Self {
            tree: Some(tree),
            store: None,
        }
    }

    /// Takes this store, and no other.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// What the variables [`TREE`](Self::TREE) and [`STORE`](Self::STORE) say; without them what is
    /// on this machine.
    ///
    /// # Errors
    /// There is no such store.
    pub fn chosen() -> Result<Self, ServerError> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let store = set(Self::STORE).map(|name| {
            let store = name.to_str().and_then(Store::named);
            store.ok_or(ServerError::Setting {
                variable: Self::STORE,
                allowed: "redis or valkey",
            })
        });
        Ok(Self {
            tree: set(Self::TREE).map(PathBuf::from),
            store: store.transpose()?,
        })
    }

    /// The variables by which [`chosen`](Self::chosen) finds this again.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let tree = self.tree.as_ref();
        let tree = tree.map(|tree| (Self::TREE, tree.display().to_string()));
        let store = self
            .store
            .map(|store| (Self::STORE, store.name().to_owned()));
        tree.into_iter().chain(store).collect()
    }

    /// Runs a program that does nothing. Blocks.
    ///
    /// # Errors
    /// Programs can't be run from there. It says why.
    pub fn check(&self) -> Result<(), ServerError> {
        finished("unshare", self.command(Path::new("/usr/bin/true"))).map(drop)
    }

    /// The store that is to be taken.
    pub(super) fn chosen_store(&self) -> Option<Store> {
        self.store
    }

    /// The first of these programs that is there, by the path that [`command`](Self::command)
    /// takes.
    pub(super) fn program<P: AsRef<Path>>(
        &self,
        server: &'static str,
        candidates: &[P],
    ) -> Result<PathBuf, ServerError> {
        if self.tree.is_none() {
            return program(server, candidates);
        }
        let of_tree: Vec<_> = candidates
            .iter()
            .map(AsRef::as_ref)
            .flat_map(|candidate| match candidate.is_absolute() {
                true => vec![self.outside(candidate)],
                false => DIRECTORIES
                    .map(|directory| self.outside(&Path::new(directory).join(candidate)))
                    .into(),
            })
            .collect();
        Ok(self.inside(&program(server, &of_tree)?))
    }

    /// As the function of this name, in this installation.
    pub(super) fn versions(&self, parent: &Path, prefix: &str, program: &str) -> Vec<PathBuf> {
        let found = versions(&self.outside(parent), prefix, program);
        found.iter().map(|path| self.inside(path)).collect()
    }

    /// The program that a link leads to.
    pub(super) fn resolved(&self, program: &Path) -> io::Result<PathBuf> {
        let file = self.outside(program).canonicalize()?;
        match &self.tree {
            Some(tree) => {
                let tree = tree.canonicalize()?;
                Ok(below(&file, &tree))
            }
            None => Ok(file),
        }
    }

    /// A command that becomes the program.
    pub(super) fn command(&self, program: &Path) -> Command {
        self.command_as(None, program)
    }

    /// A command that becomes the program, as another account if one is named.
    pub(super) fn command_as(&self, account: Option<Account>, program: &Path) -> Command {
        let Some(tree) = &self.tree else {
            let mut command = Command::new(program);
            if let Some(Account { user, group }) = account {
                command.uid(user).gid(group);
            }
            return command;
        };
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", ENTER])
            .arg(tree)
            // What the machine has elsewhere does not go with the libraries of the tree.
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env_remove("LD_LIBRARY_PATH")
            .env_remove("LD_PRELOAD");
        if let Some(Account { user, group }) = account {
            command
                .arg("setpriv")
                .args(["--reuid", &user.to_string(), "--regid", &group.to_string()])
                .arg("--clear-groups");
        }
        command.arg(program);
        command
    }

    /// The path of a file of this installation, as the machine sees it.
    pub(super) fn outside(&self, path: &Path) -> PathBuf {
        match &self.tree {
            Some(tree) => tree.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// The path of a file of this installation, as its programs see it.
    fn inside(&self, path: &Path) -> PathBuf {
        match &self.tree {
            Some(tree) => below(path, tree),
            None => path.to_owned(),
        }
    }
}

/// A path in a directory, as if that were the root.
/// The first number of a version.
pub(super) fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn below(path: &Path, directory: &Path) -> PathBuf {
    Path::new("/").join(path.strip_prefix(directory).unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn programs_of_a_tree_are_found_by_their_paths_inside() {
        let tree = env::temp_dir().join(format!("installation-{}", std::process::id()));
        let _ = fs::remove_dir_all(&tree);
        for directory in ["usr/bin", "usr/lib/pg/9/bin", "usr/lib/pg/17/bin"] {
            fs::create_dir_all(tree.join(directory)).unwrap();
        }
        for file in ["usr/lib/pg/9/bin/initdb", "usr/lib/pg/17/bin/initdb"] {
            fs::write(tree.join(file), "").unwrap();
        }
        symlink("../lib/pg/17/bin/initdb", tree.join("usr/bin/initdb")).unwrap();
        let installation = Installation::tree(tree.clone());
        let newest = Path::new("/usr/lib/pg/17/bin/initdb");
        let versions = installation.versions(Path::new("/usr/lib/pg"), "", "bin/initdb");
        assert_eq!(versions[0], newest);
        let found = installation.program("a server", &["initdb"]).unwrap();
        assert_eq!(found, Path::new("/usr/bin/initdb"));
        assert_eq!(installation.resolved(&found).unwrap(), newest);
        // The machine has it, and the tree has not.
        let missing = installation.program("a server", &["sh", "/bin/sh"]);
        let missing = missing.unwrap_err();
        assert!(missing.is_absence());
        assert!(missing.to_string().contains(tree.to_str().unwrap()));
        fs::remove_dir_all(tree).unwrap();
    }

    #[test]
    fn the_choice_is_passed_on_by_variables() {
        let none = Installation::default();
        assert!(none.variables().is_empty());
        let chosen = Installation::tree("/tree".into()).store(Store::Valkey);
        assert_eq!(
            chosen.variables(),
            [
                (Installation::TREE, "/tree".to_owned()),
                (Installation::STORE, "valkey".to_owned())
            ]
        );
    }

    #[test]
    fn a_program_of_the_machine_is_run_as_it_is() {
        let command = Installation::default().command(Path::new("/usr/bin/true"));
        assert_eq!(command.get_program(), "/usr/bin/true");
        assert!(Installation::default().check().is_ok());
        let none = Installation::tree("/no/such/tree".into());
        assert!(none.check().is_err());
    }
}
