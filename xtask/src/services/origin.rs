//! Whose programs servers are started from: this machine's, or a Debian release's.

use super::tree;
use clap::{Args, ValueEnum};
use replybus_testkit::servers::{Installation, Store};

/// The choice of servers on a command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub(crate) struct Origin {
    /// Takes no server of this machine: those of a Debian release are fetched into target/servers
    /// once, and started from there, private ones of tests as well
    #[arg(id = "release", long = "servers", value_enum, value_name = "RELEASE")]
    release: Option<Release>,
    /// The store of that release; without it Redis
    #[arg(long, value_enum, requires = "release")]
    store: Option<ChosenStore>,
}

/// A Debian release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Release {
    /// Debian 13: RabbitMQ 4.0, Redis 8.0, Valkey 8.1, PostgreSQL 17.
    Trixie,
}

/// A store of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChosenStore {
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

impl From<ChosenStore> for Store {
    fn from(chosen: ChosenStore) -> Self {
        match chosen {
            ChosenStore::Redis => Self::Redis,
            ChosenStore::Valkey => Self::Valkey,
        }
    }
}

impl Release {
    /// Its name, as Debian has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
        }
    }
}

impl Origin {
    /// Every choice there is.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let releases = Release::value_variants().iter().flat_map(|release| {
            let stores = ChosenStore::value_variants().iter().copied().map(Some);
            let release = Some(*release);
            [None]
                .into_iter()
                .chain(stores)
                .map(move |store| Self { release, store })
        });
        [Self::default()].into_iter().chain(releases)
    }

    /// What makes the choice on a command line, behind a space each.
    pub(super) fn arguments(self) -> String {
        let release = self
            .release
            .map(|release| format!(" --servers {}", release.name()));
        let store = self
            .store
            .map(|store| format!(" --store {}", Store::from(store).name()));
        release.into_iter().chain(store).collect()
    }

    /// `true` if a release is to be taken, and nothing of this machine.
    pub(super) fn is_release(self) -> bool {
        self.release.is_some()
    }

    /// What tells its servers from those of another choice, in the name of a directory.
    pub(super) fn suffix(self) -> String {
        let store = self.store.map(|store| Store::from(store).name());
        let words = self.release.map(Release::name).into_iter().chain(store);
        words.map(|word| format!("-{word}")).collect()
    }

    /// Where the programs are.
    pub(super) fn installation(self) -> Installation {
        let Some(release) = self.release else {
            return Installation::default();
        };
        let installation = Installation::tree(tree::of(release));
        match self.store {
            Some(store) => installation.store(store.into()),
            None => installation,
        }
    }

    /// Makes sure that the programs are there and can be run.
    ///
    /// # Errors
    /// The release can't be had or run on this machine. It says why.
    pub(super) fn prepare(self) -> anyhow::Result<()> {
        match self.release {
            Some(release) => tree::prepare(release),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_has_servers_of_its_own() {
        let chosen = |release, store| Origin { release, store };
        let trixie = Some(Release::Trixie);
        assert_eq!(Origin::default().suffix(), "");
        assert_eq!(chosen(trixie, None).suffix(), "-trixie");
        let valkey = chosen(trixie, Some(ChosenStore::Valkey));
        assert_eq!(valkey.suffix(), "-trixie-valkey");
        let variables = valkey.installation().variables();
        let values: Vec<_> = variables.iter().map(|(_, value)| value.as_str()).collect();
        assert!(values[0].ends_with("target/servers/trixie"), "{values:?}");
        assert_eq!(values[1], "valkey");
        assert_eq!(valkey.arguments(), " --servers trixie --store valkey");
        let suffixes: std::collections::BTreeSet<_> = Origin::all().map(Origin::suffix).collect();
        assert_eq!(suffixes.len(), Origin::all().count());
        assert!(Origin::all().any(|origin| origin == valkey));
        assert!(Origin::default().installation().variables().is_empty());
    }
}
