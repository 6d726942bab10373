//! What GPUs this machine has, and opening one.

use std::sync::OnceLock;

use crate::error::{Error, ErrorKind, Result};
use crate::options::{Arithmetic, GpuOptions, Timing};

/// Which adapter to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AdapterChoice {
    /// The fastest kind present: discrete, then integrated, then virtual; software only if nothing else is there.
    #[default]
    Best,
    /// The first whose name contains this text, whatever the case.
    Named(String),
    /// By its position in the list of [`adapters`], from 0.
    Number(usize),
    /// A software rasteriser that runs on the CPU, such as Mesa's llvmpipe.
    Software,
}

/// One adapter and what it offers to this crate.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AdapterSummary {
    /// The device's name.
    pub name: String,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: String,
    /// Driver and its version.
    pub driver: String,
    /// 16-bit arithmetic in shaders.
    pub f16: bool,
    /// Matrix units: products of f16 matrices of 16 x 16 or 8 x 8 with f32 sums.
    pub matrix: bool,
    /// Timestamp queries.
    pub timestamps: bool,
    /// Largest buffer a shader can see, in bytes.
    pub max_buffer: u64,
    /// One line for each thing that is missing, and why.
    pub lacks: Vec<String>,
}

/// Lists the adapters that the machine had when the process first asked, best first. An empty list means that no Vulkan,
/// Metal or DX12 driver was found.
#[must_use]
pub fn adapters() -> Vec<AdapterSummary> {
    found().iter().map(summary).collect()
}

/// One instance for the process: some drivers cannot be loaded and unloaded often (NVIDIA's leaves thread-local
/// storage behind each time, until none is left).
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let mut desc = wgpu::InstanceDescriptor::new_without_display_handle();
        desc.backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        desc.flags = wgpu::InstanceFlags::empty();
        wgpu::Instance::new(desc)
    })
}

/// The adapters, best first, asked for once: with Mesa each question connects to the display, and where there is none
/// writes a line of complaint to standard error.
fn found() -> &'static [wgpu::Adapter] {
    static FOUND: OnceLock<Vec<wgpu::Adapter>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::all()));
        found.sort_by_key(|adapter| match adapter.get_info().device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        });
        found
    })
}

fn summary(adapter: &wgpu::Adapter) -> AdapterSummary {
    let (info, features, limits) = (adapter.get_info(), adapter.features(), adapter.limits());
    let f16 = features.contains(wgpu::Features::SHADER_F16);
    let timestamps = features.contains(wgpu::Features::TIMESTAMP_QUERY);
    let matrix = matrix_unit(adapter);
    let mut lacks = Vec::new();
    if !f16 {
        lacks.push("no 16-bit arithmetic in shaders: runs in f32".to_owned());
    }
    if let Err(why) = &matrix {
        lacks.push(format!("no matrix units: {why}"));
    }
    if !timestamps {
        lacks.push("no timestamp queries: stage times come from the host's clock".to_owned());
    }
    AdapterSummary {
        name: info.name,
        backend: info.backend.to_str().to_owned(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        }
        .to_owned(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        f16,
        matrix: matrix.is_ok(),
        timestamps,
        max_buffer: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        lacks,
    }
}

/// A matrix product as the hardware does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MatrixUnit {
    /// Lanes of the subgroup that shares one.
    pub(crate) lanes: u32,
    /// Rows and columns of each matrix: 16 or 8.
    pub(crate) side: u32,
}

/// The adapter's matrix unit, or why there is none.
fn matrix_unit(adapter: &wgpu::Adapter) -> std::result::Result<MatrixUnit, String> {
    let (info, features) = (adapter.get_info(), adapter.features());
    if !features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        return Err(format!("wgpu offers no cooperative matrices on this {} driver", info.backend.to_str()));
    }
    if !features.contains(wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP) {
        return Err("the shaders need 16-bit arithmetic and subgroups too".to_owned());
    }
    let properties = adapter.cooperative_matrix_properties();
    let side = [16, 8].into_iter().find(|&side| {
        properties.iter().any(|p| {
            (p.m_size, p.n_size, p.k_size) == (side, side, side)
                && p.ab_type == wgpu::CooperativeScalarType::F16
                && p.cr_type == wgpu::CooperativeScalarType::F32
        })
    });
    let Some(side) = side else {
        return Err("no square products of f16 with f32 sums".to_owned());
    };
    if info.subgroup_min_size != info.subgroup_max_size {
        return Err(format!(
            "its subgroups vary between {} and {} lanes",
            info.subgroup_min_size, info.subgroup_max_size
        ));
    }
    Ok(MatrixUnit { lanes: info.subgroup_min_size, side })
}

