//! A camera of the network: an RTSP 1.0 server (RFC 2326) whose stream comes from an `ffmpeg` of its own.
//!
//! `ffmpeg` sends RTP to a local port; whoever plays gets the packets interleaved with the control connection, which is
//! how `gesto` asks for them. One player at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Whether the tests with real streams can run.
pub fn ffmpeg_is_here() -> bool {
    Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// A running camera; unplugged when it is dropped.
pub struct Camera {
    pub address: SocketAddr,
    ffmpeg: Child,
    player: Arc<Mutex<Option<TcpStream>>>,
    listener: TcpListener,
}

impl Camera {
    /// Plays `clip` for ever at `address` (port 0: any).
    pub fn start(clip: &Path, address: SocketAddr) -> Self {
        // A camera that was unplugged a moment ago may still hold the address.
        let listener = retry(|| TcpListener::bind(address));
        let address = listener.local_addr().unwrap();
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let target = format!("rtp://127.0.0.1:{}", rtp.local_addr().unwrap().port());
        let sdp = std::env::temp_dir().join(format!("gesto-{}-{}.sdp", std::process::id(), address.port()));
        let _ = std::fs::remove_file(&sdp);
        let ffmpeg = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i"])
            .arg(clip)
            // Frequent whole pictures, so that a player who comes late sees something at once.
            .args([
                "-an",
                "-vf",
                "scale=320:240,fps=15",
                "-c:v",
                "mpeg4",
                "-g",
                "5",
                "-f",
                "rtp",
                "-sdp_file",
            ])
            .arg(&sdp)
            .arg(&target)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let description = retry(|| {
            let text = std::fs::read_to_string(&sdp)?;
            // It is written in one go, but not before the first picture.
            if text.contains("m=video") { Ok(text) } else { Err(std::io::ErrorKind::NotFound.into()) }
        });
        std::fs::remove_file(&sdp).unwrap();
        let player: Arc<Mutex<Option<TcpStream>>> = Arc::default();
        std::thread::spawn({
            let player = Arc::clone(&player);
            move || relay(&rtp, &player)
        });
        std::thread::spawn({
            let (listener, player) = (listener.try_clone().unwrap(), Arc::clone(&player));
            move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    // A player that hangs up in the middle ends its own session only.
                    let _ = control(&stream, &description, &player);
                }
            }
        });
        Self { address, ffmpeg, player, listener }
    }

    pub fn url(&self) -> String {
        format!("rtsp://user:secret@{}/camera", self.address)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.ffmpeg.kill();
        let _ = self.ffmpeg.wait();
        if let Some(player) = self.player.lock().unwrap().take() {
            let _ = player.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts, and makes its next accept fail.
        let _ = self.listener.set_nonblocking(true);
        let _ = TcpStream::connect(self.address);
    }
}

fn retry<T>(mut what: impl FnMut() -> std::io::Result<T>) -> T {
    let began = Instant::now();
    loop {
        match what() {
            Ok(value) => return value,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// RTP packets of channel 0, as RFC 2326, 10.12 frames them.
fn relay(rtp: &UdpSocket, player: &Mutex<Option<TcpStream>>) {
    let mut packet = [0; 65536];
    rtp.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    while let Ok(length) = rtp.recv(&mut packet) {
        let mut player = player.lock().unwrap();
        let Some(stream) = player.as_mut() else { continue };
        let head = [b'$', 0, (length >> 8) as u8, length as u8];
        if stream.write_all(&[&head, &packet[..length]].concat()).is_err() {
            *player = None;
        }
    }
}

/// Answers one player's requests until it hangs up.
fn control(stream: &TcpStream, description: &str, player: &Mutex<Option<TcpStream>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut method, mut cseq) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            // A player's own control packets come interleaved; nobody here reads them.
            if let Some(at) = line.find('$')
                && method.is_empty()
            {
                line.truncate(at);
                let mut rest = [0; 4096];
                let _ = reader.read(&mut rest)?;
                continue;
            }
            let line = line.trim();
            if method.is_empty() {
                method = line.split(' ').next().unwrap_or_default().to_owned();
            } else if let Some(number) = line.strip_prefix("CSeq:") {
                cseq = number.trim().to_owned();
            }
            if line.is_empty() && !method.is_empty() {
                break;
            }
        }
        let (head, body) = match method.as_str() {
            "OPTIONS" => ("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n".to_owned(), ""),
            "DESCRIBE" => {
                let length = description.len();
                (format!("Content-Type: application/sdp\r\nContent-Length: {length}\r\n"), description)
            }
            "SETUP" => ("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n".to_owned(), ""),
            _ => ("Session: 1\r\n".to_owned(), ""),
        };
        let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{head}\r\n{body}");
        (&*stream).write_all(answer.as_bytes())?;
        match method.as_str() {
            "PLAY" => *player.lock().unwrap() = Some(stream.try_clone()?),
            "TEARDOWN" => return Ok(()),
            _ => {}
        }
    }
}
