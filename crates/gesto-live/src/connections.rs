//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::metrics::Metrics;

/// Counts open connections.
pub(crate) struct Connections {
    most: usize,
    most_per_address: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
    /// All open ones together.
    count: watch::Sender<usize>,
    metrics: Arc<Metrics>,
}

impl Connections {
    pub(crate) fn new(most: usize, most_per_address: usize, metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_address,
            open: Mutex::default(),
            count: watch::Sender::new(0),
            metrics: Arc::clone(metrics),
        })
    }

    /// A place for one more connection from `address`; `None` when there is none left.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Arc<Permit>> {
        // An IPv4 client of an IPv6 socket is the same client.
        let address = address.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = open.get(&address).copied().unwrap_or_default();
        if *self.count.borrow() >= self.most || of_address >= self.most_per_address {
            drop(open);
            self.metrics.denied("connections");
            return None;
        }
        open.insert(address, of_address + 1);
        self.count.send_modify(|count| *count += 1);
        self.metrics.connections.inc();
        Some(Arc::new(Permit { connections: Arc::clone(self), address }))
    }
}

impl Connections {
    /// Waits until the last connection is gone.
    pub(crate) async fn none_left(&self) {
        // The sender is `self`: it cannot be gone.
        let _ = self.count.subscribe().wait_for(|&count| count == 0).await;
    }
}

/// A connection's place; given back when the last holder drops it (a WebSocket outlives its HTTP connection).
pub(crate) struct Permit {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
        self.connections.count.send_modify(|count| *count -= 1);
        self.connections.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_come_back() {
        let connections = Connections::new(3, 2, &Arc::new(Metrics::new()));
        let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let first = connections.admit(a).unwrap();
        let second = connections.admit(mapped).unwrap();
        assert!(connections.admit(a).is_none(), "two of one address");
        let third = connections.admit(b).unwrap();
        assert!(connections.admit(b).is_none(), "three in all");
        drop(first);
        let again = connections.admit(a).unwrap();
        drop((second, third, again));
        assert!(connections.open.lock().unwrap().is_empty());
    }
}
