//! Every other format, cameras and network streams, decoded by the program `ffmpeg`.
//!
//! It writes PPM pictures to its output (each says its own size, so nothing has to be asked before) and, through
//! the filter `showinfo`, the time of each to its log.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::{Info, Input, Kind, Shot, Source};
use crate::ffmpeg::{self, Process, Stopper};
use crate::{Error, ErrorKind, Limits, Picture, Result};

/// A frame's time is logged before its pixels are written; more patience than this means that it was not logged.
const TIME_PATIENCE: Duration = Duration::from_secs(1);

/// How long a network source may stay silent.
const NETWORK_TIMEOUT_US: &str = "10000000";

const DEFAULT_FPS: f64 = 25.0;

/// Schemes of streams that have no end.
const LIVE_SCHEMES: [&str; 9] = ["rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "srt", "mms", "tcp"];

/// Frames that an `ffmpeg` process decodes.
pub(crate) struct Ffmpeg {
    info: Info,
    process: Process,
    frames: BufReader<ChildStdout>,
    news: Receiver<News>,
    ahead: Option<Shot>,
    index: u64,
    /// The container's length in seconds.
    duration: Option<f64>,
    first_time: Option<f64>,
    last_ms: f64,
    spare: Picture,
    limits: Limits,
    over: bool,
}

/// What its log tells.
#[derive(Clone, Copy, Debug, PartialEq)]
enum News {
    /// The container's length in seconds.
    Duration(f64),
    /// The stream's frames per second.
    Fps(f64),
    /// The next frame's time in seconds.
    Time(f64),
}

impl Ffmpeg {
    /// Starts `ffmpeg` on the input that `info` names, or on `feed` as its standard input.
    ///
    /// `info.kind` is set here.
    pub(crate) fn open(info: Info, feed: Option<Box<dyn Read + Send>>, limits: Limits) -> Result<Self> {
        Self::open_with(&ffmpeg::program(), info, feed, limits)
    }

    fn open_with(
        program: &OsString,
        mut info: Info,
        feed: Option<Box<dyn Read + Send>>,
        limits: Limits,
    ) -> Result<Self> {
        info.kind = kind(&info.input);
        let mut command = command(program, &info.input, &limits);
        command.stdin(if feed.is_some() { Stdio::piped() } else { Stdio::null() });
        let purpose = match info.input {
            Input::Device(_) => "a camera",
            Input::Url(_) => "an address",
            _ => "this format",
        };
        let mut child = command.spawn().map_err(|error| ffmpeg::start_error(purpose, error))?;
        if let (Some(mut feed), Some(mut stdin)) = (feed, child.stdin.take()) {
            // Ends by itself: with the data, or with a broken pipe once the process is gone.
            thread::spawn(move || io::copy(&mut feed, &mut stdin));
        }
        let stdout =
            child.stdout.take().ok_or_else(|| Error::new(ErrorKind::Io, "`ffmpeg` has no output"))?;
        let (sender, news) = channel();
        let process = Process::new(child, move |line| listen(line, &sender));
        let mut source = Self {
            info,
            process,
            frames: BufReader::with_capacity(1 << 18, stdout),
            news,
            ahead: None,
            index: 0,
            duration: None,
            first_time: None,
            last_ms: 0.0,
            spare: Picture::default(),
            limits,
            over: false,
        };
        // The first frame now: whatever is wrong with the input is known when this returns.
        source.ahead = source.read_frame()?;
        if source.ahead.is_none() {
            return Err(Error::new(ErrorKind::Malformed, "holds no video"));
        }
        if let (Some(fps), Some(seconds)) = (source.info.fps, source.duration) {
            source.info.frames = Some((seconds * fps).round() as u64);
        }
        if source.info.kind == Kind::Clip && source.frames.fill_buf().is_ok_and(<[u8]>::is_empty) {
            source.info = Info { kind: Kind::Still, frames: Some(1), fps: None, ..source.info };
        }
        Ok(source)
    }

    fn read_frame(&mut self) -> Result<Option<Shot>> {
        if self.over {
            return Ok(None);
        }
        self.over = true;
        let read_error = |error| Error::io("`ffmpeg` cannot be read", error);
        let Some((width, height)) = read_header(&mut self.frames).map_err(read_error)? else {
            return self.end().map(|()| None);
        };
        let mut picture = std::mem::take(&mut self.spare);
        picture.reset(width, height, &self.limits)?;
        match self.frames.read_exact(picture.pixels_mut()) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return self.end().map(|()| None),
            other => other.map_err(read_error)?,
        }
        let timestamp_ms = self.next_time();
        let index = self.index;
        self.index += 1;
        self.over = false;
        Ok(Some(Shot { picture, index, timestamp_ms, duration_ms: None }))
    }

    /// The time of the frame just read, in milliseconds from the first one.
    fn next_time(&mut self) -> f64 {
        while let Ok(news) = self.news.recv_timeout(TIME_PATIENCE) {
            match news {
                News::Time(time) => {
                    let start = *self.first_time.get_or_insert(time);
                    self.last_ms = (time - start) * 1000.0;
                    return self.last_ms;
                }
                // The input's, which is described first; then comes what is made of it here.
                News::Fps(fps) => {
                    self.info.fps.get_or_insert(fps);
                }
                News::Duration(seconds) => {
                    self.duration.get_or_insert(seconds);
                }
            }
        }
        if self.index > 0 {
            self.last_ms += 1000.0 / self.info.fps.unwrap_or(DEFAULT_FPS);
        }
        self.last_ms
    }

    /// The stream is over: was that the end, or a failure?
    fn end(&mut self) -> Result<()> {
        let (status, log) = self.process.wait();
        let failed = !status.is_some_and(|status| status.success());
        let message = match (failed, self.index) {
            (true, 0) => format!("`ffmpeg` cannot read it: {}", log.summary()),
            (true, frames) => format!("`ffmpeg` stopped after {frames} frames: {}", log.summary()),
            (false, frames) if log.tells_of_cut() => {
                format!("the data ends early, after {frames} frames: {}", log.summary())
            }
            (false, _) => return Ok(()),
        };
        Err(Error::new(ErrorKind::Malformed, message))
    }
}

