//! A resize from a full frame, as layers in front of the network.
//!
//! The file's input is the frame then (`1 x 3 x SH x SW`), and boxes and keypoints come out in the frame's pixels.
//! Downscaling by more than 2 skips source pixels in [`Method::Bilinear`] and [`Method::Gather`]; only
//! [`Method::Conv`] reads all of them.

use serde::Serialize;

use crate::Options;
use crate::builder::{Attribute, GraphBuilder};

/// Name of the resized picture inside the file.
pub(crate) const OUTPUT: &str = "resize";

/// Grey of the borders, 0 to 1, as in the letterbox that the networks were trained with.
const BORDER: f32 = 114.0 / 255.0;

/// A resize in front of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// Height of the frame in pixels.
    pub source_height: usize,
    /// Width of the frame in pixels.
    pub source_width: usize,
    /// Which layers do it.
    pub method: Method,
    /// How the frame fills the network input.
    pub fit: Fit,
}

/// Layers that resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// ONNX `Resize`, bilinear between pixel centres.
    Bilinear,
    /// Nearest pixel by one `Gather` for each axis.
    Gather,
    /// Averages over whole-numbered blocks of pixels: one strided convolution. The factor is the smallest that makes
    /// the frame fit, so it may leave borders under [`Fit::Stretch`] too.
    Conv,
}

impl Method {
    /// Name on command lines and in the file's metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bilinear => "bilinear",
            Self::Gather => "gather",
            Self::Conv => "conv",
        }
    }
}

/// How a frame fills the network input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fit {
    /// One factor for both axes, grey borders around the picture.
    #[default]
    Letterbox,
    /// A factor for each axis.
    Stretch,
}

/// Where the network input lies on the file's input: `frame = (network - offset) * scale`, in pixels counted from the
/// picture's edge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Placement {
    /// Frame pixels per network pixel along x.
    pub scale_x: f64,
    /// Frame pixels per network pixel along y.
    pub scale_y: f64,
    /// Where the frame begins in the network input along x, in network pixels.
    pub offset_x: f64,
    /// Where the frame begins in the network input along y, in network pixels.
    pub offset_y: f64,
}

impl Placement {
    /// The network input is the file's input.
    pub const IDENTITY: Self = Self { scale_x: 1.0, scale_y: 1.0, offset_x: 0.0, offset_y: 0.0 };
}

/// One axis of the resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    source: usize,
    /// Network pixels that the frame covers, at most the network's side.
    inner: usize,
    /// Network pixels of border before and after.
    border: [usize; 2],
    /// Source pixels averaged into one, and missing ones that count as black: convolution only.
    block: usize,
    missing: usize,
}

impl Axis {
    fn scaled(source: usize, side: usize, inner: usize) -> Self {
        Self { source, inner, border: halves(side - inner), block: 1, missing: 0 }
    }

    fn blocks(source: usize, side: usize, block: usize) -> Self {
        let inner = source.div_ceil(block);
        Self { source, inner, border: halves(side - inner), block, missing: inner * block - source }
    }

    fn scale(&self) -> f64 {
        if self.block > 1 { self.block as f64 } else { self.source as f64 / self.inner as f64 }
    }

    fn offset(&self) -> f64 {
        self.border[0] as f64 + halves(self.missing)[0] as f64 / self.block as f64
    }
}

fn halves(total: usize) -> [usize; 2] {
    [total / 2, total - total / 2]
}

impl Resize {
    /// The axes y, x onto a network input of `height` x `width`.
    fn axes(&self, height: usize, width: usize) -> [Axis; 2] {
        let sources = [self.source_height, self.source_width];
        let sides = [height, width];
        let each = |f: &dyn Fn(usize) -> Axis| [f(0), f(1)];
        match (self.method, self.fit) {
            (Method::Conv, fit) => {
                let blocks = [0, 1].map(|i| sources[i].div_ceil(sides[i]));
                let common = blocks[0].max(blocks[1]);
                each(&|i| {
                    Axis::blocks(sources[i], sides[i], if fit == Fit::Stretch { blocks[i] } else { common })
                })
            }
            (_, Fit::Stretch) => each(&|i| Axis::scaled(sources[i], sides[i], sides[i])),
            (_, Fit::Letterbox) => {
                let ratio = |i: usize| sides[i] as f64 / sources[i] as f64;
                let common = ratio(0).min(ratio(1));
                each(&|i| {
                    let inner = (sources[i] as f64 * common).round() as usize;
                    Axis::scaled(sources[i], sides[i], inner.clamp(1, sides[i]))
                })
            }
        }
    }
}

