//! Shaders, their layouts and the pipelines made of them.

mod lines;
mod shapes;
mod tiled;

use std::collections::HashMap;

use rayon::prelude::*;

use crate::adapter::MatrixUnit;
use crate::device::Gpu;
use crate::error::Result;
use crate::options::Arithmetic;
use crate::plan::layout::BLOCK;
use crate::plan::pack::BlockOrder;
use crate::plan::stage::{Feed, Shape};

use self::lines::{MatrixLines, repeat};

const CONV_JOB: &str = include_str!("../shaders/conv_job.wgsl");
const CONV_VECTOR: &str = include_str!("../shaders/conv_vector.wgsl");
const CONV_FINISH: &str = include_str!("../shaders/conv_finish.wgsl");
const CONV_MATRIX: &str = include_str!("../shaders/conv_matrix.wgsl");
const CONV_STAGED: &str = include_str!("../shaders/conv_staged.wgsl");
const POOL: &str = include_str!("../shaders/pool.wgsl");
const RESIZE: &str = include_str!("../shaders/resize.wgsl");
const RESIZE_TO_MAPS: &str = include_str!("../shaders/resize_to_maps.wgsl");
const RESIZE_TO_BYTES: &str = include_str!("../shaders/resize_to_bytes.wgsl");
const DECODE: &str = include_str!("../shaders/decode.wgsl");

/// Threads of a team of the vector kernel.
const VECTOR_TEAM: usize = 64;

/// What a binding is to a shader.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
    Uniform,
}

pub(crate) struct Kernels {
    pub(crate) conv_layout: wgpu::BindGroupLayout,
    pub(crate) pool_layout: wgpu::BindGroupLayout,
    pub(crate) tiles_layout: wgpu::BindGroupLayout,
    pub(crate) decode_layout: wgpu::BindGroupLayout,
    pub(crate) pool: wgpu::ComputePipeline,
    pub(crate) decode: wgpu::ComputePipeline,
    /// The best class of each anchor point, without the rest of decoding.
    pub(crate) classes_only: wgpu::ComputePipeline,
    pub(crate) resize: ResizeKernels,
    convs: HashMap<Shape, wgpu::ComputePipeline>,
    conv_pipeline_layout: wgpu::PipelineLayout,
    arithmetic: Arithmetic,
    matrix: MatrixUnit,
}

/// The resize kernel.
pub(crate) struct ResizeKernels {
    pub(crate) layout: wgpu::BindGroupLayout,
    /// Bilinear, then nearest.
    pub(crate) pipelines: [wgpu::ComputePipeline; 2],
}

impl ResizeKernels {
    /// Pixels go into the network's maps.
    fn to_maps(gpu: &Gpu, arithmetic: Arithmetic) -> Self {
        Self::new(gpu, &(real_types(arithmetic) + RESIZE_TO_MAPS + RESIZE))
    }

    /// Pixels become bytes.
    pub(crate) fn to_bytes(gpu: &Gpu) -> Result<Self> {
        let made = Self::new(gpu, &(RESIZE_TO_BYTES.to_owned() + RESIZE));
        gpu.check()?;
        Ok(made)
    }

    fn new(gpu: &Gpu, text: &str) -> Self {
        use Access::{Read, Uniform, Write};
        let layout = layout(gpu, &[Write, Read, Uniform, Read]);
        let module = module(gpu, "resize", text);
        let pipeline_layout = pipeline_layout(gpu, &[&layout]);
        let pipelines =
            [0.0, 1.0].map(|nearest| pipeline(gpu, &module, &pipeline_layout, &[("NEAREST", nearest)]));
        Self { layout, pipelines }
    }
}

impl Kernels {
    pub(crate) fn new(gpu: &Gpu, arithmetic: Arithmetic, matrix: MatrixUnit) -> Result<Self> {
        use Access::{Read, Write};
        let conv_layout = layout(gpu, &[Write, Read, Read, Write, Read, Read]);
        let pool_layout = layout(gpu, &[Write, Read]);
        let tiles_layout = layout(gpu, &[Read]);
        let decode_layout = layout(gpu, &[Read, Read, Read, Write, Write]);
        let conv_pipeline_layout = pipeline_layout(gpu, &[&conv_layout, &tiles_layout]);
        let pool_module = module(gpu, "pool", &pool_text(arithmetic));
        let pool = pipeline(gpu, &pool_module, &pipeline_layout(gpu, &[&pool_layout, &tiles_layout]), &[]);
        let resize = ResizeKernels::to_maps(gpu, arithmetic);
        let decode_module = module(gpu, "decode", DECODE);
        let decode_pipeline_layout = pipeline_layout(gpu, &[&decode_layout]);
        let decode = pipeline(gpu, &decode_module, &decode_pipeline_layout, &[]);
        let classes_only = pipeline_at(gpu, &decode_module, "classes_only", &decode_pipeline_layout, &[]);
        gpu.check()?;
        Ok(Self {
            conv_layout,
            pool_layout,
            tiles_layout,
            decode_layout,
            pool,
            decode,
            classes_only,
            resize,
            convs: HashMap::new(),
            conv_pipeline_layout,
            arithmetic,
            matrix,
        })
    }

