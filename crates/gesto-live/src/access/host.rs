//! The `Host` header.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{HeaderMap, Uri, header};

use crate::config::Access;

/// The authority (`name` or `name:port`) that a request is meant for; `None` unless there is exactly one.
pub(super) fn of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?.to_ascii_lowercase();
    // A request line with a whole URL counts before the header: the two have to agree.
    let agrees = uri.authority().is_none_or(|authority| authority.as_str().eq_ignore_ascii_case(&host));
    (hosts.next().is_none() && agrees).then_some(host)
}

/// Whether a browser that shows this authority really speaks to this server.
///
/// A literal address or `localhost` cannot be rebound to another machine by its owner's name server; every other name
/// can, so it has to be allowed by name. Ports are not compared: tunnels change them, and an attack on names does not
/// need them.
pub(super) fn allowed(authority: &str, access: &Access) -> bool {
    let Some(name) = without_port(authority) else { return false };
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => {
            name == "localhost"
                || name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
                || access.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
        }
    }
}

fn without_port(authority: &str) -> Option<&str> {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (name, rest) = authority.split_at(end);
    let port = rest.strip_prefix(':');
    let port_is_sound = rest.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_ok());
    (port_is_sound && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_allowed_names_only() {
        let access = Access { hosts: vec!["gesto.example".to_owned()], ..Access::default() };
        for (host, good) in [
            ("localhost", true),
            ("localhost:7860", true),
            ("127.0.0.1:7860", true),
            ("192.0.2.1", true),
            ("[::1]:7860", true),
            ("gesto.example:443", true),
            ("evil.example", false),
            ("evil.example:7860", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1:port", false),
            ("127.0.0.1:7860:1", false),
            ("[::1", false),
            ("[localhost]", false),
            ("::1", false),
            ("user@localhost", false),
            ("2130706433", false),
            ("", false),
            (":7860", false),
        ] {
            assert_eq!(allowed(host, &access), good, "{host:?}");
        }
    }

    #[test]
    fn two_hosts_or_a_contradiction_are_none() {
        let headers = |hosts: &[&'static str]| {
            let mut map = HeaderMap::new();
            for host in hosts {
                map.append(header::HOST, host.parse().unwrap());
            }
            map
        };
        let path = Uri::from_static("/v1/info");
        assert_eq!(of(&path, &headers(&["LocalHost:1"])), Some("localhost:1".to_owned()));
        assert_eq!(of(&path, &headers(&["localhost", "evil.example"])), None);
        assert_eq!(of(&path, &headers(&[])), None);
        assert_eq!(of(&Uri::from_static("http://evil.example/"), &headers(&["localhost"])), None);
    }
}
