//! The paths that are compared.

mod amqp;
pub mod direct_reply_to;
pub mod raw;
mod redis_connection;
mod waiters;

use crate::path::Path;
use anyhow::{Context, Result};

/// Every path there is; the first is what the others are compared with.
#[must_use]
pub fn all() -> Vec<Box<dyn Path>> {
    vec![Box::new(raw::Raw), Box::new(direct_reply_to::DirectReplyTo)]
}

/// The named paths behind the first one, or all if none is named.
///
/// # Errors
/// There is no path of that name.
pub fn chosen(names: &[String]) -> Result<Vec<Box<dyn Path>>> {
    for name in names {
        named(name)?;
    }
    let mut paths = all();
    if !names.is_empty() {
        let first = paths.first().map(|path| path.name());
        paths.retain(|path| {
            Some(path.name()) == first || names.iter().any(|name| name == path.name())
        });
    }
    Ok(paths)
}

/// The path of that name.
///
/// # Errors
/// There is none.
pub fn named(name: &str) -> Result<Box<dyn Path>> {
    let mut paths = all().into_iter();
    paths
        .find(|path| path.name() == name)
        .with_context(|| format!("there is no path {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_path_is_always_measured() {
        let names = |chosen: &[&str]| -> Vec<_> {
            let chosen: Vec<_> = chosen.iter().map(|name| (*name).to_owned()).collect();
            super::chosen(&chosen)
                .unwrap()
                .iter()
                .map(|path| path.name())
                .collect()
        };
        assert_eq!(names(&[]).len(), all().len());
        assert_eq!(names(&["raw"]), ["raw"]);
        assert_eq!(names(&["direct_reply_to"]), ["raw", "direct_reply_to"]);
        assert!(chosen(&["pigeon".to_owned()]).is_err());
    }
}
