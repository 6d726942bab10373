//! Clips, encoded by the program `ffmpeg`.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use super::Sink;
use super::temporary::Temporary;
use crate::ffmpeg::{self, Process};
use crate::source::Shot;
use crate::{Error, ErrorKind, Picture, Result};

const DEFAULT_FPS: f64 = 25.0;

/// Longest time for which a frame is repeated: a camera that slept must not make a film of a still.
const MAX_PAUSE_S: f64 = 10.0;

/// A clip with frames at a constant rate; a frame that is shown longer is repeated.
pub(crate) struct Clip {
    path: PathBuf,
    fps: Option<f64>,
    /// The first frame waits for the second when the source does not know its rate.
    waiting: Option<Shot>,
    encoder: Option<Encoder>,
}

struct Encoder {
    temporary: Temporary,
    process: Process,
    input: Option<ChildStdin>,
    fps: f64,
    /// Frames written, repeated ones counted.
    frames: u64,
    /// Added to timestamps to leave out long pauses, in seconds.
    shift: f64,
    last: Picture,
}

impl Clip {
    pub(crate) fn new(path: PathBuf, fps: Option<f64>) -> Self {
        Self { path, fps: fps.filter(|fps| (0.1..=1000.0).contains(fps)), waiting: None, encoder: None }
    }

    fn encode(&mut self, shot: &Shot, fps: f64) -> Result<()> {
        if self.encoder.is_none() {
            self.encoder = Some(Encoder::start(&ffmpeg::program(), &self.path, &shot.picture, fps)?);
        }
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        encoder.write(shot).map_err(|error| error.named(&self.path.display().to_string()))
    }

    fn end(&mut self) -> Result<Option<PathBuf>> {
        if let Some(only) = self.waiting.take() {
            self.encode(&only, DEFAULT_FPS)?;
        }
        match self.encoder.take() {
            Some(encoder) => {
                encoder.end().map(Some).map_err(|error| error.named(&self.path.display().to_string()))
            }
            None => Ok(None),
        }
    }
}

impl Sink for Clip {
    fn write(&mut self, shot: &Shot) -> Result<()> {
        let fps = match (self.fps, &self.waiting) {
            (Some(fps), _) => fps,
            (None, None) => {
                self.waiting = Some(shot.clone());
                return Ok(());
            }
            (None, Some(first)) => {
                let step = shot.timestamp_ms - first.timestamp_ms;
                if step > 0.0 { (1000.0 / step).clamp(1.0, 120.0) } else { DEFAULT_FPS }
            }
        };
        self.fps = Some(fps);
        if let Some(first) = self.waiting.take() {
            self.encode(&first, fps)?;
        }
        self.encode(shot, fps)
    }

    fn finish(mut self: Box<Self>) -> Result<Option<PathBuf>> {
        self.end()
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.end();
    }
}

impl Encoder {
    fn start(program: &OsString, path: &Path, picture: &Picture, fps: f64) -> Result<Self> {
        let temporary = Temporary::new(path)?;
        let mut command = command(program, temporary.path(), picture, fps);
        let mut child =
            command.spawn().map_err(|error| ffmpeg::start_error("writing this kind of clip", error))?;
        let input = child.stdin.take();
        let process = Process::new(child, |_| {});
        Ok(Self { temporary, process, input, fps, frames: 0, shift: 0.0, last: Picture::default() })
    }

    fn write(&mut self, shot: &Shot) -> Result<()> {
        let picture = &shot.picture;
        if self.frames > 0 && (picture.width(), picture.height()) != (self.last.width(), self.last.height()) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the size of the frames changes, which a clip cannot",
            ));
        }
        let written_s = self.frames as f64 / self.fps;
        let mut time_s = shot.timestamp_ms / 1000.0 + self.shift;
        if !(time_s - written_s).is_finite() || time_s - written_s > MAX_PAUSE_S {
            self.shift =
                if shot.timestamp_ms.is_finite() { written_s - shot.timestamp_ms / 1000.0 } else { 0.0 };
            time_s = written_s;
        }
        // The frame before stays on until this one's time has come; frames that come too fast are kept all the same.
        let due = (time_s * self.fps).round() as u64;
        while self.frames > 0 && self.frames < due {
            let last = std::mem::take(&mut self.last);
            let sent = self.send(&last);
            self.last = last;
            sent?;
        }
        self.send(picture)?;
        self.last.clone_from(picture);
        Ok(())
    }

    fn send(&mut self, picture: &Picture) -> Result<()> {
        self.frames += 1;
        let sent = self.input.as_mut().map(|input| input.write_all(picture.pixels()));
        match sent {
            Some(Ok(())) => Ok(()),
            // It has ended; its log says why.
            _ => Err(self.failure()),
        }
    }

    fn failure(&mut self) -> Error {
        self.input = None;
        let (_, log) = self.process.wait();
        Error::new(ErrorKind::Io, format!("`ffmpeg` could not write it: {}", log.summary()))
    }

    fn end(mut self) -> Result<PathBuf> {
        // Closing its input ends the clip.
        self.input = None;
        let (status, log) = self.process.wait();
        if !status.is_some_and(|status| status.success()) {
            let message = format!("`ffmpeg` could not write it: {}", log.summary());
            return Err(Error::new(ErrorKind::Io, message));
        }
        self.temporary.keep()
    }
}

fn command(program: &OsString, output: &Path, picture: &Picture, fps: f64) -> Command {
    let mut command = ffmpeg::command(program);
    let size = format!("{}x{}", picture.width(), picture.height());
    command.args([
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        &size,
        "-r",
        &format!("{fps:.6}"),
        "-i",
        "pipe:0",
    ]);
    // Half-size chroma wants even sides; players assume BT.709 where nothing is said.
    let filter = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,pad=ceil(iw/2)*2:ceil(ih/2)*2";
    command.args(["-an", "-vf", filter]);
    command.args(["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]);
    let extension = output.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "webm" => {
            command.args(["-b:v", "0", "-crf", "32", "-deadline", "realtime", "-cpu-used", "6"]);
        }
        _ if has_x264(program) => {
            command.args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "18"]);
        }
        // Builds without it have another encoder for the container.
        _ => {
            command.args(["-q:v", "3"]);
        }
    }
    if matches!(extension.as_str(), "mp4" | "m4v" | "mov") {
        command.args(["-movflags", "+faststart"]);
    }
    let mut name = OsString::from("file:");
    name.push(output);
    command.arg("-y").arg(name);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn has_x264(program: &OsString) -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let output = Command::new(program).args(["-hide_banner", "-encoders"]).output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(" libx264 "))
    })
}
