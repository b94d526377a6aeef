//! The address of a Redis deployment, read from a URL; what would not do what it says is refused.
//!
//! Nothing of a URL is ever repeated in an error: an unescaped `/` or `#` in a password moves the
//! rest of it into the path or the fragment.

use percent_encoding::percent_decode_str;
use replybus::SetupError;
use std::fmt;
use url::{Host, Url};

const DEFAULT_PORT: u16 = 6379;
const DEFAULT_SENTINEL_PORT: u16 = 26379;
/// Nodes named in one address; the rest of a cluster is found through them.
const NODES_MAX: usize = 64;

/// A checked address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) topology: Topology,
    /// Servers, cluster nodes or Sentinels; never empty.
    pub(crate) nodes: Vec<(String, u16)>,
    pub(crate) tls: bool,
    pub(crate) credentials: Credentials,
    pub(crate) database: i64,
}

/// The way the servers belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topology {
    Single,
    Cluster,
    Sentinel {
        master: String,
        /// Those that the Sentinels themselves ask for.
        credentials: Credentials,
    },
}

impl Topology {
    /// Sentinels of which nothing else is known yet.
    const SENTINEL: Self = Self::Sentinel {
        master: String::new(),
        credentials: Credentials {
            username: None,
            password: None,
        },
    };
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "<hidden>"))
            .finish()
    }
}

impl Target {
    /// The address that a URL of any form names.
    pub(crate) fn parse(url: &str) -> Result<Self, SetupError> {
        Self::of_url(url)
            .and_then(Self::checked)
            .map_err(|reason| SetupError::setting("Redis URL", reason))
    }

    /// Hosts and ports, without credentials.
    pub(crate) fn address(&self) -> String {
        let nodes: Vec<String> = self
            .nodes
            .iter()
            .map(|(host, port)| match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            })
            .collect();
        nodes.join(",")
    }

    fn of_url(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or("is no URL; expected redis://host:port/database, or rediss:// for TLS")?;
        let (base, topology) = match scheme {
            "redis" | "rediss" => (scheme, Topology::Single),
            "redis+cluster" => ("redis", Topology::Cluster),
            "rediss+cluster" => ("rediss", Topology::Cluster),
            "redis+sentinel" => ("redis", Topology::SENTINEL),
            "rediss+sentinel" => ("rediss", Topology::SENTINEL),
            _ => {
                return Err(
                    "has an unknown scheme; known are redis, rediss, redis+cluster, \
                     rediss+cluster, redis+sentinel and rediss+sentinel",
                );
            }
        };
        let authority_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_ends);
        let (userinfo, hosts) = match authority.rsplit_once('@') {
            Some((userinfo, hosts)) => (format!("{userinfo}@"), hosts),
            None => (String::new(), authority),
        };
        // Each host becomes a URL of its own, for a parser that knows of one host only.
        let mut nodes = hosts.split(',').map(|host| {
            let url = format!("{base}://{userinfo}{host}{tail}");
            Self::of_node(&url, topology.clone())
        });
        let mut target = nodes.next().ok_or("names no server")??;
        for node in nodes {
            target.nodes.extend(node?.nodes);
        }
        Ok(target)
    }

    fn of_node(url: &str, mut topology: Topology) -> Result<Self, &'static str> {
        let url = Url::parse(url).map_err(
            |_| "does not parse; in user and password, / ? # @ : and % must be percent-encoded",
        )?;
        let tls = url.scheme() == "rediss";
        if url.fragment().is_some() {
            return Err(
                "has a fragment; #insecure would switch certificate checks off, and in a \
                 password # must be written %23",
            );
        }
        let host = match url.host().filter(|host| host != &Host::Domain("")) {
            Some(Host::Domain(name)) => percent_decoded(name)?,
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err("names no host"),
        };
        read_options(&url, &mut topology)?;
        let port = url.port().unwrap_or(match topology {
            Topology::Sentinel { .. } => DEFAULT_SENTINEL_PORT,
            _ => DEFAULT_PORT,
        });
        Ok(Self {
            topology,
            nodes: vec![(host, port)],
            tls,
            credentials: Credentials {
                username: Some(percent_decoded(url.username())?).filter(|name| !name.is_empty()),
                password: url.password().map(percent_decoded).transpose()?,
            },
            database: database(url.path())?,
        })
    }

    /// Checks that hold for every form.
    fn checked(self) -> Result<Self, &'static str> {
        let several = self.nodes.len() > 1;
        if self.nodes.len() > NODES_MAX {
            return Err("names more than 64 servers; a few suffice to find the rest");
        }
        if self
            .nodes
            .iter()
            .any(|(host, port)| *port == 0 || host == "0.0.0.0" || host == "::")
        {
            return Err("has port 0 or a wildcard host, which nobody can connect to");
        }
        if self.tls && cfg!(not(feature = "tls")) {
            return Err("asks for TLS; switch on the feature `tls` of replybus-redis");
        }
        match &self.topology {
            Topology::Single if several => {
                Err("names several servers; use redis+cluster:// or redis+sentinel://")
            }
            Topology::Single => Ok(self),
            Topology::Cluster if cfg!(not(feature = "cluster")) => {
                Err("names a Redis Cluster; switch on the feature `cluster` of replybus-redis")
            }
            Topology::Cluster if self.database != 0 => {
                Err("names a database; Redis Cluster has only database 0")
            }
            Topology::Cluster => Ok(self),
            Topology::Sentinel { .. } if cfg!(not(feature = "sentinel")) => {
                Err("names Sentinels; switch on the feature `sentinel` of replybus-redis")
            }
            Topology::Sentinel { master, .. } if master.is_empty() => {
                Err("does not say which master the Sentinels watch; add ?master=name")
            }
            Topology::Sentinel { .. } => Ok(self),
        }
    }
}

