//! How to build a [`GpuNetwork`](crate::GpuNetwork).

use crate::adapter::AdapterChoice;

/// Number types and units that the convolutions use. Sums are always carried on in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arithmetic {
    /// The best that the adapter offers: [`Matrix`](Self::Matrix), else [`F16`](Self::F16), else [`F32`](Self::F32).
    #[default]
    Auto,
    /// 32-bit weights and feature maps: every adapter.
    F32,
    /// 16-bit weights and feature maps, products of four channels summed in f16, then in f32.
    F16,
    /// 16-bit weights and feature maps on the adapter's matrix units (matrices of 16 x 16 or 8 x 8, f32 sums).
    ///
    /// wgpu calls its cooperative matrices experimental and hands them out only against a token that states this:
    /// see [`GpuOptions::experimental`].
    Matrix,
}

/// How the host waits for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Waiting {
    /// Sleep until the driver signals: leaves the core to others.
    #[default]
    Block,
    /// Poll without sleeping: saves the wake-up, tens of microseconds a frame, at the price of one busy core.
    Spin,
}

/// What to measure on the GPU's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timing {
    /// Host clock only.
    #[default]
    Host,
    /// Resize, network and decoding apart, where the adapter has timestamp queries.
    Stages,
}

/// What comes back from the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// Decoded candidates: [`GpuNetwork::wait`](crate::GpuNetwork::wait).
    #[default]
    Candidates,
    /// The heads' raw maps, some hundred times as many bytes, for a host that decodes by itself:
    /// [`GpuNetwork::wait_maps`](crate::GpuNetwork::wait_maps).
    Maps,
    /// As [`Maps`](Self::Maps), with the best class of each anchor point found on the GPU.
    MapsAndBest,
}

/// How to build a [`GpuNetwork`](crate::GpuNetwork).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GpuOptions {
    /// Which adapter.
    pub adapter: AdapterChoice,
    /// Number types.
    pub arithmetic: Arithmetic,
    /// Pictures in one submission; at least 1.
    pub batch: usize,
    /// Frames that may be under way at once; at least 1. With 2, the host prepares one while the GPU works on the other.
    pub in_flight: usize,
    /// What comes back.
    pub output: Output,
    /// Candidates of each head and picture that come back with the frame. More of them cost a second read-back in the
    /// frames that have more; none are lost.
    pub readback: usize,
    /// Threads that copy frames into memory that the GPU can read; 1 is the caller's. One core copies some 10 GB/s, a
    /// 1080 x 1920 frame's needed rows in a quarter of a millisecond.
    pub copy_threads: usize,
    /// How the host waits.
    pub waiting: Waiting,
    /// What to measure.
    pub timing: Timing,
    /// Measure the kernels' variants on this device for each step of the network, and keep the fastest.
    /// Takes a moment at construction; without it a rule of thumb chooses.
    pub tune: bool,
    /// Use one kernel for every convolution, by its number among the device's, instead of choosing; for tests.
    pub kernel: Option<usize>,
    /// Keep every feature map readable through [`GpuNetwork::feature_maps`](crate::GpuNetwork::feature_maps).
    pub inspect: bool,
    /// Leave to use features that wgpu calls experimental; disabled unless the application says otherwise.
    ///
    /// wgpu makes the enabling token an `unsafe` constructor: its implementation of such a feature may have bugs that
    /// safe code runs into. This crate contains no unsafe code, so the decision is the application's.
    pub experimental: wgpu::ExperimentalFeatures,
}

impl Default for GpuOptions {
    fn default() -> Self {
        Self {
            adapter: AdapterChoice::default(),
            arithmetic: Arithmetic::Auto,
            batch: 1,
            in_flight: 1,
            output: Output::Candidates,
            readback: 128,
            copy_threads: 1,
            waiting: Waiting::Block,
            timing: Timing::Host,
            tune: false,
            kernel: None,
            inspect: false,
            experimental: wgpu::ExperimentalFeatures::disabled(),
        }
    }
}
