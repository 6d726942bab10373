//! Places for connections, requests and streams: so many in all, and so many from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

/// Counts what is open of one kind.
pub(crate) struct Places {
    most: usize,
    most_per_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
    /// All that are taken.
    count: watch::Sender<usize>,
    gauge: Gauge<i64, AtomicI64>,
}

impl Places {
    /// `gauge` shows how many are taken. One address gets half of `most` (and one at least), so that nobody alone can
    /// keep all others out.
    pub(crate) fn new(most: usize, gauge: &Gauge<i64, AtomicI64>) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_per_address: most.div_ceil(2),
            taken: Mutex::default(),
            count: watch::Sender::new(0),
            gauge: gauge.clone(),
        })
    }

    /// A place for `address`; `None` when there is none left.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        // An IPv4 client of an IPv6 socket is the same client.
        let address = address.to_canonical();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = taken.get(&address).copied().unwrap_or_default();
        if *self.count.borrow() >= self.most || of_address >= self.most_per_address {
            return None;
        }
        taken.insert(address, of_address + 1);
        self.count.send_modify(|count| *count += 1);
        self.gauge.inc();
        Some(Place { places: Arc::clone(self), address })
    }

    /// Waits until the last place is given back.
    pub(crate) async fn none_taken(&self) {
        // The sender is `self`: it cannot be gone.
        let _ = self.count.subscribe().wait_for(|&count| count == 0).await;
    }
}

/// One place; given back when it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Place {
    /// Whose it is.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
        self.places.count.send_modify(|count| *count -= 1);
        self.places.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_come_back() {
        let gauge = Gauge::default();
        let places = Places::new(3, &gauge);
        let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let first = places.take(a).unwrap();
        let second = places.take(mapped).unwrap();
        assert_eq!(second.address(), a);
        assert!(places.take(a).is_none(), "two of one address");
        let third = places.take(b).unwrap();
        assert!(places.take(b).is_none(), "three in all");
        assert_eq!(gauge.get(), 3);
        drop(first);
        let again = places.take(a).unwrap();
        drop((second, third, again));
        assert!(places.taken.lock().unwrap().is_empty());
        assert_eq!(gauge.get(), 0);
    }
}
