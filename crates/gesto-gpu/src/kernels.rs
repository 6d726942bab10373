//! Shaders, their layouts and the pipelines made of them.

use std::collections::HashMap;

use crate::adapter::MatrixUnit;
use crate::device::Gpu;
use crate::error::Result;
use crate::options::Arithmetic;
use crate::plan::layout::BLOCK;
use crate::plan::pack::BlockOrder;
use crate::plan::stage::Shape;

const CONV_JOB: &str = include_str!("shaders/conv_job.wgsl");
const CONV_VECTOR: &str = include_str!("shaders/conv_vector.wgsl");
const CONV_MATRIX: &str = include_str!("shaders/conv_matrix.wgsl");
const POOL: &str = include_str!("shaders/pool.wgsl");
const RESIZE: &str = include_str!("shaders/resize.wgsl");
const DECODE: &str = include_str!("shaders/decode.wgsl");

/// Threads of a team of the vector kernel.
const VECTOR_TEAM: usize = 64;
/// Fragments and blocks of the vector kernel's tile.
const VECTOR_TILE: (usize, usize) = (2, 2);

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
    pub(crate) resize_layout: wgpu::BindGroupLayout,
    pub(crate) decode_layout: wgpu::BindGroupLayout,
    pub(crate) pool: wgpu::ComputePipeline,
    pub(crate) decode: wgpu::ComputePipeline,
    /// The best class of each anchor point, without the rest of decoding.
    pub(crate) classes_only: wgpu::ComputePipeline,
    /// Bilinear, then nearest.
    pub(crate) resize: [wgpu::ComputePipeline; 2],
    convs: HashMap<Shape, wgpu::ComputePipeline>,
    /// By rows and columns of their tile.
    conv_modules: HashMap<(usize, usize), wgpu::ShaderModule>,
    conv_pipeline_layout: wgpu::PipelineLayout,
    arithmetic: Arithmetic,
    matrix: MatrixUnit,
}

