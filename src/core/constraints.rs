//! What else must hold when a token is used.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::rate::Rate;

/// What else must hold when a token is used.
// A row with a constraint that is not known here must be refused, and never be read without it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Constraints {
    /// Where it may be used from; empty means anywhere, since addresses constrain only if listed.
    pub addresses: Vec<IpNet>,
    /// How often it may be used on each node, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many uses it is good for in all, if they are counted. Each costs a write to the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<NonZeroU32>,
}

impl Constraints {
    /// Only from these networks.
    #[must_use]
    pub const fn from_addresses(addresses: Vec<IpNet>) -> Self {
        Self { addresses, rate: None, uses: None }
    }

    /// The same, and no more often than this.
    #[must_use]
    pub const fn at_rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// The same, and for so many uses in all.
    #[must_use]
    pub const fn for_uses(mut self, uses: NonZeroU32) -> Self {
        self.uses = Some(uses);
        self
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

    /// Whether all uses are spent, if so many are.
    #[inline]
    #[must_use]
    pub fn are_spent(&self, spent: u32) -> bool {
        self.uses.is_some_and(|uses| spent >= uses.get())
    }

    /// Whether everything that `narrower` admits is admitted here too.
    #[must_use]
    pub fn cover(&self, narrower: &Self) -> bool {
        self.exceeded_by(narrower).is_none()
    }

    /// The first field in which the other constraints admit something that these do not.
    #[must_use]
    pub fn exceeded_by(&self, other: &Self) -> Option<&'static str> {
        let within = |inner: &IpNet| self.addresses.iter().any(|outer| outer.contains(inner));
        let addresses = self.addresses.is_empty()
            || (!other.addresses.is_empty() && other.addresses.iter().all(within));
        let rate = self.rate.is_none_or(|own| other.rate.is_some_and(|rate| rate.is_within(own)));
        let uses = self.uses.is_none_or(|own| other.uses.is_some_and(|uses| uses <= own));
        [("addresses", addresses), ("rate", rate), ("uses", uses)]
            .into_iter()
            .find_map(|(field, is_covered)| (!is_covered).then_some(field))
    }

    /// These, and the others where these say nothing.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        if self.addresses.is_empty() {
            self.addresses.clone_from(&others.addresses);
        }
        self.rate = self.rate.or(others.rate);
        self.uses = self.uses.or(others.uses);
        self
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

    #[test]
    fn no_limit_is_wider_than_any_limit() {
        let hourly = Constraints::default().at_rate(Rate::new(60, 3_600).unwrap());
        let slower = Constraints::default().at_rate(Rate::new(30, 3_600).unwrap());
        let once = Constraints::default().for_uses(NonZeroU32::MIN);
        let twice = Constraints::default().for_uses(NonZeroU32::new(2).unwrap());
        for limited in [&hourly, &once] {
            assert!(Constraints::default().cover(limited));
            assert!(!limited.cover(&Constraints::default()));
        }
        assert!(hourly.cover(&slower) && !slower.cover(&hourly));
        assert!(twice.cover(&once) && !once.cover(&twice));
        assert_eq!(hourly.exceeded_by(&once), Some("rate"));
        assert_eq!(once.exceeded_by(&hourly), Some("uses"));
        assert_eq!(once.exceeded_by(&hourly.or(&once)), None);
    }

    #[test]
    fn uses_are_spent_when_there_were_as_many() {
        let twice = Constraints::default().for_uses(NonZeroU32::new(2).unwrap());
        assert!(!twice.are_spent(1));
        assert!(twice.are_spent(2) && twice.are_spent(3));
        assert!(!Constraints::default().are_spent(u32::MAX));
    }
}