    /// Order in which the convolution kernel reads its weights.
    pub(crate) fn block_order(arithmetic: Arithmetic) -> BlockOrder {
        if arithmetic == Arithmetic::Matrix {
            BlockOrder::InputsTogether
        } else {
            BlockOrder::OutputsTogether
        }
    }

    /// Shapes that this device can run, those that split the steps least first. How many cells a staging one has room for is
    /// left open: see [`Self::fitted`].
    pub(crate) fn shapes(&self, gpu: &Gpu) -> Vec<Shape> {
        let all = shapes::all(self.arithmetic);
        let limits = &gpu.limits;
        let fits = |shape: &Shape| {
            let threads = self.threads(*shape);
            threads <= limits.max_compute_invocations_per_workgroup as usize
                && threads <= limits.max_compute_workgroup_size_x as usize
                && self.workgroup_bytes(*shape) <= limits.max_compute_workgroup_storage_size as usize
        };
        all.into_iter().filter(fits).collect()
    }

    /// A staging shape, its room rounded up, or `None` where it exceeds the device's workgroup memory.
    pub(crate) fn fitted(&self, gpu: &Gpu, shape: Shape) -> Option<Shape> {
        // In coarse steps: each size is a pipeline of its own.
        let shape = Shape { staged: shape.staged.next_multiple_of(32), ..shape };
        let most = gpu.limits.max_compute_workgroup_storage_size as usize;
        (self.workgroup_bytes(shape) <= most).then_some(shape)
    }

    fn threads(&self, shape: Shape) -> usize {
        let team =
            if self.arithmetic == Arithmetic::Matrix { self.matrix.lanes as usize } else { VECTOR_TEAM };
        shape.teams * team
    }

    /// Workgroup memory of a shape, as its shader declares it.
    fn workgroup_bytes(&self, shape: Shape) -> usize {
        if self.arithmetic != Arithmetic::Matrix {
            return vector_partials(shape) * 16;
        }
        let line = (shape.passed * 4 + 2) * 16;
        let places = shape.fragments() * BLOCK * 8;
        let sums = shape.teams * BLOCK * line;
        match shape.feed {
            Feed::Buffers => sums * shape.rows + places,
            Feed::Cells => shape.staged * ((shape.depth * 4 + 2) * 8 + 4) + sums + places,
            Feed::Range | Feed::Gathered => tiled::workgroup_bytes(shape) + sums,
        }
    }

    /// Makes the convolution pipelines for these shapes.
    pub(crate) fn compile(&mut self, gpu: &Gpu, shapes: &[Shape]) -> Result<()> {
        let mut wanted: Vec<Shape> = Vec::new();
        for &shape in shapes {
            if !self.convs.contains_key(&shape) && !wanted.contains(&shape) {
                wanted.push(shape);
            }
        }
        // Drivers compile on the calling thread.
        let make = |shape| {
            let module = module(gpu, "convolution", &conv_text(self.arithmetic, self.matrix, shape));
            (shape, pipeline(gpu, &module, &self.conv_pipeline_layout, &[]))
        };
        let made: Vec<_> = wanted.into_par_iter().map(make).collect();
        gpu.check()?;
        self.convs.extend(made);
        Ok(())
    }

    /// The convolution pipeline of a compiled shape.
    pub(crate) fn conv(&self, shape: Shape) -> &wgpu::ComputePipeline {
        &self.convs[&shape]
    }
}

/// Vectors of four numbers in each of the pool kernel's two pieces of workgroup memory: together the 16 KB that every adapter
/// has.
pub(crate) fn pool_room(arithmetic: Arithmetic) -> usize {
    if arithmetic == Arithmetic::F32 { 512 } else { 1024 }
}

fn pool_text(arithmetic: Arithmetic) -> String {
    format!("{}const ROOM: u32 = {}u;\n{POOL}", real_types(arithmetic), pool_room(arithmetic))
}

/// The convolution shader of a shape.
fn conv_text(arithmetic: Arithmetic, matrix: MatrixUnit, shape: Shape) -> String {
    let threads = shape.teams * matrix.lanes as usize;
    let (constants, body) = if arithmetic == Arithmetic::Matrix {
        let numbers = [
            ("LANES", matrix.lanes as usize),
            ("TEAMS", shape.teams),
            ("THREADS", threads),
            ("SPLIT", shape.split),
            ("ROWS", shape.rows),
            ("COLUMNS", shape.columns),
            ("ACROSS", shape.across),
            ("DEPTH", shape.depth),
            ("AHEAD", shape.ahead),
            ("PASSED", shape.passed),
            ("SLICES", tiled::slices(shape)),
            ("STAGED", shape.staged),
        ];
        let constants = numbers.map(|(name, number)| format!("const {name}: u32 = {number}u;\n")).concat();
        let gathered = format!("const GATHERED: bool = {};\n", shape.feed == Feed::Gathered);
        (constants + &gathered, matrix_body(shape, matrix))
    } else {
        let constants = format!(
            "const SPLIT: u32 = {}u;\nconst PARTIALS: u32 = {}u;\n",
            shape.split,
            vector_partials(shape)
        );
        (constants, CONV_VECTOR.to_owned())
    };
    [&real_types(arithmetic), &constants, CONV_JOB, CONV_FINISH, &body].concat()
}

