// A convolution as data. The same fields stand in `ConvJob` (plan/stage.rs). Offsets count elements.
struct Job {
    first_step: u32,
    steps: u32,
    weights: u32,
    output_blocks: u32,
    bias: u32,
    silu: u32,
    fragments_in_row: u32,
    stride: u32,
    in_row: u32,
    in_image: u32,
    height: u32,
    width: u32,
    row: u32,
    image: u32,
    pictures: u32,
    out_base: u32,
    out_pitch: u32,
    out_channels: u32,
    raw: u32,
    has_residual: u32,
    residual_base: u32,
    residual_pitch: u32,
    has_doubled: u32,
    doubled_base: u32,
    doubled_pitch: u32,
    doubled_row: u32,
    doubled_image: u32,
    fragments: u32,
    side: u32,
    chunks: u32,
}

// Sixteen output cells in a row of the map, or of the whole batch's cells.
struct Fragment {
    // Cell read by the kernel's centre for the first output cell; the next one's is `stride` further on.
    input: u32,
    output: u32,
    // Output cells that exist.
    count: u32,
}

fn fragment_of(job: Job, number: u32) -> Fragment {
    let exists = number < job.fragments;
    let n = min(number, job.fragments - 1u);
    if (job.fragments_in_row == 0u) {
        let cell = job.row + 1u + n * 16u;
        return Fragment(cell, cell, select(0u, 16u, exists));
    }
    let line = n / job.fragments_in_row;
    let x = (n % job.fragments_in_row) * 16u;
    let picture = line / job.height;
    let y = line % job.height;
    let input = picture * job.in_image + (y * job.stride + 1u) * job.in_row + 1u + x * job.stride;
    let output = picture * job.image + (y + 1u) * job.row + 1u + x;
    return Fragment(input, output, select(0u, min(16u, job.width - x), exists));
}

// Picture, row and column of a cell; `inside` is false in the border and past the last picture.
struct Cell {
    picture: u32,
    y: u32,
    x: u32,
    inside: bool,
}

fn cell_of(job: Job, cell: u32) -> Cell {
    let picture = cell / job.image;
    let rest = cell % job.image;
    let line = rest / job.row;
    let column = rest % job.row;
    let inside = picture < job.pictures && line >= 1u && line <= job.height && column >= 1u;
    return Cell(picture, line - 1u, column - 1u, inside);
}

// Marks a place that does not exist.
const NOWHERE: u32 = 0xffffffffu;

// Where an output cell goes: its number in the maps, and in the raw outputs or in the map of twice the size (the upper left
// one of its four cells there).
fn place_of(job: Job, fragment: Fragment, within: u32) -> vec2<u32> {
    let at = fragment.output + within;
    let cell = cell_of(job, at);
    if (within >= fragment.count || !cell.inside) {
        return vec2<u32>(NOWHERE, 0u);
    }
    if (job.raw != 0u) {
        return vec2<u32>(at, (cell.picture * job.height + cell.y) * job.width + cell.x);
    }
    return vec2<u32>(at, cell.picture * job.doubled_image + (2u * cell.y + 1u) * job.doubled_row + 2u * cell.x + 1u);
}
