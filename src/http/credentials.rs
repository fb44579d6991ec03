//! What a request presents, and where it comes from.

use std::net::IpAddr;

use crate::service::verified::Verified;

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever reads it must decide about each")]
pub enum Credentials {
    /// Nothing.
    Absent,
    /// A bearer token of somebody else's, for the host's own authentication to read.
    NotOurs,
    /// Well-formed credentials of another scheme, for the host's own authentication to read.
    OtherScheme,
    /// A token of this host that was accepted.
    Token(Verified),
}

/// Where a request comes from, as the host has found it: an extension of the request.
///
/// Without it the layer takes the peer's address from axum's `ConnectInfo<SocketAddr>`, with the
/// `axum` feature. It never reads `Forwarded` or `X-Forwarded-For`: anybody can send those, and
/// only the host knows which of its proxies wrote them. A token that is bound to networks is
/// refused where neither is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is an address")]
pub struct ClientAddress(pub IpAddr);
