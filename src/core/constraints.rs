//! What else must hold when a token is used.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What else must hold when a token is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Constraints {
    /// Where it may be used from; empty means anywhere, since addresses constrain only if listed.
    pub addresses: Vec<IpNet>,
}

impl Constraints {
    /// Only from these networks.
    #[must_use]
    pub const fn from_addresses(addresses: Vec<IpNet>) -> Self {
        Self { addresses }
    }

    /// Whether a use from this address is within them. An unknown address is not, where any are
    /// listed; an IPv4 address written as IPv6 is the IPv4 address.
    #[inline]
    #[must_use]
    pub fn admit(&self, address: Option<IpAddr>) -> bool {
        self.addresses.is_empty()
            || address.is_some_and(|address| {
                let address = address.to_canonical();
                self.addresses.iter().any(|network| network.contains(&address))
            })
    }

    /// Whether everything that `narrower` admits is admitted here too.
    #[must_use]
    pub fn cover(&self, narrower: &Self) -> bool {
        self.addresses.is_empty()
            || (!narrower.addresses.is_empty()
                && narrower
                    .addresses
                    .iter()
                    .all(|inner| self.addresses.iter().any(|outer| outer.contains(inner))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(networks: &[&str]) -> Constraints {
        Constraints::from_addresses(networks.iter().map(|n| n.parse().unwrap()).collect())
    }

    #[test]
    fn an_unknown_address_is_outside_every_list() {
        assert!(Constraints::default().admit(None));
        assert!(!only(&["0.0.0.0/0", "::/0"]).admit(None));
    }

    #[test]
    fn an_ipv4_address_written_as_ipv6_is_the_ipv4_address() {
        let office = only(&["192.0.2.0/24"]);
        assert!(office.admit(Some("192.0.2.7".parse().unwrap())));
        assert!(office.admit(Some("::ffff:192.0.2.7".parse().unwrap())));
        assert!(!office.admit(Some("192.0.3.7".parse().unwrap())));
    }

    #[test]
    fn no_list_is_wider_than_any_list() {
        assert!(Constraints::default().cover(&only(&["192.0.2.0/24"])));
        assert!(only(&["192.0.2.0/24"]).cover(&only(&["192.0.2.128/25"])));
        assert!(!only(&["192.0.2.0/24"]).cover(&Constraints::default()));
        assert!(!only(&["192.0.2.0/24"]).cover(&only(&["192.0.0.0/16"])));
    }
}
