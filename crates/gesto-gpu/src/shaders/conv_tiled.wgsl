// Convolution on the matrix units, f16 matrices with f32 sums, for many cells: a product of two matrices that both lie in
// workgroup memory, what a tile's cells read and the weights that it meets, SLICES steps at a time.
//
// A team is one subgroup and makes ROWS x COLUMNS blocks of 16 x 16 in accumulators. TEAMS / ACROSS teams lie behind each
// other along the cells, ACROSS beside each other along the output channels.
//
// GATHERED: each output cell has a row of what its SLICES steps read. Steps may be anything, and neighbours in the tile may lie
// anywhere, so that no cell of a border is computed. Otherwise, for kernels of 3 x 3 and stride 1, one range of cells of sixteen
// channels serves all nine taps; `tile.w` is the distance from one row of the kernel to the next in it.
//
// Rows in workgroup memory begin on 16 bytes, which the type of the arrays makes plain, and are an odd number of 16 bytes
// long: drivers then load matrices by whole rows, eight of them from different banks.
//
// Accumulators cannot be indexed, and loads are to be on their way all at once, so kernels/tiled.rs sets the constants and
// writes out the lines marked with '//='.

const CELLS: u32 = TEAMS / ACROSS * ROWS * 16u;
const BLOCKS: u32 = COLUMNS * ACROSS;
// Pairs of vectors in a row of weights, and in one of cells.
const PITCH: u32 = SLICES * 2u + 1u;
const CELL: u32 = select(3u, PITCH, GATHERED);
const PLACE: u32 = select(1u, 2u, GATHERED);
// Vectors of four in a line of sums; the spare two keep neighbouring lines in different banks.
const LINE: u32 = PASSED * 4u + 2u;

var<workgroup> cells: array<array<vec4<f16>, 2>, STAGED * CELL>;
var<workgroup> kernel: array<array<vec4<f16>, 2>, BLOCKS * 16u * PITCH>;
var<workgroup> bias: array<vec4<f32>, BLOCKS * 4u>;
// Where each cell goes: two numbers, of which a map without a copy of twice the size needs one.
var<workgroup> places: array<u32, CELLS * PLACE>;
// Each team's sums of sixteen cells and PASSED blocks, on their way out.
var<workgroup> sums: array<vec4<f32>, TEAMS * 16u * LINE>;

// Picture, row and column of an output cell, the borders not counted.
fn inner_cell(job: Job, number: u32) -> vec3<u32> {
    let line = number / job.width;
    return vec3<u32>(line / job.height, line % job.height, number % job.width);
}

// The input cell that the kernel's centre meets, for one of the cells in workgroup memory.
fn origin(job: Job, tile: vec4<u32>, cell: u32) -> u32 {
    if (GATHERED) {
        let last = job.pictures * job.height * job.width - 1u;
        let at = inner_cell(job, min(tile.y * 16u + cell, last));
        return at.x * job.in_image + (at.y * job.stride + 1u) * job.in_row + 1u + at.z * job.stride;
    }
    let here = min(cell, 2u * tile.w + CELLS + 1u);
    return fragment_of(job, tile.y).input + here / tile.w * job.in_row + here % tile.w;
}

// Where an output cell of the tile goes, as `place_of` tells.
fn destination(job: Job, tile: vec4<u32>, cell: u32) -> vec2<u32> {
    if (!GATHERED) {
        return place_of(job, fragment_of(job, tile.y + cell / 16u), cell % 16u);
    }
    let number = tile.y * 16u + cell;
    if (number >= job.pictures * job.height * job.width) {
        return vec2<u32>(NOWHERE, 0u);
    }
    let at = inner_cell(job, number);
    let doubled = at.x * job.doubled_image + (2u * at.y + 1u) * job.doubled_row + 2u * at.z + 1u;
    let plain = at.x * job.image + (at.y + 1u) * job.row + at.z + 1u;
    return vec2<u32>(plain, select(doubled, number, job.raw != 0u));
}

fn step_of(job: Job, number: u32) -> Step {
    return steps[job.first_step + min(number, job.steps - 1u)];
}

// A vector of a step's weights. Past the last step come the zeros at the table's start.
fn weight(job: Job, number: u32, block: u32, within: u32) -> vec4<f16> {
    let at = job.weights / 4u + (number * job.output_blocks + min(block, job.output_blocks - 1u)) * 64u;
    return weights[select(0u, at, number < job.steps) + within];
}

fn store(job: Job, first_block: u32, lane: u32, sums_at: u32, places_at: u32, block: u32) {
    for (var e = lane; e < 64u * PASSED; e += LANES) {
        let line = e / (PASSED * 4u);
        let quad = e % (PASSED * 4u);
        let channel = (first_block + block) * 16u + quad * 4u;
        let at = (places_at + line) * PLACE;
        let place = vec2<u32>(places[at], places[at + PLACE - 1u]);
        if (place.x != NOWHERE && channel < job.out_channels) {
            finish(job, place, channel, sums[sums_at + line * LINE + quad] + bias[block * 4u + quad]);
        }
    }
}

@compute @workgroup_size(THREADS, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group.x + group.y * workgroups.x;
    if (number >= arrayLength(&tiles)) {
        return;
    }
    let tile = tiles[number];
    let job = jobs[tile.x];
    let strip = tile.w;
    let part = local % 4u;
    //= origins
    //= steps
    for (var p = local; p < CELLS; p += THREADS) {
        let place = destination(job, tile, p);
        places[p * PLACE] = select(place.x, place.y, !GATHERED && job.raw != 0u && place.x != NOWHERE);
        if (GATHERED) {
            places[p * PLACE + PLACE - 1u] = place.y;
        }
    }
    for (var b = local; b < BLOCKS * 4u; b += THREADS) {
        let last = job.output_blocks * 4u - 1u;
        bias[b] = biases[job.bias / 4u + min(tile.z * 4u + b, last)];
    }

    let team = local / LANES;
    let lane = local % LANES;
    let row = team / ACROSS * ROWS * 16u;
    let column = team % ACROSS * COLUMNS * 16u;
    let groups = (job.steps + SLICES - 1u) / SLICES;
    //= accumulators
    //= first loads
    for (var g = 0u; g < groups; g++) {
        //= loads
        //= puts
        workgroupBarrier();
        //= next
        //= products
        workgroupBarrier();
    }
    let mine = team * 16u * LINE;
    //= stores
}
