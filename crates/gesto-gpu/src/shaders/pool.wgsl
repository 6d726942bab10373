// Max pools, each thread four channels of one cell; taps outside the map do not count.

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
    let quads = job.channels / 4u;
    let item = tile.y + local;
    let channel = (item % quads) * 4u;
    let x = (item / quads) % job.width;
    let y = (item / quads / job.width) % job.height;
    let picture = item / quads / job.width / job.height;
    if (picture >= job.pictures) {
        return;
    }
    let corner = picture * (job.height + 2u) * job.row + job.row + 1u;
    var most = maps[(job.in_base + (corner + y * job.row + x) * job.in_pitch + channel) / 4u];
    let bottom = min(y + job.reach, job.height - 1u);
    let right = min(x + job.reach, job.width - 1u);
    for (var v = max(y, job.reach) - job.reach; v <= bottom; v++) {
        for (var u = max(x, job.reach) - job.reach; u <= right; u++) {
            most = max(most, maps[(job.in_base + (corner + v * job.row + u) * job.in_pitch + channel) / 4u]);
        }
    }
    maps[(job.out_base + (corner + y * job.row + x) * job.out_pitch + channel) / 4u] = most;
}
