// Convolution on the matrix units: f16 matrices, f32 sums.
//
// A team is one subgroup and makes ROWS x COLUMNS blocks of 16 x 16 in accumulators, straight from the buffers: the border of
// zeros makes sixteen neighbouring cells the rows of a tile, whatever the tap. With SPLIT > 1 that many teams share their
// tiles, each taking a part of the steps; the rest of the TEAMS make further cells of the same channels.
//
// Accumulators cannot be indexed, so kernels.rs sets ROWS and COLUMNS and writes out the lines marked with '//='.

override LANES: u32 = 32u;
override TEAMS: u32 = 4u;
override SPLIT: u32 = 1u;
override THREADS: u32 = 128u;
override PARTIALS: u32 = 4096u;

struct Step {
    offset: u32,
    pitch: u32,
}

@group(0) @binding(0) var<storage, read_write> maps: array<f16>;
@group(0) @binding(1) var<storage, read> weights: array<f16>;
@group(0) @binding(2) var<storage, read> biases: array<f32>;
@group(0) @binding(3) var<storage, read_write> raw: array<f32>;
@group(0) @binding(4) var<storage, read> jobs: array<Job>;
@group(0) @binding(5) var<storage, read> steps: array<Step>;
@group(1) @binding(0) var<storage, read> tiles: array<vec4<u32>>;

const WIDE: u32 = COLUMNS * 16u;
const TILE: u32 = ROWS * 16u * WIDE;

// What each team summed.
var<workgroup> partials: array<f32, PARTIALS>;

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group.x + group.y * groups.x;
    if (number >= arrayLength(&tiles)) {
        return;
    }
    let tile = tiles[number];
    let job = jobs[tile.x];
    let team = local / LANES;
    let part = team % SPLIT;
    let top = tile.y + ROWS * (team / SPLIT);
    //= inputs

    //= accumulators
    let last = job.steps * (part + 1u) / SPLIT;
    for (var s = job.steps * part / SPLIT; s < last; s++) {
        let step = steps[job.first_step + s];
        let next = job.stride * step.pitch;
        let w = job.weights + s * job.output_blocks * 256u;
        //= products
    }
    let mine = team * TILE;
    //= stores
    workgroupBarrier();

    for (var e = local; e < TILE * (TEAMS / SPLIT); e += THREADS) {
        let within = e / TILE;
        let channel = tile.z * 16u + e % WIDE;
        let line = (e % TILE) / WIDE;
        let fragment = fragment_of(job, tile.y + ROWS * within + line / 16u);
        let at = fragment.output + line % 16u;
        let cell = cell_of(job, at);
        if (channel >= job.out_channels || line % 16u >= fragment.count || !cell.inside) {
            continue;
        }
        var v = biases[job.bias + channel];
        for (var p = 0u; p < SPLIT; p++) {
            v += partials[(within * SPLIT + p) * TILE + e % TILE];
        }
        if (job.silu != 0u) {
            v = v / (1.0 + exp(-v));
        }
        if (job.has_residual != 0u) {
            v += f32(maps[job.residual_base + at * job.residual_pitch + channel]);
        }
        if (job.raw != 0u) {
            raw[raw_index(job, cell, channel)] = v;
            continue;
        }
        maps[job.out_base + at * job.out_pitch + channel] = f16(v);
        if (job.has_doubled != 0u) {
            for (var d = 0u; d < 4u; d++) {
                maps[doubled_index(job, cell, d / 2u, d % 2u, channel)] = f16(v);
            }
        }
    }
}
