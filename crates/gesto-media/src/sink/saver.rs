//! From a source to the file that holds its annotated copy.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Sink;
use super::animation::Animation;
use super::clip::Clip;
use super::still::{self, Still};
use super::temporary::cannot_write;
use crate::source::{Info, Input, Kind};
use crate::{Error, ErrorKind, Result};

/// Containers that `ffmpeg` writes.
const CLIPS: [&str; 6] = ["mp4", "m4v", "mkv", "mov", "webm", "avi"];

/// Where annotated copies go: one file, or a directory with one file for each source.
///
/// ```no_run
/// use gesto_media::draw::Annotator;
/// use gesto_media::sink::Saver;
/// use gesto_media::{Limits, source};
///
/// let inputs = ["portrait.jpg", "wave.gif"];
/// let mut saver = Saver::new("out".as_ref(), inputs.len())?;
/// let mut annotator = Annotator::default();
/// for input in inputs {
///     let mut source = source::open(input, &Limits::default())?;
///     let mut sink = saver.sink(source.info())?;
///     while let Some(mut shot) = source.next_frame()? {
///         let detections = gesto::Detections::default(); // detector.detect(&shot.picture.as_frame()?)?
///         annotator.draw(&mut shot.picture, &detections);
///         sink.write(&shot)?;
///         source.recycle(shot.picture);
///     }
///     if let Some(path) = sink.finish()? {
///         println!("{}", path.display());
///     }
/// }
/// # Ok::<(), gesto_media::Error>(())
/// ```
#[derive(Debug)]
pub struct Saver {
    target: Target,
    /// Files given out, so that two sources of one name do not share one.
    used: HashSet<PathBuf>,
}

#[derive(Debug)]
enum Target {
    File(PathBuf),
    Directory(PathBuf),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Format {
    Picture(image::ImageFormat),
    Gif,
    Clip,
}

impl Saver {
    /// `target` is a file when it ends with a known extension (`jpg png webp bmp tiff pnm gif`, `mp4 m4v mkv mov webm
    /// avi`) and is no directory; else a directory, which is made when it is missing.
    ///
    /// # Errors
    /// One file for several inputs, or the directory cannot be made.
    pub fn new(target: &Path, inputs: usize) -> Result<Self> {
        let is_file = !target.is_dir() && format(target).is_some();
        if is_file && inputs > 1 {
            let message =
                format!("{inputs} inputs do not fit into one file `{}`: name a directory", target.display());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        if !is_file {
            fs::create_dir_all(target).map_err(|error| cannot_write(target, error))?;
        }
        let target = if is_file { Target::File(target.into()) } else { Target::Directory(target.into()) };
        Ok(Self { target, used: HashSet::new() })
    }

    /// The sink for one source. In a directory the file is named after the source: a still keeps its format (PNG where
    /// that cannot be written), a moving picture becomes a GIF, a clip or camera an MP4; two sources of one name get a
    /// number, and no source is overwritten. A file has the format that its ending says.
    ///
    /// # Errors
    /// The format cannot hold the source (a clip as a JPEG), or the file is the source itself.
    pub fn sink(&mut self, info: &Info) -> Result<Box<dyn Sink>> {
        let path = match &self.target {
            Target::File(path) if is_same_file(path, &info.input) => {
                let message = format!("`{}` would overwrite its own source", path.display());
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
            Target::File(path) => path.clone(),
            Target::Directory(directory) => self.free_name(directory, info),
        };
        self.used.insert(path.clone());
        match format(&path) {
            Some(Format::Gif) => Ok(Box::new(Animation::new(path))),
            Some(Format::Clip) => Ok(Box::new(Clip::new(path, info.fps))),
            Some(Format::Picture(format)) if info.kind == Kind::Still => {
                Ok(Box::new(Still::new(path, format)))
            }
            _ => {
                let message = format!(
                    "`{}` has several frames, which `{}` cannot hold: name a directory, a GIF or an MP4",
                    info.name,
                    path.display()
                );
                Err(Error::new(ErrorKind::Unsupported, message))
            }
        }
    }

    /// A name in the directory that neither another source's copy nor the source itself has.
    fn free_name(&self, directory: &Path, info: &Info) -> PathBuf {
        let (stem, extension) = (stem(&info.input), extension(info));
        let numbered = (2_u32..).map(|number| format!("{stem}-{number}"));
        let mut names = [stem.clone()]
            .into_iter()
            .chain(numbered)
            .map(|stem| directory.join(format!("{stem}.{extension}")));
        let free = |path: &PathBuf| !self.used.contains(path) && !is_same_file(path, &info.input);
        names.find(free).unwrap_or_else(|| directory.join("annotated.png"))
    }
}

fn is_same_file(path: &Path, input: &Input) -> bool {
    match (input, path.canonicalize()) {
        (Input::File(source), Ok(path)) => source.canonicalize().is_ok_and(|source| source == path),
        _ => false,
    }
}

fn format(path: &Path) -> Option<Format> {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    if CLIPS.contains(&extension.as_str()) {
        return Some(Format::Clip);
    }
    match still::format(path)? {
        image::ImageFormat::Gif => Some(Format::Gif),
        format => Some(Format::Picture(format)),
    }
}

/// The source's name without directories and ending.
fn stem(input: &Input) -> String {
    let from_path = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let stem = match input {
        Input::Stdin => Some("stdin".to_owned()),
        Input::File(path) | Input::Device(path) => from_path(path),
        Input::Url(_) => {
            // Without credentials, and without what follows the path.
            let name = input.to_string();
            let path = name.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned();
            from_path(Path::new(&path))
        }
    };
    let clean = |c: char| if c.is_control() || r#"<>:"/\|?*"#.contains(c) { '-' } else { c };
    stem.map(|stem| stem.chars().map(clean).collect()).unwrap_or_else(|| "stream".to_owned())
}

/// The ending for a source's copy in a directory.
fn extension(info: &Info) -> String {
    match info.kind {
        Kind::Animation => "gif".to_owned(),
        Kind::Clip | Kind::Live => "mp4".to_owned(),
        Kind::Still => {
            let own = match &info.input {
                Input::File(path) if matches!(format(path), Some(Format::Picture(_) | Format::Gif)) => {
                    path.extension()
                }
                _ => None,
            };
            own.map(|own| own.to_string_lossy().into_owned()).unwrap_or_else(|| "png".to_owned())
        }
    }
}
