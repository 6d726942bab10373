// Convolution with plain vector arithmetic: every adapter. `real` is f16 or f32.
//
// A team of 64 threads makes 32 cells by 32 channels, each thread 4 by 4, straight from the buffers: neighbouring
// threads share what they load through the cache. With SPLIT teams in a workgroup, each sums a part of the steps.

var<workgroup> partials: array<vec4<f32>, PARTIALS>;

@compute @workgroup_size(64, SPLIT, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
) {
    let number = group.x + group.y * groups.x;
    if (number >= arrayLength(&tiles)) {
        return;
    }
    let tile = tiles[number];
    let job = jobs[tile.x];
    let cells = local.x / 8u;
    let outputs = local.x % 8u;
    let fragment = fragment_of(job, tile.y + cells / 4u);
    let first = (cells % 4u) * 4u;
    let block = min(tile.z + outputs / 4u, job.output_blocks - 1u);

    var sum: array<vec4<f32>, 4>;
    let input = fragment.input + first * job.stride;
    let last = job.steps * (local.y + 1u) / SPLIT;
    for (var s = job.steps * local.y / SPLIT; s < last; s++) {
        let step = steps[job.first_step + s];
        let a = (input * step.pitch + step.offset) / 4u;
        let next = job.stride * step.pitch / 4u;
        let w = (job.weights + (s * job.output_blocks + block) * 256u) / 4u + outputs % 4u;
        for (var k = 0u; k < 4u; k++) {
            let w0 = weights[w + k * 16u];
            let w1 = weights[w + k * 16u + 4u];
            let w2 = weights[w + k * 16u + 8u];
            let w3 = weights[w + k * 16u + 12u];
            for (var i = 0u; i < 4u; i++) {
                let x = maps[a + i * next + k];
                sum[i] += vec4<f32>(x.x * w0 + x.y * w1 + x.z * w2 + x.w * w3);
            }
        }
    }

    if (SPLIT > 1u) {
        if (local.y > 0u) {
            for (var i = 0u; i < 4u; i++) {
                partials[((local.y - 1u) * 4u + i) * 64u + local.x] = sum[i];
            }
        }
        workgroupBarrier();
        if (local.y > 0u) {
            return;
        }
        for (var p = 0u; p < (SPLIT - 1u) * 4u; p++) {
            sum[p % 4u] += partials[p * 64u + local.x];
        }
    }

    let channel = tile.z * 16u + outputs * 4u;
    if (channel >= job.out_channels) {
        return;
    }
    for (var i = 0u; i < 4u; i++) {
        let place = place_of(job, fragment, first + i);
        if (place.x != NOWHERE) {
            finish(job, place, channel, sum[i] + biases[(job.bias + channel) / 4u]);
        }
    }
}
