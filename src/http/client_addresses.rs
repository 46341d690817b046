//! The number of open connections of each client address, so that one client can't use up all connections.
//!
//! # Decisions
//!
//! *Connections over the limit are closed, not queued*: they would wait in the place of other clients' connections. They
//! are closed before the TLS handshake, which costs CPU time.
//!
//! *IPv6 addresses are counted by their /64 network*, of which one client can usually use all addresses.
//!
//! *Trusted proxies have no limit*: their connections are those of many clients.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config;
use crate::proxies::Network;

/// The least time between two log lines about closed connections.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The open connections of each client address, of all workers.
#[derive(Debug)]
pub(super) struct ClientAddresses {
    /// `None`: no limit.
    limit: Option<usize>,
    trusted_proxies: Vec<Network>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<IpAddr, usize>,
    logged_at: Option<Instant>,
}

/// An open connection, which counts until it is dropped.
pub(super) struct OpenConnection(Option<(Arc<ClientAddresses>, IpAddr)>);

impl ClientAddresses {
    /// `connections` is the number of connections of all clients; one client gets at most half of them.
    pub(super) fn new(settings: &config::Server, connections: usize) -> Self {
        let limit = Some(settings.connections_per_address).filter(|limit| *limit > 0);
        Self {
            limit: limit.map(|limit| limit.min(connections / 2).max(1)),
            trusted_proxies: settings.trusted_proxies.clone(),
            state: Mutex::default(),
        }
    }

    /// Counts a connection; `None` if its address has too many already.
    pub(super) fn open(self: &Arc<Self>, peer: IpAddr) -> Option<OpenConnection> {
        let peer = peer.to_canonical();
        let Some(limit) = self.limit.filter(|_| !self.trusted_proxies.iter().any(|proxy| proxy.contains(&peer))) else {
            return Some(OpenConnection(None));
        };
        let client = client(peer);
        let mut state = self.lock();
        let open = state.open.entry(client).or_insert(0);
        if *open < limit {
            *open += 1;
            return Some(OpenConnection(Some((Arc::clone(self), client))));
        }
        let now = Instant::now();
        if state.logged_at.is_none_or(|logged_at| now - logged_at >= LOG_INTERVAL) {
            state.logged_at = Some(now);
            tracing::warn!(
                address = %client,
                limit,
                "connection closed: too many open connections from one client address; see \
                 `server.connections_per_address`"
            );
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let Some((addresses, client)) = &self.0 else { return };
        let mut state = addresses.lock();
        if let Some(open) = state.open.get_mut(client) {
            *open -= 1;
            if *open == 0 {
                state.open.remove(client);
            }
        }
    }
}

/// The address, or the first address of its /64 network.
fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(limit: usize, connections: usize) -> Arc<ClientAddresses> {
        let mut settings = config::Config::built_in().unwrap().server;
        settings.connections_per_address = limit;
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        Arc::new(ClientAddresses::new(&settings, connections))
    }

    #[test]
    fn an_ipv6_client_is_its_network_and_an_ipv4_mapped_address_is_ipv4() {
        let addresses = addresses(1, 100);
        let open = |address: &str| addresses.open(address.parse().unwrap());
        let held = [open("2001:db8::1"), open("2001:db8:0:1::1"), open("192.0.2.1"), open("192.0.2.2")];
        assert!(held.iter().all(Option::is_some));
        for full in ["2001:db8::2", "2001:db8:0:1:ffff::", "::ffff:192.0.2.1"] {
            assert!(open(full).is_none(), "{full}");
        }
        drop(held);
        assert!(open("2001:db8::2").is_some());
        assert!(addresses.lock().open.is_empty());
    }

    #[test]
    fn one_client_gets_at_most_half_of_all_connections_and_a_proxy_any_number() {
        for (limit, connections, expected) in [(5, 100, 5), (60, 100, 50), (1, 1, 1), (0, 4, 70)] {
            let addresses = addresses(limit, connections);
            let open = |address: &str| {
                let all: Vec<_> = (0..70).map_while(|_| addresses.open(address.parse().unwrap())).collect();
                all.len()
            };
            assert_eq!((open("192.0.2.1"), open("10.1.2.3")), (expected, 70), "{limit} of {connections}");
        }
    }
}
