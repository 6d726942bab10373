//! Where the server listens, and the addresses under which its page can be opened.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gesto_live::Token;

/// Reads `IP:PORT`, `localhost:PORT`, or a port alone (of this machine only).
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let at_home = |port: &str| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)));
    let read = text.parse().ok().or_else(|| at_home(text.strip_prefix("localhost:").unwrap_or(text)));
    read.ok_or_else(|| {
        "an address is IP:PORT, such as 127.0.0.1:7860 or [::1]:7860, or a port alone".to_owned()
    })
}

/// One address of the page, and from where it can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// What to type or click.
    pub(super) url: String,
    from: String,
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.url, self.from)
    }
}

/// The page's addresses, one that works on this machine first.
pub(super) fn pages(listen: SocketAddr, token: Option<&Token>) -> Vec<Page> {
    let of_interfaces = if listen.ip().is_unspecified() { interfaces() } else { Vec::new() };
    let mut pages = pages_with(listen, token, of_interfaces);
    pages[0].from += "; Ctrl-C stops it";
    pages
}

/// [`pages`] of a machine with these addresses (and their interfaces' names).
fn pages_with(listen: SocketAddr, token: Option<&Token>, interfaces: Vec<(String, IpAddr)>) -> Vec<Page> {
    let page = |ip: IpAddr, from: String| {
        let at = SocketAddr::new(ip, listen.port());
        let url = match token {
            Some(token) => format!("http://{at}/login?token={}", token.as_str()),
            None => format!("http://{at}/"),
        };
        Page { url, from }
    };
    let ip = listen.ip();
    if ip.is_loopback() {
        return vec![page(ip, "this machine only".to_owned())];
    }
    if !ip.is_unspecified() {
        return vec![page(ip, "other machines too".to_owned())];
    }
    let loopback = if ip.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let mut pages = vec![page(loopback, "this machine".to_owned())];
    for (name, address) in interfaces {
        // A socket of all IPv6 addresses takes IPv4 clients too, but for Windows'.
        let listens = address.is_ipv4() == ip.is_ipv4() || (address.is_ipv4() && !cfg!(windows));
        if listens && is_reachable(address) {
            pages.push(page(address, format!("other machines, through {name}")));
        }
    }
    pages
}

/// Link-local addresses work with a zone alone, and browsers know none in an address.
fn is_reachable(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !link_local && !address.is_loopback() && !address.is_unspecified()
}

/// This machine's addresses; none when the system does not tell.
fn interfaces() -> Vec<(String, IpAddr)> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().map(|interface| (interface.name.clone(), interface.ip())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(listen_on: &str, token: Option<&Token>) -> Vec<String> {
        let interfaces = [
            ("lo", "127.0.0.1"),
            ("eth0", "192.0.2.7"),
            ("eth0", "2001:db8::7"),
            ("eth0", "fe80::7"),
            ("usb0", "169.254.1.2"),
        ];
        let interfaces = interfaces.map(|(name, ip)| (name.to_owned(), ip.parse().unwrap())).to_vec();
        let pages = pages_with(listen_on.parse().unwrap(), token, interfaces);
        pages.into_iter().map(|page| page.url).collect()
    }

    #[test]
    fn every_address_that_can_be_typed_is_told() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert_eq!(urls("127.0.0.1:7860", None), ["http://127.0.0.1:7860/"]);
        assert_eq!(urls("192.0.2.7:80", None), ["http://192.0.2.7:80/"]);
        assert_eq!(
            urls("0.0.0.0:80", Some(&token)),
            [
                "http://127.0.0.1:80/login?token=0123456789abcdef",
                "http://192.0.2.7:80/login?token=0123456789abcdef"
            ]
        );
        let all = urls("[::]:80", None);
        assert_eq!(all[0], "http://[::1]:80/");
        assert!(all.contains(&"http://[2001:db8::7]:80/".to_owned()), "{all:?}");
        assert_eq!(all.contains(&"http://192.0.2.7:80/".to_owned()), !cfg!(windows), "{all:?}");
        assert!(!all.iter().any(|url| url.contains("fe80") || url.contains("169.254")), "{all:?}");
    }

    #[test]
    fn a_page_says_who_can_open_it() {
        let only = &pages_with("127.0.0.1:7860".parse().unwrap(), None, Vec::new())[0];
        assert_eq!(only.to_string(), "http://127.0.0.1:7860/ (this machine only)");
    }

    #[test]
    fn addresses_to_listen_on() {
        for (text, address) in [
            ("7860", "127.0.0.1:7860"),
            ("localhost:81", "127.0.0.1:81"),
            ("0.0.0.0:7860", "0.0.0.0:7860"),
            ("[::1]:7860", "[::1]:7860"),
        ] {
            assert_eq!(listen(text), Ok(address.parse().unwrap()), "{text}");
        }
        for bad in ["", "127.0.0.1", "99999", "example.org:80", "::1:80x", "localhost"] {
            assert!(listen(bad).unwrap_err().contains("127.0.0.1:7860"), "{bad}");
        }
    }
}
