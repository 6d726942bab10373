//! Who may connect, and how much each may ask for.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::access::Token;
use crate::source::SourceConfig;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Who may connect.
    pub access: Access,
    /// How much each may ask for.
    pub limits: Limits,
    /// Frames of the server itself instead of the browsers'.
    pub source: Option<SourceConfig>,
    /// Workers that take frames; each has its own detectors.
    pub workers: usize,
}

/// Who may connect.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The token that every request has to show.
    pub token: Option<Token>,
    /// Listen beyond loopback without a token.
    pub insecure: bool,
    /// Names beside `localhost` and addresses that the `Host` header may hold, such as a proxy's.
    pub hosts: Vec<String>,
    /// Origins beside the server's own whose pages may use it.
    pub origins: Vec<String>,
}

/// How much a client may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most bytes of a request's body.
    pub body_bytes: usize,
    /// Most bytes of a stream's message.
    pub message_bytes: usize,
    /// Most pixels of a picture in a request.
    pub request_pixels: u64,
    /// Most pixels of a stream's frame.
    pub stream_pixels: u64,
    /// Most frames a second of one stream.
    pub fps: u32,
    /// Most open connections; half of them from one address, as with the two that follow.
    pub connections: usize,
    /// Most open streams.
    pub streams: usize,
    /// Most requests for detection that are read or wait for their turn.
    pub requests: usize,
    /// A stream that sends nothing for this long is closed.
    pub idle: Duration,
    /// A request that has not arrived after this long is given up.
    pub request: Duration,
    /// A client that does not take what is sent to it for this long is disconnected.
    pub stalled: Duration,
    /// Open streams have this long to end when the server shuts down.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            // A raw frame of the most pixels, and its header.
            message_bytes: 4 * 2_100_000 + 64,
            request_pixels: 24_000_000,
            stream_pixels: 2_100_000,
            fps: 120,
            connections: 128,
            streams: 32,
            requests: 16,
            idle: Duration::from_secs(120),
            request: Duration::from_secs(20),
            stalled: Duration::from_secs(10),
            grace: Duration::from_secs(5),
        }
    }
}

/// What a [`ConfigError`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The address can be reached from other machines, and nothing keeps strangers out.
    Open,
    /// One of [`Access::origins`] is no origin.
    Origin,
    /// One of [`Access::hosts`] is no host name.
    Host,
}

/// Settings that contradict each other or are not safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    sentence: String,
}

impl ConfigError {
    fn new(kind: ConfigErrorKind, sentence: String) -> Self {
        Self { kind, sentence }
    }

    /// What it is about.
    #[must_use]
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// A server on loopback that everybody on this machine may use.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], port)),
            access: Access::default(),
            limits: Limits::default(),
            source: None,
            workers: 1,
        }
    }

    /// Refuses what is not safe.
    ///
    /// # Errors
    /// When the address can be reached from other machines and neither a token nor `insecure` is set, or an origin
    /// or a host name is none.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.listen.ip().is_loopback() && self.access.token.is_none() && !self.access.insecure {
            let sentence =
                format!("{} can be reached from other machines: it needs a token", self.listen.ip());
            return Err(ConfigError::new(ConfigErrorKind::Open, sentence));
        }
        for origin in &self.access.origins {
            if !is_origin(origin) {
                let sentence = format!("`{origin}` is no origin; one looks like https://example.org:8443");
                return Err(ConfigError::new(ConfigErrorKind::Origin, sentence));
            }
        }
        for host in &self.access.hosts {
            if !is_host_name(host) {
                let sentence = format!(
                    "`{host}` is no host name; one looks like camera.example.org, without scheme or port"
                );
                return Err(ConfigError::new(ConfigErrorKind::Host, sentence));
            }
        }
        Ok(())
    }
}

/// Scheme, host and perhaps a port, as a browser writes them.
fn is_origin(text: &str) -> bool {
    let Some(authority) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return false;
    };
    // An IPv6 address holds colons of its own.
    let (host, port) = match authority.rfind(']') {
        Some(end) => (&authority[..=end], authority[end + 1..].strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_is_sound = match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    let after_host = &authority[host.len()..];
    host_is_sound && (after_host.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_ok()))
}

/// Labels of letters, digits, `-` and `_`, with dots between them.
fn is_host_name(text: &str) -> bool {
    text.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_a_token_is_needed() {
        let mut config = Config::loopback(0);
        assert!(config.check().is_ok());
        for open in ["0.0.0.0:7860", "192.0.2.7:7860", "[::]:7860"] {
            config.listen = open.parse().unwrap();
            assert!(config.check().unwrap_err().to_string().contains("token"), "{open}");
        }
        config.access.insecure = true;
        assert!(config.check().is_ok());
        config.access.insecure = false;
        config.access.token = Some(Token::random());
        assert!(config.check().is_ok());
    }

    #[test]
    fn origins_are_origins() {
        let mut config = Config::loopback(0);
        for (origin, good) in [
            ("https://example.org", true),
            ("http://example.org:81", true),
            ("example.org", false),
            ("https://", false),
            ("https://*.example.org", false),
            ("https://example.org/path", false),
            ("http://[::1]:8080", true),
            ("http://[::1", false),
            ("http://[::1]8080", false),
            ("http://example.org:", false),
            ("http://example.org:99999", false),
        ] {
            config.access.origins = vec![origin.to_owned()];
            assert_eq!(config.check().is_ok(), good, "{origin}");
        }
    }

    #[test]
    fn host_names_are_host_names() {
        let mut config = Config::loopback(0);
        for (host, good) in [
            ("camera.example.org", true),
            ("build_host-2", true),
            ("192.0.2.7", true),
            ("", false),
            ("http://camera", false),
            ("bad host", false),
            ("camera:7860", false),
            ("camera..org", false),
            ("*.example.org", false),
        ] {
            config.access.hosts = vec![host.to_owned()];
            let kind = config.check().err().map(|error| error.kind());
            assert_eq!(kind, (!good).then_some(ConfigErrorKind::Host), "{host}");
        }
    }
}
