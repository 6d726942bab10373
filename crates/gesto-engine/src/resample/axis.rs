//! Which pixels along one axis of a picture make each pixel of the output, and with which weights.

/// How the axes of the network's input lie on the stored picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The network's x runs along the stored y.
    pub(crate) swapped: bool,
    /// The network's x and y run against the stored axis that they lie on.
    pub(crate) flip_x: bool,
    pub(crate) flip_y: bool,
}

impl Turn {
    pub(crate) fn of(orientation: crate::picture::Orientation) -> Self {
        // Where a step along each upright axis leads in the stored picture, of any size.
        let at = |x, y| orientation.to_stored((x, y), 8.0, 8.0);
        let origin = at(1.0, 1.0);
        let (along, down) = (at(2.0, 1.0), at(1.0, 2.0));
        let swapped = orientation.rotation.swaps_sides();
        let step = |to: (f32, f32)| (to.0 - origin.0) + (to.1 - origin.1);
        Self { swapped, flip_x: step(along) < 0.0, flip_y: step(down) < 0.0 }
    }
}

/// Two neighbouring source pixels and the second one's share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tap {
    pub(crate) first: usize,
    pub(crate) second: usize,
    /// 0 to 1.
    pub(crate) share: f64,
}

/// One axis: `from` source pixels become `to`, in the order of the source or, `flip`ped, against it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Axis {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) flip: bool,
}

impl Axis {
    fn source_order(self, i: usize) -> usize {
        if self.flip { self.to - 1 - i } else { i }
    }

    /// Where the centre of output pixel `i` lies, in pixels from the source's edge. f64: exact for every side that a
    /// picture may have.
    fn center(self, i: usize) -> f64 {
        (self.source_order(i) as f64 + 0.5) * self.from as f64 / self.to as f64
    }

    /// The pixels on both sides of the centre of output pixel `i`; edges repeat.
    pub(crate) fn tap(self, i: usize) -> Tap {
        let last = self.from - 1;
        let at = (self.center(i) - 0.5).clamp(0.0, last as f64);
        let first = (at as usize).min(last);
        Tap { first, second: (first + 1).min(last), share: at - first as f64 }
    }

    /// The pixel under the centre of output pixel `i`.
    pub(crate) fn nearest(self, i: usize) -> usize {
        (self.center(i) as usize).min(self.from - 1)
    }

    /// The stretch of the source that output pixel `i` covers.
    pub(crate) fn span(self, i: usize) -> (f64, f64) {
        let i = self.source_order(i) as f64;
        let scale = self.from as f64 / self.to as f64;
        (i * scale, (i + 1.0) * scale)
    }
}