impl Source for Ffmpeg {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Shot>> {
        match self.ahead.take() {
            Some(shot) => Ok(Some(shot)),
            None => self.read_frame(),
        }
    }

    fn recycle(&mut self, picture: Picture) {
        self.spare = picture;
    }

    fn stopper(&self) -> Stopper {
        self.process.stopper()
    }
}

fn kind(input: &Input) -> Kind {
    match input {
        Input::Device(_) => Kind::Live,
        Input::Url(url) => {
            let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
            if LIVE_SCHEMES.contains(&scheme.as_str()) { Kind::Live } else { Kind::Clip }
        }
        Input::Stdin | Input::File(_) => Kind::Clip,
    }
}

fn command(program: &OsString, input: &Input, limits: &Limits) -> Command {
    let major = ffmpeg::major_version(program);
    let mut command = ffmpeg::command(program);
    command.args(["-max_pixels", &limits.pixels.to_string()]);
    if kind(input) == Kind::Live {
        command.args(["-fflags", "nobuffer", "-flags", "low_delay"]);
    }
    match input {
        // A local file must not make the program open others over the network (playlists can).
        Input::File(path) => {
            let mut name = OsString::from("file:");
            name.push(path);
            command.args(["-protocol_whitelist", "file,pipe,data,crypto", "-i"]).arg(name);
        }
        Input::Stdin => {
            command.args(["-protocol_whitelist", "pipe,data", "-i", "pipe:0"]);
        }
        Input::Device(path) => {
            command.args(["-f", "v4l2", "-i"]).arg(path);
        }
        Input::Url(url) => {
            if url.starts_with("rtsp") {
                command.args(["-rtsp_transport", "tcp"]);
                // Before version 5 the option of this name made the program a server.
                command.args([if major >= 5 { "-timeout" } else { "-stimeout" }, NETWORK_TIMEOUT_US]);
            } else if url.starts_with("http") {
                command.args(["-rw_timeout", NETWORK_TIMEOUT_US]);
            }
            command.args(["-i", url]);
        }
    }
    // `V`: video without cover pictures. Rotation is applied by the program unless told otherwise.
    command.args(["-map", "0:V:0", "-vf", "showinfo=checksum=0"]);
    command.args(ffmpeg::keep_times(major));
    command.args(["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Picks what matters out of a line of the log.
fn listen(line: &str, news: &Sender<News>) {
    let found = if let Some((_, time)) = line.split_once(" pts_time:") {
        // `NOPTS` for a frame without a time: the reader must still get one for each frame.
        Some(News::Time(first_word(time).parse().unwrap_or(f64::NAN)))
    } else if let Some((_, duration)) = line.split_once("  Duration: ") {
        parse_duration(first_word(duration)).map(News::Duration)
    } else if line.contains("Stream #") && line.contains("Video: ") {
        let fps = line.split(", ").find_map(|part| part.strip_suffix(" fps"));
        fps.and_then(|fps| fps.parse().ok()).map(News::Fps)
    } else {
        None
    };
    if let Some(found) = found {
        // Nobody listens once the source was dropped.
        let _ = news.send(found);
    }
}

fn first_word(text: &str) -> &str {
    text.split([' ', ',']).find(|word| !word.is_empty()).unwrap_or_default()
}

/// `HH:MM:SS.ss` to seconds.
fn parse_duration(text: &str) -> Option<f64> {
    text.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
}

/// Reads `P6 WIDTH HEIGHT 255` and one white space; `None` at the end of the stream.
fn read_header(reader: &mut impl BufRead) -> io::Result<Option<(u32, u32)>> {
    let mut words = Vec::with_capacity(4);
    let mut word = String::new();
    while words.len() < 4 {
        let mut byte = [0];
        if reader.read(&mut byte)? == 0 {
            return Ok(None);
        }
        match byte[0] {
            byte if byte.is_ascii_graphic() && word.len() < 10 => word.push(char::from(byte)),
            byte if byte.is_ascii_whitespace() && !word.is_empty() => words.push(std::mem::take(&mut word)),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it wrote no PPM picture")),
        }
    }
    match (words[0].as_str(), words[1].parse(), words[2].parse(), words[3].as_str()) {
        ("P6", Ok(width), Ok(height), "255") => Ok(Some((width, height))),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it wrote no 8-bit PPM picture")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let info = Info::new(Input::File("clip.mov".into()));
        let missing = OsString::from("no-such-program-of-this-name");
        let error = Ffmpeg::open_with(&missing, info, None, Limits::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::MissingProgram);
        assert!(error.to_string().contains("package `ffmpeg`"), "{error}");
    }

    #[test]
    fn the_log_is_understood() {
        let lines = [
            "[info]   Duration: 00:01:02.50, start: 0.000000, bitrate: 77 kb/s",
            "[info]   Stream #0:0(und): Video: h264 (High), yuv420p(tv, bt709), 320x240 [SAR 1:1], 29.97 fps, 30 tbr",
            "[Parsed_showinfo_0 @ 0x55] [info] n:   1 pts:    512 pts_time:0.04    duration: 1 fmt:rgb24",
            "[info] Press [q] to stop, [?] for help",
            "[Parsed_showinfo_0 @ 0x55] [info] n:   2 pts:  NOPTS pts_time:NOPTS fmt:rgb24",
        ];
        let (sender, news) = channel();
        lines.iter().for_each(|line| listen(line, &sender));
        drop(sender);
        let heard: Vec<_> = news.iter().collect();
        assert_eq!(heard[..3], [News::Duration(62.5), News::Fps(29.97), News::Time(0.04)]);
        assert!(matches!(heard[3..], [News::Time(time)] if time.is_nan()));
    }

    #[test]
    fn picture_headers_are_read_or_refused() {
        let read = |bytes: &[u8]| read_header(&mut &bytes[..]);
        assert_eq!(read(b"P6\n320 240\n255\n...").unwrap(), Some((320, 240)));
        assert_eq!(read(b"").unwrap(), None);
        assert_eq!(read(b"P6\n32").unwrap(), None);
        assert!(read(b"P5\n320 240\n255\n").is_err());
        assert!(read(b"P6\n320 240\n65535\n").is_err());
        assert!(read(&[0; 64]).is_err());
    }
}
