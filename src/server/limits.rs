//! How many clients may come, in all and from one address.

use crate::config::check_rules;
use crate::error::Misuse;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many clients a server has at a time. `None` sets no bound.
///
/// # Examples
///
/// ```
/// use wsync::{Server, ServerLimits};
///
/// let mut limits = ServerLimits::default();
/// limits.connections = Some(1000);
/// limits.per_address = Some(20);
/// let server = Server::builder().limits(limits).bind("127.0.0.1:0")?;
/// # Ok::<(), wsync::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Connections, from the moment in which TCP's is accepted until the last of it is gone. Who comes
    /// beyond that is answered with 503, or over TLS not at all. Defaults to 16 000: each has a
    /// thread, and Linux lets a process have that many of them unless it is told otherwise (`vm.max_map_count`).
    pub connections: Option<usize>,
    /// The same for one IP address; of IPv6, for one network of 64 bits. Clients of Unix sockets have none.
    /// Defaults to `None`: all users of a proxy have the same.
    pub per_address: Option<usize>,
    /// Opening handshakes that are under way. When another client comes the oldest is ended with 503, once
    /// it is 100 ms old, so that who opens many and says nothing keeps nobody out. Defaults to 1024.
    pub opening: Option<usize>,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            connections: Some(16_000),
            per_address: None,
            opening: Some(1024),
        }
    }
}

impl ServerLimits {
    pub(super) fn check(&self) -> Result<(), Misuse> {
        check_rules(&[
            (self.connections != Some(0), "a limit of 0 connections"),
            (
                self.per_address != Some(0),
                "a limit of 0 connections per address",
            ),
            (self.opening != Some(0), "a limit of 0 opening handshakes"),
        ])
    }
}

/// The places that connections take.
#[derive(Debug, Default)]
pub(super) struct Places {
    limits: ServerLimits,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Only with a limit for each.
    by_address: HashMap<IpAddr, usize>,
}

/// One place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(limits: ServerLimits) -> Self {
        Places {
            limits,
            taken: Mutex::default(),
        }
    }

    /// A place for a client, if there is one; without an address it is not counted by that.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Place> {
        let mut taken = self.lock();
        if self
            .limits
            .connections
            .is_some_and(|most| taken.all >= most)
        {
            return None;
        }
        let address = address.map(network).zip(self.limits.per_address);
        if let Some((address, most)) = address {
            let count = taken.by_address.entry(address).or_default();
            if *count >= most {
                return None;
            }
            *count += 1;
        }
        taken.all += 1;
        Some(Place {
            places: Arc::clone(self),
            address: address.map(|(address, _)| address),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(address) = self.address {
            let left = taken.by_address.get_mut(&address).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                taken.by_address.remove(&address);
            }
        }
    }
}

/// What one client has for itself: an IPv4 address, or 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(limits: ServerLimits) -> Arc<Places> {
        Arc::new(Places::new(limits))
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_is_gone() {
        let places = places(ServerLimits {
            connections: Some(2),
            ..ServerLimits::default()
        });
        let address = Some(IpAddr::from([10, 0, 0, 1]));
        let first = places.take(address).unwrap();
        let _second = places.take(address).unwrap();
        assert!(places.take(address).is_none());
        drop(first);
        assert!(places.take(address).is_some());
    }

    #[test]
    fn a_network_of_ipv6_and_an_address_of_ipv4_have_so_many_places_each() {
        let places = places(ServerLimits {
            per_address: Some(1),
            ..ServerLimits::default()
        });
        let taken: Vec<_> = [
            ("10.0.0.1", true),
            ("10.0.0.2", true),
            ("::ffff:10.0.0.1", false),
            ("2001:db8::1", true),
            ("2001:db8::ffff:1", false),
            ("2001:db8:0:1::1", true),
        ]
        .map(|(address, free)| {
            let place = places.take(Some(address.parse().unwrap()));
            assert_eq!(place.is_some(), free, "{address}");
            place
        })
        .into();
        drop(taken);
        assert!(places.lock().by_address.is_empty());
        assert_eq!(places.lock().all, 0);
    }
}
