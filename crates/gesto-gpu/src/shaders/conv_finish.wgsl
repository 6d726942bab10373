// What follows a convolution's sums and bias: SiLU, residual, and the stores, four channels at a time.

struct Step {
    offset: u32,
    pitch: u32,
}

@group(0) @binding(0) var<storage, read_write> maps: array<vec4<real>>;
@group(0) @binding(1) var<storage, read> weights: array<vec4<real>>;
@group(0) @binding(2) var<storage, read> biases: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> raw: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> jobs: array<Job>;
@group(0) @binding(5) var<storage, read> steps: array<Step>;
@group(1) @binding(0) var<storage, read> tiles: array<vec4<u32>>;

fn finish(job: Job, place: vec2<u32>, channel: u32, sum: vec4<f32>) {
    var v = sum;
    if (job.silu != 0u) {
        v = v / (1.0 + exp(-v));
    }
    if (job.has_residual != 0u) {
        v += vec4<f32>(maps[(job.residual_base + place.x * job.residual_pitch + channel) / 4u]);
    }
    if (job.raw != 0u) {
        raw[(job.out_base + place.y * job.out_pitch + channel) / 4u] = v;
        return;
    }
    let rounded = vec4<real>(v);
    maps[(job.out_base + place.x * job.out_pitch + channel) / 4u] = rounded;
    if (job.has_doubled != 0u) {
        let next = job.doubled_pitch / 4u;
        let upper = (job.doubled_base + place.y * job.doubled_pitch + channel) / 4u;
        let lower = upper + job.doubled_row * next;
        maps[upper] = rounded;
        maps[upper + next] = rounded;
        maps[lower] = rounded;
        maps[lower + next] = rounded;
    }
}
