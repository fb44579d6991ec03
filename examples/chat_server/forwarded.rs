//! Where a request comes from, when proxies stand in between.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The address of the client: that of the peer, unless it is a trusted proxy.
///
/// Each hop appends the address that it saw, so the list is read from its end, and the first
/// address that is no trusted proxy is the client's. What stands before it, anybody may have
/// written.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut client = peer.to_canonical();
    let hops = headers.get_all("x-forwarded-for").iter().rev();
    // A header that cannot be read is a hop that cannot be named.
    let mut hops = hops.flat_map(|header| header.to_str().unwrap_or("?").rsplit(','));
    while is_trusted(client) {
        let Some(Ok(hop)) = hops.next().map(|hop| hop.trim().parse::<IpAddr>()) else { break };
        client = hop.to_canonical();
    }
    client
}
