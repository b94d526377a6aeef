//! A look at the health of a service, by HTTP.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// The gateway answers within this.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// The address under which a program that listens on this one is called: "any" is this machine.
pub(super) fn callable(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    SocketAddr::new(host, address.port())
}

/// `true` if somebody listens there.
pub(super) fn is_taken(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&callable(address), ANSWERS_WITHIN).is_ok()
}

/// The status of the answer to a request.
///
/// # Errors
/// There is no answer of HTTP.
pub(super) fn status(address: SocketAddr, path: &str) -> io::Result<u16> {
    let address = callable(address);
    let mut stream = TcpStream::connect_timeout(&address, ANSWERS_WITHIN)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    stream.set_write_timeout(Some(ANSWERS_WITHIN))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let version = words.next().filter(|word| word.starts_with("HTTP/1."));
    let status = version.and(words.next()).and_then(|word| word.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    fn answered(answer: &'static str) -> io::Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answering = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut request = String::new();
            while stream.read_line(&mut request).unwrap() > 2 {}
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            request
        });
        let status = status(address, "/health");
        let request = answering.join().unwrap();
        assert!(request.starts_with("GET /health HTTP/1.1\r\nHost: 127.0.0.1:"));
        assert!(request.ends_with("\r\n\r\n"));
        status
    }

    #[test]
    fn a_status_is_read() {
        let well = answered("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(well.unwrap(), 200);
        assert_eq!(answered("HTTP/1.1 503 Away\r\n\r\n").unwrap(), 503);
        assert!(answered("SSH-2.0-OpenSSH\r\n").is_err());
        assert!(answered("").is_err());
    }

    #[test]
    fn any_address_is_called_on_this_machine() {
        for (address, called) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(callable(address).to_string(), called);
        }
    }
}
