//! The contracts that were agreed on, in a file of the repository.

use super::{Change, Contracts, Impact, InvalidContracts};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// With this variable set to `1` a check writes the file instead.
const BLESS: &str = "REPLYBUS_CONTRACTS_BLESS";

/// Contracts that are not those of the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The file can't be read or written.
    #[error("{path}: {BLESS}=1 writes it", path = path.display())]
    #[non_exhaustive]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no document of contracts.
    #[error("{path}: {BLESS}=1 writes it anew", path = path.display())]
    #[non_exhaustive]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why.
        source: InvalidContracts,
    },
    /// Programs with the contracts of the file would fail.
    #[error(
        "these contracts break those of {path}; if that is meant, {BLESS}=1 accepts it:{}",
        listed(changes), path = path.display()
    )]
    #[non_exhaustive]
    Breaking {
        /// The file.
        path: PathBuf,
        /// All changes, the worst first.
        changes: Vec<Change>,
    },
    /// Nothing breaks, and the file does not have it.
    #[error(
        "{path} is not up to date, and nothing breaks; {BLESS}=1 writes it:{}",
        listed(changes), path = path.display()
    )]
    #[non_exhaustive]
    Outdated {
        /// The file.
        path: PathBuf,
        /// All changes.
        changes: Vec<Change>,
    },
}

fn listed(changes: &[Change]) -> String {
    changes
        .iter()
        .map(|change| format!("\n  {change}"))
        .collect()
}

impl Contracts {
    /// Checks that these contracts are those of a file, without their documentation: in a test, by
    /// which a change that breaks callers fails the build. With `REPLYBUS_CONTRACTS_BLESS=1` in the
    /// environment the file is written instead, and the change is seen in its diff.
    ///
    /// ```no_run
    /// use replybus::schema::Contracts;
    /// # use replybus::{Never, queue_handler};
    /// # #[queue_handler("rates.requests")]
    /// # pub trait Rates {
    /// #     #[query]
    /// #     async fn rate(&self, currency: String) -> Result<u64, Never>;
    /// # }
    ///
    /// #[test]
    /// fn the_contracts_are_those_that_callers_have() -> Result<(), Box<dyn std::error::Error>> {
    ///     let contracts = Contracts::builder().service(RatesClient::CONTRACT).build()?;
    ///     contracts.check_lock(concat!(env!("CARGO_MANIFEST_DIR"), "/contracts.lock"))?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// The file is not there, or says something else: what, and whether it breaks anybody.
    pub fn check_lock(&self, path: impl AsRef<Path>) -> Result<(), LockError> {
        let is_blessed = env::var_os(BLESS).is_some_and(|value| value == "1");
        self.hold(path.as_ref(), is_blessed)
    }

    pub(super) fn hold(&self, path: &Path, is_blessed: bool) -> Result<(), LockError> {
        let file = |source| LockError::File {
            path: path.to_owned(),
            source,
        };
        let now = self.clone().without_docs();
        if is_blessed {
            return fs::write(path, now.to_json()).map_err(file);
        }
        let text = fs::read_to_string(path).map_err(file)?;
        let locked = Self::from_json(&text).map_err(|source| LockError::Invalid {
            path: path.to_owned(),
            source,
        })?;
        let locked = locked.without_docs();
        if locked == now {
            return Ok(());
        }
        let path = path.to_owned();
        let changes = now.changes_since(&locked);
        let breaks = changes
            .iter()
            .any(|change| change.impact == Impact::Breaking);
        Err(match breaks {
            true => LockError::Breaking { path, changes },
            false => LockError::Outdated { path, changes },
        })
    }
}
