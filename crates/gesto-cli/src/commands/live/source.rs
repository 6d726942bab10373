//! The server's own source: what the flag means, whether a file can be read at all, and how it does later.

use std::path::Path;

use anyhow::{anyhow, bail, ensure};
use gesto_live::{SourceState, SourceWatch};
use gesto_media::Limits;
use gesto_media::source::{Input, open};

use crate::console::Console;

/// Reads `--source`; `None` for the browser's camera.
///
/// A camera or an address may come and go; a file that is not there or cannot be read is a mistake, and told now.
pub(super) fn input(text: &str) -> anyhow::Result<Option<Input>> {
    if text == "browser" {
        return Ok(None);
    }
    let input = Input::from(text);
    if let Input::File(path) = &input {
        check(text, path)?;
    }
    Ok(Some(input))
}

fn check(text: &str, path: &Path) -> anyhow::Result<()> {
    let Ok(about) = path.metadata() else {
        ensure!(
            text.parse::<u32>().is_err(),
            "--source {text}: cameras are named by device, such as /dev/video{text}; without --source the browser's \
             camera is used"
        );
        bail!("--source {text}: there is no such file");
    };
    ensure!(!about.is_dir(), "--source {text} is a folder; one picture, clip, camera or address is shown");
    // What a named pipe holds can be read only once.
    if about.is_file() { first_frame(path) } else { Ok(()) }
}

/// Reads up to the first frame, as the server will; the error names the file.
fn first_frame(path: &Path) -> anyhow::Result<()> {
    let limits = Limits { pixels: gesto_live::Limits::default().request_pixels, ..Limits::default() };
    let mut source = open(Input::File(path.into()), &limits).map_err(|error| anyhow!("{error}"))?;
    loop {
        match source.next_frame() {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => bail!("{}: holds no picture", path.display()),
            Err(error) if error.is_recoverable() => {}
            Err(error) => bail!("{error}"),
        }
    }
}

/// Tells each change of the source's state until the server ends.
pub(super) async fn tell(mut states: SourceWatch, console: Console) {
    while let Some(state) = states.next().await {
        match state {
            SourceState::Playing => console.note("gesto live: the source plays"),
            SourceState::Lost(reason) => console.note(format!("gesto live: {reason}")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        input(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_source_is_told_in_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.mp4");
        std::fs::write(&text, "not a clip at all, just words\n").unwrap();
        let broken = folder.path().join("broken.png");
        std::fs::write(&broken, b"\x89PNG\r\n\x1a\nand then nothing").unwrap();
        assert!(refusal(folder.path().to_str().unwrap()).contains("is a folder"));
        assert!(refusal("0").contains("/dev/video0"));
        assert!(refusal("/no/such/clip.mp4").contains("no such file"));
        for file in [&text, &broken] {
            let said = refusal(file.to_str().unwrap());
            assert!(said.contains(file.to_str().unwrap()) && !said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn sources_that_may_come_later_are_taken() {
        assert_eq!(input("browser").unwrap(), None);
        assert_eq!(input("/dev/video99").unwrap(), Some(Input::Device("/dev/video99".into())));
        assert!(matches!(input("rtsp://127.0.0.1:9/x").unwrap(), Some(Input::Url(_))));
        let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/fingers-lq.gif");
        assert!(matches!(input(clip).unwrap(), Some(Input::File(_))));
    }
}
