//! A look at a server, in its own protocol. The reasons never hold a password.

mod amqp;
mod nats;
mod postgres;
mod redis;

use crate::services::Server;
use percent_encoding::percent_decode_str;
use std::{
    io,
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};
use url::Url;

/// A server accepts a connection, and answers a question, within this.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Checks that a server accepts connections at this address, and whoever the address names.
///
/// # Errors
/// It does not. The reason goes after the server's name: "refuses the login".
pub(crate) fn check(server: Server, address: &str) -> Result<(), String> {
    let address = Address::parse(server, address)?;
    match server {
        Server::RabbitMq => amqp::check(&address),
        Server::Redis => redis::check(&address),
        Server::Postgres => postgres::check(&address),
        Server::Nats => nats::check(&address),
    }
}

/// An address, with its parts decoded.
struct Address {
    text: String,
    scheme: String,
    user: String,
    password: Option<String>,
    host: String,
    port: u16,
    /// Without its first slash.
    path: String,
}

impl Address {
    fn parse(server: Server, text: &str) -> Result<Self, String> {
        let schemes = match server {
            Server::RabbitMq => [("amqp", 5672), ("amqps", 5671)],
            Server::Redis => [("redis", 6379), ("rediss", 6379)],
            Server::Postgres => [("postgres", 5432), ("postgresql", 5432)],
            Server::Nats => [("nats", 4222), ("tls", 4222)],
        };
        let [(usual, _), _] = schemes;
        let wrong = || format!("is not an address that begins with {usual}://");
        let url = Url::parse(text).map_err(|_| wrong())?;
        let known = schemes.iter().find(|(scheme, _)| *scheme == url.scheme());
        let (scheme, port) = known.ok_or_else(wrong)?;
        let host = url.host_str().unwrap_or_default();
        Ok(Self {
            text: text.to_owned(),
            scheme: (*scheme).to_owned(),
            user: decoded(url.username()),
            password: url.password().map(decoded),
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(*port),
            path: decoded(url.path().strip_prefix('/').unwrap_or_default()),
        })
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let connect = || {
            let mut refused = io::Error::from(io::ErrorKind::NotFound);
            for address in (self.host.as_str(), self.port).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, ANSWERS_WITHIN) {
                    Ok(stream) => {
                        stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
                        stream.set_write_timeout(Some(ANSWERS_WITHIN))?;
                        return Ok(stream);
                    }
                    Err(error) => refused = error,
                }
            }
            Err(refused)
        };
        connect().map_err(|_: io::Error| "does not accept connections".to_owned())
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// An AMQP address with user, password and virtual host written out, as replybus wants them.
pub(crate) fn complete_amqp_url(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return text.to_owned();
    };
    // What can't have them is no address of a server, and left as it is.
    if url.username().is_empty() {
        let _ = url.set_username("guest");
    }
    if url.password().is_none() {
        let _ = url.set_password(Some("guest"));
    }
    if matches!(url.path(), "" | "/") {
        url.set_path("/%2f");
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    /// A server that hears and says this in turn, and then closes. `{}` in an address is its port.
    pub(super) fn check_against(
        server: Server,
        address: &str,
        script: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let playing = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(ANSWERS_WITHIN)).unwrap();
            for (heard, said) in script {
                let mut hearing = vec![0; heard.len()];
                stream.read_exact(&mut hearing).unwrap();
                assert_eq!(
                    String::from_utf8_lossy(&hearing),
                    String::from_utf8_lossy(&heard)
                );
                stream.write_all(&said).unwrap();
            }
        });
        let checked = check(server, &address.replace("{}", &port.to_string()));
        playing.join().unwrap();
        checked
    }

    #[test]
    fn an_address_is_completed() {
        for (given, completed) in [
            ("amqp://host", "amqp://guest:guest@host/%2f"),
            ("amqp://host:1/", "amqp://guest:guest@host:1/%2f"),
            ("amqp://me@host/v", "amqp://me:guest@host/v"),
            (
                "amqp://me:p%40ss@[::1]:5/v?heartbeat=3",
                "amqp://me:p%40ss@[::1]:5/v?heartbeat=3",
            ),
            (
                "amqps://host?heartbeat=3",
                "amqps://guest:guest@host/%2f?heartbeat=3",
            ),
        ] {
            assert_eq!(complete_amqp_url(given), completed);
        }
    }

    #[test]
    fn an_address_is_taken_apart_and_decoded() {
        let text = "amqp://us%65r:p%3Ass@[::1]:5/%2f?a=b";
        let address = Address::parse(Server::RabbitMq, text).unwrap();
        assert_eq!(address.user, "user");
        assert_eq!(address.password.as_deref(), Some("p:ss"));
        assert_eq!((address.host.as_str(), address.port), ("::1", 5));
        assert_eq!(address.path, "/");
        let bare = Address::parse(Server::Redis, "redis://host").unwrap();
        assert_eq!((bare.port, bare.path.as_str()), (6379, ""));
    }

    #[test]
    fn what_is_no_address_or_nowhere_is_told_without_its_password() {
        for server in Server::NEEDED.into_iter().chain([Server::Nats]) {
            let wrong = check(server, "http://user:hunter2@localhost").unwrap_err();
            assert!(wrong.starts_with("is not an address"), "{wrong}");
            let (listener, port) = {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                (listener, port)
            };
            drop(listener);
            let nobody = server.local_url(port);
            assert_eq!(
                check(server, &nobody),
                Err("does not accept connections".to_owned())
            );
        }
    }
}
