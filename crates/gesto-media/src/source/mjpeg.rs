//! JPEGs one after another: Motion JPEG files and multipart streams, and single JPEGs from a pipe.

use std::io::BufRead;

use super::jpeg::{Cut, Cutter, decode, is_multi_picture};
use super::still::guarded;
use super::{Info, Kind, Shot, Source, still};
use crate::{Error, ErrorKind, Limits, Picture, Result};

/// Motion JPEG carries no times; this is what cameras and programs assume.
const FPS: f64 = 25.0;

/// Frames cut out of a stream of JPEGs.
pub(crate) struct Mjpeg<R> {
    info: Info,
    cutter: Cutter<R>,
    /// The JPEG at hand, and how it ended; read ahead once to tell a clip from a single picture.
    encoded: Vec<u8>,
    ahead: Option<Cut>,
    index: u64,
    spare: Picture,
    limits: Limits,
    over: bool,
}

impl<R: BufRead + Send> Mjpeg<R> {
    pub(crate) fn new(mut info: Info, reader: R, limits: Limits) -> Result<Self> {
        let mut cutter = Cutter::new(reader, &limits);
        let mut encoded = Vec::new();
        let io = |error| Error::io("cannot be read", error);
        let ahead = cutter.next(&mut encoded).map_err(io)?;
        if ahead.is_none() {
            return Err(Error::new(ErrorKind::Malformed, "holds no JPEG"));
        }
        let single = info.kind != Kind::Live
            && ahead == Some(Cut::Whole)
            && (is_multi_picture(&encoded) || !cutter.has_more().map_err(io)?);
        info.kind = match info.kind {
            Kind::Live => Kind::Live,
            _ if single => Kind::Still,
            _ => Kind::Clip,
        };
        info.frames = single.then_some(1);
        info.fps = (!single).then_some(FPS);
        Ok(Self { info, cutter, encoded, ahead, index: 0, spare: Picture::default(), limits, over: false })
    }
}

impl<R: BufRead + Send> Source for Mjpeg<R> {
    fn info(&self) -> &Info {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Shot>> {
        if self.over {
            return Ok(None);
        }
        let cut = match self.ahead.take() {
            Some(cut) => Some(cut),
            None => self.cutter.next(&mut self.encoded).map_err(|error| {
                self.over = true;
                Error::io("cannot be read", error)
            })?,
        };
        let Some(cut) = cut else {
            self.over = true;
            return Ok(None);
        };
        // The second picture of a still (preview, depth map) is no frame.
        self.over = self.info.kind == Kind::Still || cut == Cut::Truncated;
        let index = self.index;
        self.index += 1;
        let mut picture = std::mem::take(&mut self.spare);
        let decoded = match cut {
            Cut::Truncated => Err(still::ends_early()),
            Cut::TooLong => Err(Error::new(ErrorKind::TooLarge, "an encoded frame is larger than the limit")),
            // A frame that lost its end marker may be whole otherwise; the decoder knows.
            Cut::Whole | Cut::Broken => guarded(|| decode(&self.encoded, &mut picture, &self.limits)),
        };
        match decoded {
            Ok(()) => {
                let timestamp_ms = if self.over { 0.0 } else { index as f64 * 1000.0 / FPS };
                Ok(Some(Shot { picture, index, timestamp_ms, duration_ms: None }))
            }
            Err(error) if self.over => Err(error),
            Err(error) => Err(error.recoverable()),
        }
    }

    fn recycle(&mut self, picture: Picture) {
        self.spare = picture;
    }
}
