//! The network as data: a list of operations over named values, free of any input size.
//!
//! Values hold channels at a fraction of the input's resolution (`stride`). Operations stand in an order in
//! which every input is defined before it is read. Everything that runs, draws, counts or exports a network
//! reads this one list.

/// Index of a [`Value`] in [`Graph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) u32);

/// Index of a [`Conv`] in [`Graph::convs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConvId(pub(crate) u32);

impl ValueId {
    /// The position in [`Graph::values`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl ConvId {
    /// The position in [`Graph::convs`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A feature map: `channels` at `1/stride` of the network input's height and width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Where it comes from, such as `b.4.cv1`.
    pub name: String,
    /// Number of channels.
    pub channels: usize,
    /// Input pixels per cell, along each axis.
    pub stride: usize,
}

/// What follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`.
    Silu,
    /// Nothing: the last convolution of a head's branch gives logits or distances.
    Identity,
}

/// A square convolution with bias and `kernel / 2` zero padding; batch norm is already folded into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv {
    /// Name of its tensors without `.weight` and `.bias`.
    pub name: String,
    /// Channels read.
    pub in_channels: usize,
    /// Channels written.
    pub out_channels: usize,
    /// Side of the kernel: 1 or 3.
    pub kernel: usize,
    /// Step between taps' origins: 1 or 2.
    pub stride: usize,
    /// What follows the bias.
    pub activation: Activation,
}

impl Conv {
    /// Number of weights and biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.out_channels * (self.in_channels * self.kernel * self.kernel + 1)
    }

    /// Multiply-accumulates for each cell written.
    #[must_use]
    pub fn macs_per_cell(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel * self.kernel
    }
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Convolution, bias, activation.
    Conv {
        /// Which one.
        conv: ConvId,
        /// Feature map read.
        input: ValueId,
        /// Feature map written.
        output: ValueId,
    },
    /// Element-wise sum of two maps of one shape.
    Add {
        /// First summand.
        a: ValueId,
        /// Second summand.
        b: ValueId,
        /// The sum.
        output: ValueId,
    },
    /// A run of channels, from `start` on; its length is the output's channel count.
    Slice {
        /// Map sliced.
        input: ValueId,
        /// First channel taken.
        start: usize,
        /// The slice.
        output: ValueId,
    },
    /// Channels of several maps, one after the other.
    Concat {
        /// Maps in order.
        inputs: Vec<ValueId>,
        /// All their channels.
        output: ValueId,
    },
    /// Nearest neighbour, twice the height and width.
    Upsample {
        /// Map read.
        input: ValueId,
        /// Map of half the stride.
        output: ValueId,
    },
    /// Maximum over a `size` x `size` window, step 1, borders left out of the window.
    MaxPool {
        /// Side of the window, odd.
        size: usize,
        /// Map read.
        input: ValueId,
        /// Map written, same shape.
        output: ValueId,
    },
}

impl Op {
    /// The value that this operation defines.
    #[must_use]
    pub fn output(&self) -> ValueId {
        match self {
            Op::Conv { output, .. }
            | Op::Add { output, .. }
            | Op::Slice { output, .. }
            | Op::Concat { output, .. }
            | Op::Upsample { output, .. }
            | Op::MaxPool { output, .. } => *output,
        }
    }
}

/// Raw maps of one head at one stride.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadLevel {
    /// Input pixels per cell; one anchor point at the centre of each.
    pub stride: usize,
    /// Class logits, one channel a class.
    pub classes: ValueId,
    /// Distribution logits of the four box sides (left, top, right, bottom), [`DFL_BINS`] channels each.
    pub boxes: ValueId,
    /// `x, y, visibility` of each keypoint; pose heads only.
    pub keypoints: Option<ValueId>,
}

/// Bins of each box side's distribution (Distribution Focal Loss, arXiv:2006.04388).
pub const DFL_BINS: usize = 16;

/// What one head finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Prefix of its tensors, such as `hand`.
    pub name: String,
    /// Class names, in channel order.
    pub classes: Vec<String>,
    /// Keypoints for each detection; 0 for a detector.
    pub keypoints: usize,
    /// Finest stride first.
    pub levels: Vec<HeadLevel>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Every feature map.
    pub values: Vec<Value>,
    /// Every convolution.
    pub convs: Vec<Conv>,
    /// What to do, in order.
    pub ops: Vec<Op>,
    /// The picture: RGB, 0 to 1.
    pub input: ValueId,
    /// The heads, in file order.
    pub heads: Vec<Head>,
}

impl Graph {
    /// The map behind an id.
    #[must_use]
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The convolution behind an id.
    #[must_use]
    pub fn conv(&self, id: ConvId) -> &Conv {
        &self.convs[id.index()]
    }

    /// The coarsest stride: input sizes are multiples of it.
    #[must_use]
    pub fn max_stride(&self) -> usize {
        self.values.iter().map(|value| value.stride).max().unwrap_or(1)
    }

    /// Number of weights and biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.convs.iter().map(Conv::parameters).sum()
    }

    /// Multiply-accumulates of one frame when every branch is computed at every anchor point.
    #[must_use]
    pub fn macs(&self, height: usize, width: usize) -> usize {
        self.ops
            .iter()
            .map(|op| match op {
                Op::Conv { conv, output, .. } => {
                    let stride = self.value(*output).stride;
                    self.conv(*conv).macs_per_cell() * (height / stride) * (width / stride)
                }
                _ => 0,
            })
            .sum()
    }

    /// Number of anchor points at an input size: the cells of all strides.
    #[must_use]
    pub fn anchor_points(&self, height: usize, width: usize) -> usize {
        self.heads.first().map_or(0, |head| {
            head.levels.iter().map(|level| (height / level.stride) * (width / level.stride)).sum()
        })
    }
}