/// Vectors of four that the vector kernel's teams but the first leave in workgroup memory.
fn vector_partials(shape: Shape) -> usize {
    ((shape.split - 1) * shape.rows * shape.columns * 64).max(1)
}

/// Writes out the lines of the matrix kernels that depend on the number of accumulators and on the side of the hardware's
/// matrices, 8 or 16.
fn matrix_body(shape: Shape, matrix: MatrixUnit) -> String {
    let side = matrix.side as usize;
    let lines = MatrixLines { shape, side, parts: BLOCK / side };
    let (text, (loads, products, stores)) = match shape.feed {
        Feed::Buffers => (CONV_MATRIX, lines.reading()),
        Feed::Cells => (CONV_STAGED, lines.staging()),
        Feed::Range | Feed::Gathered => return tiled::body(&lines, matrix.lanes as usize),
    };
    let inputs = repeat(shape.rows, |i| format!("let i{i} = fragment_of(job, top + {i}u).input;\n"));
    text.replace("//= inputs\n", &inputs)
        .replace("//= accumulators\n", &lines.accumulators())
        .replace("//= loads\n", &loads)
        .replace("//= products\n", &products)
        .replace("//= stores\n", &stores)
}

/// The shaders' own name for the number type of feature maps and weights. Directives must stand first.
fn real_types(arithmetic: Arithmetic) -> String {
    match arithmetic {
        Arithmetic::Matrix => "enable f16;\nenable wgpu_cooperative_matrix;\nalias real = f16;\n",
        Arithmetic::F16 => "enable f16;\nalias real = f16;\n",
        _ => "alias real = f32;\n",
    }
    .to_owned()
}

fn module(gpu: &Gpu, label: &str, text: &str) -> wgpu::ShaderModule {
    gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(text.into()),
    })
}

fn layout(gpu: &Gpu, bindings: &[Access]) -> wgpu::BindGroupLayout {
    let entries: Vec<wgpu::BindGroupLayoutEntry> = bindings
        .iter()
        .enumerate()
        .map(|(i, access)| wgpu::BindGroupLayoutEntry {
            binding: i as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: match access {
                    Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
                    Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
                    Access::Uniform => wgpu::BufferBindingType::Uniform,
                },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
}

fn pipeline_layout(gpu: &Gpu, groups: &[&wgpu::BindGroupLayout]) -> wgpu::PipelineLayout {
    let groups: Vec<Option<&wgpu::BindGroupLayout>> = groups.iter().copied().map(Some).collect();
    gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &groups,
        immediate_size: 0,
    })
}

fn pipeline(
    gpu: &Gpu,
    module: &wgpu::ShaderModule,
    layout: &wgpu::PipelineLayout,
    constants: &[(&str, f64)],
) -> wgpu::ComputePipeline {
    pipeline_at(gpu, module, "main", layout, constants)
}

fn pipeline_at(
    gpu: &Gpu,
    module: &wgpu::ShaderModule,
    entry_point: &str,
    layout: &wgpu::PipelineLayout,
    constants: &[(&str, f64)],
) -> wgpu::ComputePipeline {
    gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: Some(layout),
        module,
        entry_point: Some(entry_point),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants,
            // Every number of workgroup memory is written before it is read.
            zero_initialize_workgroup_memory: false,
        },
        cache: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    /// No driver is needed to see that a shader is sound, so that every shape is looked at on every machine.
    #[test]
    fn every_shader_is_valid() {
        let mut texts = vec![
            ("decode".to_owned(), DECODE.to_owned()),
            ("resize to bytes".to_owned(), RESIZE_TO_BYTES.to_owned() + RESIZE),
        ];
        for arithmetic in [Arithmetic::F32, Arithmetic::F16, Arithmetic::Matrix] {
            texts.push((format!("resize {arithmetic:?}"), real_types(arithmetic) + RESIZE_TO_MAPS + RESIZE));
            texts.push((format!("pool {arithmetic:?}"), pool_text(arithmetic)));
            for (lanes, side) in [(32, 16), (8, 8)] {
                for shape in shapes::all(arithmetic) {
                    let shape = Shape { staged: 64 * shape.depth.min(1), ..shape };
                    let text = conv_text(arithmetic, MatrixUnit { lanes, side }, shape);
                    texts.push((format!("{shape} with matrices of {side} {arithmetic:?}"), text));
                }
            }
        }
        assert!(texts.len() >= 50, "{} shaders", texts.len());
        let allowed = Capabilities::SHADER_FLOAT16 | Capabilities::COOPERATIVE_MATRIX;
        for (name, text) in texts {
            let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            let checked = Validator::new(ValidationFlags::all(), allowed).validate(&module);
            checked.unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&text)));
        }
    }
}
