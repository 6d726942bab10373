// Convolution on the matrix units, f16 matrices with f32 sums, for many cells: what a tile reads is staged in workgroup
// memory once, DEPTH x 16 channels at a time, and serves all nine taps, all teams and all output channels of the tile.
//
// A team is one subgroup and makes ROWS x COLUMNS blocks of 16 x 16 in accumulators. TEAMS / ACROSS teams lie behind each
// other along the cells, ACROSS beside each other along the output channels.
//
// Staged cells: where fragments follow each other in the map, one range that also holds the rows above and below, or a
// strip for each row of the kernel where rows are long; else a strip for each fragment and row of the kernel. `tile.w` is
// the distance from one row of the kernel to the next.
//
// Accumulators cannot be indexed, so kernels.rs sets the constants and writes out the lines marked with '//='.

// Vectors of four in a line of sums, and of a staged cell; the spare two keep neighbours in different banks.
const LINE: u32 = PASSED * 4u + 2u;
const FRAGMENTS: u32 = TEAMS / ACROSS * ROWS;
const CELL: u32 = DEPTH * 4u + 2u;
// Threads beside each other on a cell while staging, and cells on which the threads are at one time.
const BESIDE: u32 = DEPTH * 4u;
const ABREAST: u32 = THREADS / BESIDE;

var<workgroup> staged: array<vec4<f16>, STAGED * CELL>;
// The map's cell behind each staged one.
var<workgroup> origins: array<u32, STAGED>;
var<workgroup> places: array<vec2<u32>, FRAGMENTS * 16u>;
// Each team's sums of sixteen cells and PASSED blocks, on their way out.
var<workgroup> sums: array<vec4<f32>, TEAMS * 16u * LINE>;

fn store(job: Job, lane: u32, sums_at: u32, places_at: u32, block: u32) {
    for (var e = lane; e < 64u * PASSED; e += LANES) {
        let line = e / (PASSED * 4u);
        let quad = e % (PASSED * 4u);
        let channel = block * 16u + quad * 4u;
        let place = places[places_at + line];
        if (place.x != NOWHERE && channel < job.out_channels) {
            finish(job, place, channel, sums[sums_at + line * LINE + quad] + biases[(job.bias + channel) / 4u]);
        }
    }
}

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
    let strip = tile.w;
    let joined = job.fragments_in_row == 0u;
    // Staged cells from one fragment to the next, and in all.
    let apart = select(job.side * strip, 16u, joined);
    let count = select(FRAGMENTS * apart, (job.side - 1u) * strip + FRAGMENTS * 16u + job.side - 1u, joined);
    for (var s = local; s < count; s += THREADS) {
        let fragment = select(s / apart, 0u, joined);
        let rest = s - fragment * apart;
        let first = fragment_of(job, tile.y + fragment).input;
        origins[s] = first + rest / strip * job.in_row + rest % strip;
    }
    for (var p = local; p < FRAGMENTS * 16u; p += THREADS) {
        places[p] = place_of(job, fragment_of(job, tile.y + p / 16u), p % 16u);
    }
    workgroupBarrier();

    let team = local / LANES;
    let lane = local % LANES;
    let row = team / ACROSS * ROWS;
    let block = tile.z + team % ACROSS * COLUMNS;
    let beside = local % BESIDE;
    let next = job.stride * CELL;
    let taps = job.side * job.side;
    let top = row * apart * CELL;
    //= accumulators
    for (var chunk = 0u; chunk < job.chunks; chunk += DEPTH) {
        let depth = min(DEPTH, job.chunks - chunk);
        if (beside / 4u < depth) {
            let step = steps[job.first_step + (chunk + beside / 4u) * taps];
            for (var s = local / BESIDE; s < count; s += 4u * ABREAST) {
                // Four loads on their way at a time.
                let s1 = s + ABREAST;
                let s2 = s + 2u * ABREAST;
                let s3 = s + 3u * ABREAST;
                let v0 = maps[(origins[s] * step.pitch + step.offset) / 4u + beside % 4u];
                let v1 = maps[(origins[min(s1, count - 1u)] * step.pitch + step.offset) / 4u + beside % 4u];
                let v2 = maps[(origins[min(s2, count - 1u)] * step.pitch + step.offset) / 4u + beside % 4u];
                let v3 = maps[(origins[min(s3, count - 1u)] * step.pitch + step.offset) / 4u + beside % 4u];
                staged[s * CELL + beside] = v0;
                if (s1 < count) {
                    staged[s1 * CELL + beside] = v1;
                }
                if (s2 < count) {
                    staged[s2 * CELL + beside] = v2;
                }
                if (s3 < count) {
                    staged[s3 * CELL + beside] = v3;
                }
            }
        }
        workgroupBarrier();
        //= products
        workgroupBarrier();
    }
    let mine = team * 16u * LINE;
    //= stores
}
