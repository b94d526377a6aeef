//! Networks of addresses, as settings name them.

use std::{net::IpAddr, str::FromStr};

/// An address, or all that begin as it does: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// Not a network of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address is needed, or a network such as 10.0.0.0/8")]
pub struct InvalidNetwork;

impl Network {
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits
            .map_or(Ok(all), str::parse)
            .map_err(|_| InvalidNetwork)?;
        if bits > all {
            return Err(InvalidNetwork);
        }
        Ok(Self { address, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        let contains = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.contains(address.parse().unwrap())
        };
        for (network, address) in [
            ("10.0.0.0/8", "10.255.0.1"),
            ("192.0.2.7", "192.0.2.7"),
            ("0.0.0.0/0", "192.0.2.7"),
            ("fd00::/8", "fdff::1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1"),
        ] {
            assert!(contains(network, address), "{network}: {address}");
        }
        for (network, address) in [
            ("10.0.0.0/8", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.6"),
            ("0.0.0.0/0", "fd00::1"),
        ] {
            assert!(!contains(network, address), "{network}: {address}");
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "here",
            "10.0.0/8",
            "::/129",
        ] {
            assert_eq!(wrong.parse::<Network>(), Err(InvalidNetwork), "{wrong}");
        }
    }
}
