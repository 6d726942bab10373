//! What a user typed to inputs: directories and patterns stand for their files.

use std::fs;
use std::path::{Path, PathBuf};

use super::Input;
use crate::{Error, ErrorKind, Result};

/// Endings that make a file in a directory a picture or clip. A file named by itself may end in anything.
const EXTENSIONS: [&str; 30] = [
    "jpg", "jpeg", "jpe", "png", "apng", "webp", "bmp", "gif", "tif", "tiff", "pnm", "ppm", "pgm", "pbm",
    "y4m", "mjpeg", "mjpg", "mp4", "m4v", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "ts", "wmv", "flv",
    "avif", "3gp",
];

/// Directories within directories that a recursive walk enters: more means a loop of links.
const MAX_DEPTH: usize = 32;

/// Turns what a user typed into inputs, in order.
///
/// - a directory stands for its pictures and clips, sorted by name, subdirectories left out (`recursive`: taken in);
/// - a pattern (`*`, `?`, `[...]`, `**`) that is not itself a file stands for the files that it matches, sorted;
/// - everything else stands for itself; files are not opened here.
///
/// An argument that stands for nothing gives one error in its place, so that a batch can report it and go on.
pub fn expand<S: AsRef<str>>(arguments: &[S], recursive: bool) -> Vec<Result<Input>> {
    let mut inputs = Vec::new();
    for argument in arguments {
        let argument = argument.as_ref();
        match Input::from(argument) {
            Input::File(path) if path.is_dir() => match directory(&path, recursive) {
                Ok(files) => inputs.extend(files.into_iter().map(|file| Ok(Input::File(file)))),
                Err(error) => inputs.push(Err(error)),
            },
            Input::File(path) if argument.contains(['*', '?', '[']) && !path.exists() => {
                match pattern(argument) {
                    Ok(files) => inputs.extend(files.into_iter().map(|file| Ok(Input::File(file)))),
                    Err(error) => inputs.push(Err(error)),
                }
            }
            input => inputs.push(Ok(input)),
        }
    }
    inputs
}

fn directory(path: &Path, recursive: bool) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(path, if recursive { MAX_DEPTH } else { 0 }, &mut files)?;
    if files.is_empty() {
        let message = format!("`{}` is a directory without pictures or clips", path.display());
        return Err(Error::new(ErrorKind::NotFound, message));
    }
    files.sort();
    Ok(files)
}

fn walk(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let unreadable =
        |error| Error::io(format_args!("the directory `{}` cannot be read", directory.display()), error);
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            if depth > 0 {
                walk(&path, depth - 1, files)?;
            }
        } else if is_media(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// By its ending; hidden files are other programs' notes.
fn is_media(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let known = path
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)));
    known && !hidden
}

fn pattern(text: &str) -> Result<Vec<PathBuf>> {
    let matches = glob::glob(text).map_err(|error| {
        Error::because(ErrorKind::InvalidArgument, format_args!("`{text}` is no pattern"), error)
    })?;
    // What cannot be entered matches nothing; the shell does the same.
    let mut files: Vec<_> = matches.filter_map(Result::ok).filter(|path| !path.is_dir()).collect();
    if files.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, format!("`{text}` matches no file")));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[String], recursive: bool) -> Vec<Result<String, ErrorKind>> {
        let name = |input: Input| match input {
            Input::File(path) => path.file_name().unwrap().to_str().unwrap().to_owned(),
            other => other.to_string(),
        };
        expand(arguments, recursive).into_iter().map(|i| i.map(name).map_err(|e| e.kind())).collect()
    }

    #[test]
    fn directories_patterns_and_plain_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir(at("inner")).unwrap();
        fs::create_dir(at("empty")).unwrap();
        for name in ["b.JPG", "a.png", "notes.txt", ".hidden.png", "inner/c.gif", "x[1].png"] {
            fs::write(at(name), "").unwrap();
        }
        let ok = |name: &str| Ok(name.to_owned());
        let all = dir.path().to_str().unwrap().to_owned();
        assert_eq!(names(std::slice::from_ref(&all), false), [ok("a.png"), ok("b.JPG"), ok("x[1].png")]);
        assert_eq!(names(&[all], true), [ok("a.png"), ok("b.JPG"), ok("c.gif"), ok("x[1].png")]);
        assert_eq!(
            names(&[at("*.png"), at("nothing*")], false),
            [ok(".hidden.png"), ok("a.png"), ok("x[1].png"), Err(ErrorKind::NotFound)]
        );
        // A file whose name looks like a pattern is that file; a missing one is left to `open`.
        assert_eq!(names(&[at("x[1].png"), at("gone.png")], false), [ok("x[1].png"), ok("gone.png")]);
        assert_eq!(
            names(&[at("empty"), "-".into(), "rtsp://camera/1".into(), "/dev/video0".into()], false),
            [Err(ErrorKind::NotFound), ok("-"), ok("rtsp://camera/1"), ok("/dev/video0")]
        );
    }
}