/// Appends the layers from the file's input, called `input`, to [`OUTPUT`].
pub(crate) fn append(nodes: &mut GraphBuilder, resize: &Resize, options: &Options, input: &str) -> Placement {
    nodes.input(input, &[1, 3, resize.source_height, resize.source_width]);
    let axes @ [y, x] = resize.axes(options.height, options.width);
    let bordered = axes.iter().any(|axis| axis.border != [0, 0]);
    let scaled = if bordered { format!("{OUTPUT}.scaled") } else { OUTPUT.to_owned() };
    match resize.method {
        Method::Bilinear => bilinear(nodes, input, &scaled, &axes),
        Method::Gather => gather(nodes, input, &scaled, &axes),
        Method::Conv => convolution(nodes, input, &scaled, &axes),
    }
    if bordered {
        let pads = [0, 0, y.border[0], x.border[0], 0, 0, y.border[1], x.border[1]].map(|n| n as i64);
        let pads = nodes.indices("resize.border", &pads);
        let grey = nodes.floats("resize.grey", &[], &[BORDER]);
        nodes.node("Pad", OUTPUT, &[&scaled, &pads, &grey], &[("mode", Attribute::Text("constant"))]);
    }
    Placement { scale_x: x.scale(), scale_y: y.scale(), offset_x: x.offset(), offset_y: y.offset() }
}

fn bilinear(nodes: &mut GraphBuilder, input: &str, output: &str, [y, x]: &[Axis; 2]) {
    let sizes = nodes.indices("resize.sizes", &[1, 3, y.inner as i64, x.inner as i64]);
    let attributes = [
        ("mode", Attribute::Text("linear")),
        ("coordinate_transformation_mode", Attribute::Text("half_pixel")),
    ];
    nodes.node("Resize", output, &[input, "", "", &sizes], &attributes);
}

fn gather(nodes: &mut GraphBuilder, input: &str, output: &str, [y, x]: &[Axis; 2]) {
    // The source pixel under the centre of each target pixel: floor((i + 1/2) * source / inner).
    let under = |axis: &Axis| -> Vec<i64> {
        (0..axis.inner).map(|i| ((2 * i + 1) * axis.source / (2 * axis.inner)) as i64).collect()
    };
    let rows = nodes.indices("resize.rows", &under(y));
    let columns = nodes.indices("resize.columns", &under(x));
    let picked = nodes.node("Gather", "resize.picked", &[input, &rows], &[("axis", Attribute::Int(2))]);
    nodes.node("Gather", output, &[&picked, &columns], &[("axis", Attribute::Int(3))]);
}

fn convolution(nodes: &mut GraphBuilder, input: &str, output: &str, [y, x]: &[Axis; 2]) {
    let taps = y.block * x.block;
    let weights = vec![1.0 / taps as f32; 3 * taps];
    let weights = nodes.floats("resize.weight", &[3, 1, y.block, x.block], &weights);
    let (before, after) =
        ([y, x].map(|axis| halves(axis.missing)[0]), [y, x].map(|axis| halves(axis.missing)[1]));
    let pads = [before, after].concat().iter().map(|&n| n as i64).collect();
    let blocks = vec![y.block as i64, x.block as i64];
    let attributes = [
        ("group", Attribute::Int(3)),
        ("kernel_shape", Attribute::Ints(blocks.clone())),
        ("pads", Attribute::Ints(pads)),
        ("strides", Attribute::Ints(blocks)),
    ];
    nodes.node("Conv", output, &[input, &weights], &attributes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(method: Method, fit: Fit, source: [usize; 2], side: [usize; 2]) -> [Axis; 2] {
        let resize = Resize { source_height: source[0], source_width: source[1], method, fit };
        let axes = resize.axes(side[0], side[1]);
        for (axis, side) in axes.iter().zip(side) {
            assert_eq!(axis.border[0] + axis.inner + axis.border[1], side);
        }
        axes
    }

    #[test]
    fn letterbox_keeps_the_aspect() {
        let [y, x] = placed(Method::Bilinear, Fit::Letterbox, [1920, 1080], [320, 224]);
        assert_eq!((y.inner, x.inner, x.border), (320, 180, [22, 22]));
        assert_eq!((y.scale(), x.scale(), x.offset()), (6.0, 6.0, 22.0));
    }

    #[test]
    fn stretch_fills_the_input() {
        let [y, x] = placed(Method::Gather, Fit::Stretch, [1080, 1920], [320, 224]);
        assert_eq!((y.inner, x.inner), (320, 224));
        assert_eq!((y.scale(), x.scale()), (3.375, 1920.0 / 224.0));
    }

    #[test]
    fn convolution_takes_the_smallest_factor_that_fits() {
        let [y, x] = placed(Method::Conv, Fit::Stretch, [1920, 1080], [320, 224]);
        assert_eq!((y.block, y.inner, x.block, x.inner), (6, 320, 5, 216));
        assert_eq!((x.border, x.offset()), ([4, 4], 4.0));
        let [y, x] = placed(Method::Conv, Fit::Letterbox, [1921, 1080], [320, 224]);
        assert_eq!((y.block, x.block, y.inner, y.missing), (7, 7, 275, 4));
        // Two of the four missing rows lie before the frame.
        assert_eq!(y.offset(), 22.0 + 2.0 / 7.0);
    }

    #[test]
    fn a_frame_smaller_than_the_input_is_enlarged_or_bordered() {
        let [y, x] = placed(Method::Bilinear, Fit::Letterbox, [10, 10], [320, 224]);
        assert_eq!((y.inner, x.inner), (224, 224));
        let [y, x] = placed(Method::Conv, Fit::Letterbox, [10, 10], [320, 224]);
        assert_eq!((y.inner, x.inner, y.scale()), (10, 10, 1.0));
    }
}
