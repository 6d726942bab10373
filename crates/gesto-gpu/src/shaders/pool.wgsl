// Max pools; taps outside the map do not count.
//
// A workgroup takes some channels of a whole map into workgroup memory and pools along the rows, then along the columns: 2 x 13
// taps instead of 169 for the widest. Maps that are too large for that are pooled from where they lie, each thread four
// channels of one cell.

struct Job {
    in_base: u32,
    in_pitch: u32,
    out_base: u32,
    out_pitch: u32,
    channels: u32,
    height: u32,
    width: u32,
    row: u32,
    pictures: u32,
    reach: u32,
    padding: vec2<u32>,
}

@group(0) @binding(0) var<storage, read_write> maps: array<vec4<real>>;
@group(0) @binding(1) var<storage, read> jobs: array<Job>;
@group(1) @binding(0) var<storage, read> tiles: array<vec4<u32>>;

// What a picture's cells hold, and the maxima along their rows.
var<workgroup> cells: array<vec4<real>, ROOM>;
var<workgroup> rows: array<vec4<real>, ROOM>;

fn input(job: Job, picture: u32, y: u32, x: u32, channel: u32) -> u32 {
    let cell = (picture * (job.height + 2u) + y + 1u) * job.row + x + 1u;
    return (job.in_base + cell * job.in_pitch + channel) / 4u;
}

fn output(job: Job, picture: u32, y: u32, x: u32, channel: u32) -> u32 {
    let cell = (picture * (job.height + 2u) + y + 1u) * job.row + x + 1u;
    return (job.out_base + cell * job.out_pitch + channel) / 4u;
}

// `quads` vectors of each cell of one picture, from the vector `first` on.
fn whole(job: Job, picture: u32, first: u32, quads: u32, local: u32) {
    let count = job.height * job.width * quads;
    for (var i = local; i < count; i += 64u) {
        let cell = i / quads;
        cells[i] = maps[input(job, picture, cell / job.width, cell % job.width, (first + i % quads) * 4u)];
    }
    workgroupBarrier();
    for (var i = local; i < count; i += 64u) {
        let x = i / quads % job.width;
        let left = max(x, job.reach) - job.reach;
        let right = min(x + job.reach, job.width - 1u);
        var most = cells[i];
        for (var u = left; u <= right; u++) {
            most = max(most, cells[i + u * quads - x * quads]);
        }
        rows[i] = most;
    }
    workgroupBarrier();
    let line = job.width * quads;
    for (var i = local; i < count; i += 64u) {
        let y = i / line;
        let top = max(y, job.reach) - job.reach;
        let bottom = min(y + job.reach, job.height - 1u);
        var most = rows[i];
        for (var v = top; v <= bottom; v++) {
            most = max(most, rows[i + v * line - y * line]);
        }
        maps[output(job, picture, y, i / quads % job.width, (first + i % quads) * 4u)] = most;
    }
}

fn one(job: Job, item: u32) {
    let quads = job.channels / 4u;
    let channel = (item % quads) * 4u;
    let x = (item / quads) % job.width;
    let y = (item / quads / job.width) % job.height;
    let picture = item / quads / job.width / job.height;
    if (picture >= job.pictures) {
        return;
    }
    var most = maps[input(job, picture, y, x, channel)];
    let bottom = min(y + job.reach, job.height - 1u);
    let right = min(x + job.reach, job.width - 1u);
    for (var v = max(y, job.reach) - job.reach; v <= bottom; v++) {
        for (var u = max(x, job.reach) - job.reach; u <= right; u++) {
            most = max(most, maps[input(job, picture, v, u, channel)]);
        }
    }
    maps[output(job, picture, y, x, channel)] = most;
}

@compute @workgroup_size(64, 1, 1)
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
    if (tile.w > 0u) {
        whole(job, tile.y, tile.z, tile.w, local);
    } else {
        one(job, tile.y + local);
    }
}
