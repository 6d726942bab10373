// From the frame's uploaded rows to the network's input: pixel order, colours, turn, mirror, scale, 1/255, all in one pass.
//
// Only the frame's rows that some output pixel reads are uploaded; `rows` of the taps already count those. Where pixels go is
// the function `put` of resize_to_maps.wgsl or resize_to_bytes.wgsl, which also has binding 0.

struct Frame {
    // The uploaded picture.
    pitch: u32,
    // Bytes from pixel to pixel, and first bytes of the three samples: red, green, blue or Y, U, V.
    pixel: u32,
    first: u32,
    second: u32,
    third: u32,
    // Elements of 4 bytes from one picture of the batch to the next.
    stride: u32,
    // Output rows run along the frame's columns.
    turned: u32,
    // Rectangle of the network's input that the frame covers.
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    fill: f32,
    // The network's input.
    pictures: u32,
    out_width: u32,
    out_height: u32,
    out_row: u32,
    out_image: u32,
    out_base: u32,
    // YUV: bytes from one pair of pixels' U and V to the next pair's. 0: not YUV.
    pair: u32,
    padding: u32,
}

struct Tap {
    first: u32,
    second: u32,
    share: f32,
}

@group(0) @binding(1) var<storage, read> frames: array<u32>;
@group(0) @binding(2) var<uniform> frame: Frame;
// Taps of the output columns, then of the output rows.
@group(0) @binding(3) var<storage, read> taps: array<Tap>;

override NEAREST: bool = false;

fn byte(start: u32, at: u32) -> f32 {
    return f32((frames[start + at / 4u] >> (8u * (at % 4u))) & 255u);
}

fn pixel(start: u32, across: u32, down: u32) -> vec3<f32> {
    let column = select(across, down, frame.turned != 0u);
    let line = select(down, across, frame.turned != 0u);
    let row = line * frame.pitch;
    let at = row + column * frame.pixel;
    let both = select(at, row + column / 2u * frame.pair, frame.pair != 0u);
    return vec3<f32>(byte(start, at + frame.first), byte(start, both + frame.second), byte(start, both + frame.third));
}

// BT.601, limited range, to full-range RGB: the same 16.16 fixed point as on the CPU.
fn rgb_of(yuv: vec3<f32>) -> vec3<f32> {
    let luma = 76309 * (i32(yuv.x) - 16) + 32768;
    let u = i32(yuv.y) - 128;
    let v = i32(yuv.z) - 128;
    let rgb = vec3<i32>(luma + 104597 * v, luma - 25675 * u - 53279 * v, luma + 132201 * u) >> vec3<u32>(16u);
    return vec3<f32>(clamp(rgb, vec3<i32>(0), vec3<i32>(255)));
}

@compute @workgroup_size(16, 8, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= frame.out_width || id.y >= frame.out_height || id.z >= frame.pictures) {
        return;
    }
    var rgb = vec3<f32>(frame.fill);
    let x = id.x - frame.x;
    let y = id.y - frame.y;
    // Unsigned: what lies left of or above the rectangle wraps round to large numbers.
    if (x < frame.width && y < frame.height) {
        let start = id.z * frame.stride;
        let across = taps[x];
        let down = taps[frame.width + y];
        rgb = pixel(start, across.first, down.first);
        if (!NEAREST) {
            let top = mix(rgb, pixel(start, across.second, down.first), across.share);
            let bottom = mix(
                pixel(start, across.first, down.second),
                pixel(start, across.second, down.second),
                across.share,
            );
            rgb = floor(mix(top, bottom, down.share) + 0.5);
        }
        if (frame.pair != 0u) {
            rgb = rgb_of(rgb);
        }
    }
    put(id, rgb);
}
