//! Ports that parallel tests do not take from each other.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

/// Where ports are looked for: below the range from which the system picks the local port of a
/// connection. A client that keeps trying a dead server's port inside that range can connect to
/// itself and so keep the server from coming back.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A TCP port on loopback, kept for one server over its restarts.
///
/// The claim is the UDP port of the same number, which these servers have no use for: binding it is
/// atomic, seen by every process, and undone by the system when a process dies.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    _claim: UdpSocket,
}

impl ReservedPort {
    /// Reserves a port.
    ///
    /// # Errors
    /// None is free.
    pub fn new() -> io::Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Processes start apart from each other, so that they seldom try the same ports.
        let start = std::process::id().wrapping_mul(97) % u32::from(COUNT);
        for _ in 0..COUNT {
            let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            let offset = u16::try_from((start + step) % u32::from(COUNT)).unwrap_or(0);
            if let Ok(port) = Self::at(FIRST + offset) {
                return Ok(port);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "no free port between 20000 and 31999",
        ))
    }

    /// Reserves a port and the one 10,000 above it, by which the nodes of a Redis Cluster speak.
    ///
    /// # Errors
    /// No such two are free.
    pub fn pair() -> io::Result<[Self; 2]> {
        for _ in 0..COUNT {
            let port = Self::new()?;
            let upper = port.number().checked_add(10_000);
            let upper = upper.filter(|number| *number < FIRST + COUNT);
            if let Some(Ok(upper)) = upper.map(Self::at) {
                return Ok([port, upper]);
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Reserves this port.
    fn at(number: u16) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
        let claim = UdpSocket::bind(address)?;
        TcpListener::bind(address)?;
        Ok(Self {
            number,
            _claim: claim,
        })
    }

    /// The port's number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port's address on loopback.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_pair_is_10000_apart() {
        let pairs: Vec<_> = (0..10).map(|_| ReservedPort::pair().unwrap()).collect();
        for [lower, upper] in &pairs {
            assert_eq!(lower.number() + 10_000, upper.number());
        }
    }

    #[test]
    fn no_port_is_given_twice() {
        let ports: Vec<_> = (0..100).map(|_| ReservedPort::new().unwrap()).collect();
        let numbers: HashSet<_> = ports.iter().map(ReservedPort::number).collect();
        assert_eq!(numbers.len(), ports.len());
        assert!(numbers.iter().all(|number| *number < 32_768));
    }
}
