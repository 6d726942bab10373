// Convolution on the matrix units, f16 matrices with f32 sums, straight from the maps: the border of zeros makes sixteen
// neighbouring cells the rows of a matrix, whatever the tap.
//
// A team is one subgroup and makes ROWS x COLUMNS blocks of 16 x 16 in accumulators. With SPLIT > 1 that many teams share
// their tiles, each taking a part of the steps; the rest of the TEAMS make further cells of the same channels.
//
// Accumulators cannot be indexed, so kernels.rs sets the constants and writes out the lines marked with '//='.

// Vectors of four in a line of sums; the spare two keep neighbouring lines in different banks.
const LINE: u32 = COLUMNS * 4u + 2u;
const LINES: u32 = ROWS * 16u;

// What each team summed.
var<workgroup> sums: array<vec4<f32>, TEAMS * LINES * LINE>;
var<workgroup> places: array<vec2<u32>, TEAMS / SPLIT * LINES>;

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
    for (var p = local; p < TEAMS / SPLIT * LINES; p += THREADS) {
        places[p] = place_of(job, fragment_of(job, tile.y + p / 16u), p % 16u);
    }
    let team = local / LANES;
    let part = team % SPLIT;
    let top = tile.y + ROWS * (team / SPLIT);
    //= inputs

    //= accumulators
    let last = job.steps * (part + 1u) / SPLIT;
    for (var s = job.steps * part / SPLIT; s < last; s += AHEAD) {
        // The matrices of AHEAD steps on their way at a time; steps past the last one are loaded and left out.
        //= loads
        //= products
    }
    let mine = team * LINES * LINE;
    //= stores
    workgroupBarrier();

    for (var e = local; e < TEAMS / SPLIT * LINES * COLUMNS * 4u; e += THREADS) {
        let line = e / (COLUMNS * 4u);
        let quad = e % (COLUMNS * 4u);
        let channel = tile.z * 16u + quad * 4u;
        let place = places[line];
        if (place.x == NOWHERE || channel >= job.out_channels) {
            continue;
        }
        let first = (line / LINES * SPLIT * LINES + line % LINES) * LINE + quad;
        var sum = sums[first];
        for (var p = 1u; p < SPLIT; p++) {
            sum += sums[first + p * LINES * LINE];
        }
        finish(job, place, channel, sum + biases[(job.bias + channel) / 4u]);
    }
}
