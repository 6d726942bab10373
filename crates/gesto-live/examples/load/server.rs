//! The server under load: started here or running already, and what it tells of itself.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Failure;

/// The goal on one client is a bucket of the server's histogram, so the histogram answers it exactly.
const GOAL_BUCKET: &str = "gesto_latency_seconds_bucket{le=\"0.008\",from=\"stream\"} ";
const ALL: &str = "gesto_latency_seconds_count{from=\"stream\"} ";
const MEMORY: &str = "gesto_resident_memory_bytes ";

/// The server under load; ends with this value when it was started here.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Option<Child>,
}

/// Results that the server has sent, by its own histogram from arrival to handing over to the operating system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latencies {
    /// In all.
    pub(crate) count: f64,
    /// Within 8 ms.
    pub(crate) within_8_ms: f64,
}

impl Latencies {
    /// Those since `before`.
    pub(crate) fn since(self, before: &Self) -> Self {
        Self { count: self.count - before.count, within_8_ms: self.within_8_ms - before.within_8_ms }
    }
}

impl Server {
    /// Starts `program live` on a free port.
    pub(crate) fn start(program: &str, arguments: &[String]) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(["live", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        let read = BufReader::new(stdout).read_line(&mut line);
        // From here on the child ends with the value.
        let mut server = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), child: Some(child) };
        read?;
        let authority = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next());
        server.address = authority
            .and_then(|authority| authority.parse().ok())
            .ok_or_else(|| format!("{program} live said {line:?}"))?;
        Ok(server)
    }

    /// One that runs already.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, child: None }
    }

    async fn get(&self, path: &str) -> Result<String, Failure> {
        let address = self.address;
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("the server does not speak HTTP")?;
        Ok(body.to_owned())
    }

    /// Its description of itself.
    pub(crate) async fn info(&self) -> Result<Value, Failure> {
        Ok(serde_json::from_str(&self.get("/v1/info").await?)?)
    }

    /// Its resident memory in bytes.
    pub(crate) async fn memory(&self) -> Result<f64, Failure> {
        number(&self.get("/metrics").await?, MEMORY)
    }

    /// Its latency histogram so far.
    pub(crate) async fn latencies(&self) -> Result<Latencies, Failure> {
        let text = self.get("/metrics").await?;
        Ok(Latencies { count: number(&text, ALL)?, within_8_ms: number(&text, GOAL_BUCKET)? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Fails only for one that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The value on the metrics' line that starts with `name`.
fn number(text: &str, name: &str) -> Result<f64, Failure> {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(value.ok_or_else(|| format!("the server tells no {name}"))?.parse()?)
}
