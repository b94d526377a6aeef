//! The paths that are compared.

pub(crate) mod amqp;
pub mod direct_reply_to;
pub mod framework;
#[cfg(feature = "peers")]
pub mod nats;
pub mod raw;
pub(crate) mod redis_connection;
#[cfg(feature = "peers")]
pub mod tarpc;
#[cfg(feature = "peers")]
pub mod tonic;
#[cfg(feature = "peers")]
mod turns;
mod waiters;

use self::framework::Framework;
use crate::path::{Broker, Path, Site};
use anyhow::{Context, Result};

/// Measured only if it is named: what it shows is a cost of the processor, the same at each load.
const NAMED_ONLY: &str = "replybus_signed";

/// Every path there is; the first is what the others are compared with.
#[must_use]
pub fn all() -> Vec<Box<dyn Path>> {
    vec![
        Box::new(raw::Raw),
        Box::new(Framework::Query),
        Box::new(Framework::Single),
        Box::new(Framework::Signed),
        Box::new(Framework::Command),
        Box::new(direct_reply_to::DirectReplyTo),
        #[cfg(feature = "peers")]
        Box::new(nats::Nats),
        #[cfg(feature = "peers")]
        Box::new(tonic::Tonic),
        #[cfg(feature = "peers")]
        Box::new(tarpc::Tarpc),
    ]
}

/// The named paths behind the first one; if none is named, all but that of signed messages.
///
/// # Errors
/// There is no path of that name.
pub fn chosen(names: &[String]) -> Result<Vec<Box<dyn Path>>> {
    for name in names {
        named(name)?;
    }
    let mut paths = all();
    if names.is_empty() {
        paths.retain(|path| path.name() != NAMED_ONLY);
    } else {
        let first = paths.first().map(|path| path.name());
        paths.retain(|path| {
            Some(path.name()) == first || names.iter().any(|name| name == path.name())
        });
    }
    Ok(paths)
}

/// Leaves out the paths through a server that is not there, and returns their names.
pub fn leave_out(paths: &mut Vec<Box<dyn Path>>, site: &Site) -> Vec<&'static str> {
    let needs = |path: &dyn Path| path.broker() == Some(Broker::Nats) && site.nats_url.is_none();
    let left_out = paths.iter().filter(|path| needs(path.as_ref()));
    let left_out = left_out.map(|path| path.name()).collect();
    paths.retain(|path| !needs(path.as_ref()));
    left_out
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
        let names = |named: &[&str]| -> Vec<_> {
            let named: Vec<_> = named.iter().map(|name| (*name).to_owned()).collect();
            chosen(&named)
                .unwrap()
                .iter()
                .map(|path| path.name())
                .collect()
        };
        assert_eq!(names(&[]).len(), all().len() - 1);
        assert_eq!(names(&[NAMED_ONLY]), ["raw", NAMED_ONLY]);
        assert_eq!(names(&["raw"]), ["raw"]);
        assert_eq!(names(&["direct_reply_to"]), ["raw", "direct_reply_to"]);
        assert!(chosen(&["pigeon".to_owned()]).is_err());
    }

    #[test]
    fn what_has_no_server_is_left_out_by_name() {
        let mut site = Site {
            amqp_url: String::new(),
            redis_url: String::new(),
            nats_url: Some("nats://127.0.0.1".to_owned()),
            run: String::new(),
            handler: crate::handler::Handler(std::time::Duration::ZERO),
            observed: None,
        };
        let mut paths = all();
        assert!(leave_out(&mut paths, &site).is_empty());
        site.nats_url = None;
        let left_out = leave_out(&mut paths, &site);
        assert_eq!(left_out.len() + paths.len(), all().len());
        assert!(left_out.iter().all(|name| *name == "nats"));
    }
}