/// An open device with the features that the options and the adapter have in common.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) summary: AdapterSummary,
    pub(crate) arithmetic: Arithmetic,
    /// Only meaningful with [`Arithmetic::Matrix`].
    pub(crate) matrix: MatrixUnit,
}

pub(crate) fn open(options: &GpuOptions) -> Result<Opened> {
    let found = found();
    if found.is_empty() {
        return Err(Error::new(
            ErrorKind::NoAdapter,
            "this machine shows no GPU: no Vulkan, Metal or DX12 driver was found",
        ));
    }
    let chosen = match &options.adapter {
        AdapterChoice::Best => found.first(),
        AdapterChoice::Named(text) => {
            let text = text.to_lowercase();
            found.iter().find(|a| a.get_info().name.to_lowercase().contains(&text))
        }
        AdapterChoice::Number(number) => found.get(*number),
        AdapterChoice::Software => found.iter().find(|a| a.get_info().device_type == wgpu::DeviceType::Cpu),
    };
    let Some(adapter) = chosen else {
        let wanted = match &options.adapter {
            AdapterChoice::Named(text) => format!("called {text:?}"),
            AdapterChoice::Number(number) => format!("of number {number}"),
            _ => "that runs in software".to_owned(),
        };
        let names: Vec<String> = found.iter().map(|a| a.get_info().name).collect();
        let message = format!("no adapter {wanted}; this machine has: {}", names.join(", "));
        return Err(Error::new(ErrorKind::NoAdapter, message));
    };
    let summary = summary(adapter);
    let (arithmetic, matrix) = arithmetic(adapter, &summary, options)?;

    let mut features = wgpu::Features::empty();
    if arithmetic != Arithmetic::F32 {
        features |= wgpu::Features::SHADER_F16;
    }
    if arithmetic == Arithmetic::Matrix {
        features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SUBGROUP;
    }
    if options.timing == Timing::Stages || options.tune {
        features |= adapter.features() & wgpu::Features::TIMESTAMP_QUERY;
    }
    let desc = wgpu::DeviceDescriptor {
        label: Some("gesto"),
        required_features: features,
        // All that the adapter has: batches need large buffers.
        required_limits: adapter.limits(),
        experimental_features: options.experimental,
        memory_hints: wgpu::MemoryHints::Performance,
        trace: wgpu::Trace::Off,
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&desc)).map_err(|e| {
        Error::new(ErrorKind::Device, format!("the GPU {:?} could not be opened: {e}", summary.name))
    })?;
    Ok(Opened { device, queue, summary, arithmetic, matrix })
}

fn arithmetic(
    adapter: &wgpu::Adapter,
    summary: &AdapterSummary,
    options: &GpuOptions,
) -> Result<(Arithmetic, MatrixUnit)> {
    let matrix = match matrix_unit(adapter) {
        Ok(_) if !options.experimental.is_enabled() => {
            Err("wgpu calls them experimental, and the options do not allow such features".to_owned())
        }
        other => other,
    };
    let lacks = |what: &str, why: &str| {
        Err(Error::new(ErrorKind::Unsupported, format!("the GPU {:?} has no {what}: {why}", summary.name)))
    };
    const NONE: MatrixUnit = MatrixUnit { lanes: 1, side: 16 };
    match (options.arithmetic, matrix) {
        (Arithmetic::Auto | Arithmetic::Matrix, Ok(unit)) => Ok((Arithmetic::Matrix, unit)),
        (Arithmetic::Matrix, Err(why)) => lacks("matrix units that can be used", &why),
        (Arithmetic::F16 | Arithmetic::Auto, _) if summary.f16 => Ok((Arithmetic::F16, NONE)),
        (Arithmetic::F16, _) => lacks("16-bit arithmetic", "choose f32"),
        _ => Ok((Arithmetic::F32, NONE)),
    }
}