fn read_options(url: &Url, topology: &mut Topology) -> Result<(), &'static str> {
    for (name, value) in url.query_pairs() {
        match (&mut *topology, name.as_ref()) {
            (Topology::Sentinel { master, .. }, "master") => *master = value.into_owned(),
            (Topology::Sentinel { credentials, .. }, "sentinel_username") => {
                credentials.username = Some(value.into_owned());
            }
            (Topology::Sentinel { credentials, .. }, "sentinel_password") => {
                credentials.password = Some(value.into_owned());
            }
            (Topology::Sentinel { .. }, _) => {
                return Err(
                    "has an unknown option; known are master, sentinel_username and \
                     sentinel_password",
                );
            }
            _ => return Err("has options after `?`, of which none are known for this scheme"),
        }
    }
    Ok(())
}

fn database(path: &str) -> Result<i64, &'static str> {
    match path.strip_prefix('/').unwrap_or(path) {
        "" => Ok(0),
        // Up to four digits: no sign, no blank, and far more databases than anybody has.
        digits if digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| DATABASE)
        }
        _ => Err(DATABASE),
    }
}

const DATABASE: &str = "has a path that is no database number; expected /0, or nothing";

fn percent_decoded(text: &str) -> Result<String, &'static str> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| "is not UTF-8 once percent-decoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, SetupError> {
        Target::parse(url)
    }

    #[test]
    fn reads_addresses() {
        for (url, address, user, password, database) in [
            ("redis://localhost", "localhost:6379", None, None, 0),
            ("redis://10.0.0.1:7000/3", "10.0.0.1:7000", None, None, 3),
            ("redis://[::1]:7000/", "[::1]:7000", None, None, 0),
            ("redis://:s%40cret@h", "h:6379", None, Some("s@cret"), 0),
            (
                "redis://me:a%2Fb%23@h/15",
                "h:6379",
                Some("me"),
                Some("a/b#"),
                15,
            ),
        ] {
            let target = parse(url).unwrap();
            assert_eq!(target.topology, Topology::Single);
            assert_eq!(target.address(), address);
            assert_eq!(target.credentials.username.as_deref(), user);
            assert_eq!(target.credentials.password.as_deref(), password);
            assert_eq!(target.database, database);
        }
    }

    #[test]
    fn refuses_what_makes_no_sense_and_repeats_none_of_it() {
        for (url, hint) in [
            ("", "no URL"),
            ("hunter2", "no URL"),
            ("amqp://u:hunter2@h", "unknown scheme"),
            ("unix:///hunter2", "unknown scheme"),
            ("redis://", "no host"),
            ("redis://u:hunter2@", "parse"),
            ("redis://u:hunter2@h:99999", "does not parse"),
            ("redis://u:hun/ter2@h", "parse"),
            ("redis://u:hunter2#@h", "parse"),
            ("redis://h/hunter2", "no database number"),
            ("redis://h/-1", "no database number"),
            ("redis://h/0/hunter2", "no database number"),
            ("redis://u:hunter2@h#insecure", "#insecure"),
            ("rediss://u:hunter2@h#insecure", "#insecure"),
            ("redis://h?hunter2=1", "options"),
            ("redis://h?protocol=resp3", "options"),
            ("redis://a:1,b:2", "several"),
            ("redis://0.0.0.0", "wildcard"),
            ("redis://[::]", "wildcard"),
            ("redis://h:0", "port 0"),
        ] {
            let refused = match parse(url) {
                Err(refused) => refused.to_string(),
                Ok(_) => panic!("{url} was accepted"),
            };
            assert!(refused.contains(hint), "{url}: {refused}");
            assert!(
                !refused.contains("hunter2") && !refused.contains("ter2"),
                "{refused}"
            );
        }
    }

    #[test]
    fn absent_features_are_named() {
        for (url, feature, present) in [
            ("rediss://h", "tls", cfg!(feature = "tls")),
            ("redis+cluster://h", "cluster", cfg!(feature = "cluster")),
            (
                "redis+sentinel://h?master=m",
                "sentinel",
                cfg!(feature = "sentinel"),
            ),
        ] {
            match parse(url) {
                Ok(_) => assert!(present, "{url}"),
                Err(refused) => {
                    assert!(!present, "{url}: {refused}");
                    assert!(
                        refused
                            .to_string()
                            .contains(&format!("feature `{feature}`"))
                    );
                }
            }
        }
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn reads_clusters() {
        let target = parse("redis+cluster://:pw@a:7000,b,c:7002").unwrap();
        assert_eq!(target.topology, Topology::Cluster);
        assert_eq!(target.address(), "a:7000,b:6379,c:7002");
        assert_eq!(target.credentials.password.as_deref(), Some("pw"));
        for wrong in [
            "redis+cluster://a/1",
            "redis+cluster://",
            "redis+cluster://a,",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[cfg(feature = "sentinel")]
    #[test]
    fn reads_sentinels() {
        let target = parse("redis+sentinel://a,b:7001/2?master=bank").unwrap();
        assert_eq!(target.address(), "a:26379,b:7001");
        assert_eq!(target.database, 2);
        let Topology::Sentinel { master, .. } = target.topology else {
            panic!("not a Sentinel")
        };
        assert_eq!(master, "bank");

        let own = parse("redis+sentinel://a?master=m&sentinel_password=p%40").unwrap();
        let Topology::Sentinel { credentials, .. } = own.topology else {
            panic!("not a Sentinel")
        };
        assert_eq!(credentials.password.as_deref(), Some("p@"));
        assert!(parse("redis+sentinel://a").is_err());
        assert!(parse("redis+sentinel://a?master=m&x=1").is_err());
    }
}