impl Kernels {
    pub(crate) fn new(gpu: &Gpu, arithmetic: Arithmetic, matrix: MatrixUnit) -> Result<Self> {
        use Access::{Read, Uniform, Write};
        let conv_layout = layout(gpu, &[Write, Read, Read, Write, Read, Read]);
        let pool_layout = layout(gpu, &[Write, Read]);
        let tiles_layout = layout(gpu, &[Read]);
        let resize_layout = layout(gpu, &[Write, Read, Uniform, Read]);
        let decode_layout = layout(gpu, &[Read, Read, Read, Write, Write]);
        let real = |body: &str| real_types(arithmetic) + body;
        let conv_pipeline_layout = pipeline_layout(gpu, &[&conv_layout, &tiles_layout]);
        let pool_module = module(gpu, "pool", &real(POOL));
        let pool = pipeline(gpu, &pool_module, &pipeline_layout(gpu, &[&pool_layout, &tiles_layout]), &[]);
        let resize_module = module(gpu, "resize", &real(RESIZE));
        let resize_pipeline_layout = pipeline_layout(gpu, &[&resize_layout]);
        let resize = [0.0, 1.0]
            .map(|nearest| pipeline(gpu, &resize_module, &resize_pipeline_layout, &[("NEAREST", nearest)]));
        let decode_module = module(gpu, "decode", DECODE);
        let decode_pipeline_layout = pipeline_layout(gpu, &[&decode_layout]);
        let decode = pipeline(gpu, &decode_module, &decode_pipeline_layout, &[]);
        let classes_only = pipeline_at(gpu, &decode_module, "classes_only", &decode_pipeline_layout, &[]);
        gpu.check()?;
        Ok(Self {
            conv_layout,
            pool_layout,
            tiles_layout,
            resize_layout,
            decode_layout,
            pool,
            decode,
            classes_only,
            resize,
            convs: HashMap::new(),
            conv_modules: HashMap::new(),
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

    /// Shapes that this device can run, those that split the steps least first.
    pub(crate) fn shapes(&self, gpu: &Gpu) -> Vec<Shape> {
        // Teams, split, rows, columns.
        let all: &[(usize, usize, usize, usize)] = match self.arithmetic {
            Arithmetic::Matrix => &[
                (2, 1, 4, 4),
                (4, 1, 2, 4),
                (4, 1, 2, 2),
                (4, 2, 2, 4),
                (4, 2, 2, 2),
                (4, 4, 2, 2),
                (8, 8, 2, 2),
            ],
            _ => &[(1, 1, 2, 2), (2, 2, 2, 2), (4, 4, 2, 2), (8, 8, 2, 2)],
        };
        let limits = &gpu.limits;
        all.iter()
            .map(|&(teams, split, rows, columns)| Shape { teams, split, rows, columns })
            .filter(|&shape| {
                let (threads, partials) = self.threads_and_partials(shape);
                let bytes = partials * if self.arithmetic == Arithmetic::Matrix { 4 } else { 16 };
                threads <= limits.max_compute_invocations_per_workgroup as usize
                    && threads <= limits.max_compute_workgroup_size_x as usize
                    && bytes <= limits.max_compute_workgroup_storage_size as usize
            })
            .collect()
    }

    fn threads_and_partials(&self, shape: Shape) -> (usize, usize) {
        let tile = shape.rows * shape.columns * 256;
        match self.arithmetic {
            Arithmetic::Matrix => (shape.teams * self.matrix.lanes as usize, shape.teams * tile),
            // In vectors of four; the first team adds the others' sums to its own.
            _ => (shape.teams * VECTOR_TEAM, ((shape.split - 1) * tile / 4).max(1)),
        }
    }

    /// Makes the convolution pipelines for these shapes.
    pub(crate) fn compile(&mut self, gpu: &Gpu, shapes: &[Shape]) -> Result<()> {
        for &shape in shapes {
            if self.convs.contains_key(&shape) {
                continue;
            }
            let (threads, partials) = self.threads_and_partials(shape);
            let mut constants = vec![("SPLIT", shape.split as f64), ("PARTIALS", partials as f64)];
            if self.arithmetic == Arithmetic::Matrix {
                constants.extend([
                    ("LANES", f64::from(self.matrix.lanes)),
                    ("TEAMS", shape.teams as f64),
                    ("THREADS", threads as f64),
                ]);
            }
            let size = (shape.rows, shape.columns);
            let (arithmetic, matrix) = (self.arithmetic, self.matrix);
            let module = self.conv_modules.entry(size).or_insert_with(|| {
                let body = if arithmetic == Arithmetic::Matrix {
                    matrix_body(size, matrix.side as usize)
                } else {
                    assert_eq!(size, VECTOR_TILE, "the vector kernel has one tile size");
                    CONV_VECTOR.to_owned()
                };
                module(gpu, "convolution", &[&real_types(arithmetic), CONV_JOB, &body].concat())
            });
            let made = pipeline(gpu, module, &self.conv_pipeline_layout, &constants);
            gpu.check()?;
            self.convs.insert(shape, made);
        }
        Ok(())
    }

    /// The convolution pipeline of a compiled shape.
    pub(crate) fn conv(&self, shape: Shape) -> &wgpu::ComputePipeline {
        &self.convs[&shape]
    }
}

/// Writes out the lines of `conv_matrix.wgsl` that depend on the number of accumulators and on the side of the hardware's
/// matrices, 8 or 16.
fn matrix_body((rows, columns): (usize, usize), side: usize) -> String {
    let parts = BLOCK / side;
    let (rows_here, columns_here) = (rows * parts, columns * parts);
    let lines = |count: usize, f: &dyn Fn(usize) -> String| -> String { (0..count).map(f).collect() };
    let each = |f: &dyn Fn(usize, usize) -> String| -> String {
        (0..rows_here).flat_map(|i| (0..columns_here).map(move |j| (i, j))).map(|(i, j)| f(i, j)).collect()
    };
    let matrix = |number: &str, role: &str| format!("coop_mat{side}x{side}<{number}, {role}>");
    let (a, b, c) = (matrix("f16", "A"), matrix("f16", "B"), matrix("f32", "C"));
    let inputs = lines(rows, &|i| format!("let i{i} = fragment_of(job, top + {i}u).input;\n"));
    let accumulators = each(&|i, j| format!("var c{i}_{j}: {c};\n"));
    // A step has sixteen inputs: one matrix of side 16, or two of side 8.
    let products = lines(parts, &|k| {
        let cells = lines(rows_here, &|i| {
            let (fragment, within) = (i / parts, i % parts * side);
            format!(
                "let a{k}_{i} = coopLoadT<{a}>(&maps[i{fragment} * step.pitch + step.offset + {within}u * next + {}u], next);\n",
                k * side
            )
        });
        let weights = lines(columns_here, &|j| {
            // Past the last block the numbers are thrown away.
            let block = format!("min(tile.z + {}u, job.output_blocks - 1u)", j / parts);
            let within = j % parts * side * BLOCK + k * side;
            format!("let b{k}_{j} = coopLoad<{b}>(&weights[w + {block} * 256u + {within}u], 16u);\n")
        });
        cells
            + &weights
            + &each(&|i, j| format!("c{i}_{j} = coopMultiplyAdd(a{k}_{i}, b{k}_{j}, c{i}_{j});\n"))
    });
    let stores = each(&|i, j| {
        format!("coopStoreT(c{i}_{j}, &partials[mine + {}u * WIDE + {}u], WIDE);\n", i * side, j * side)
    });
    let body = CONV_MATRIX
        .replace("//= inputs\n", &inputs)
        .replace("//= accumulators\n", &accumulators)
        .replace("//= products\n", &products)
        .replace("//= stores\n", &stores);
    format!("const ROWS: u32 = {rows}u;\nconst COLUMNS: u32 = {columns}u;\n{body}")
}

/// The shader's own name for the feature maps' number type. Directives must stand first.
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
