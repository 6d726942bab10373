// Resized pixels become bytes for the host: red, green, blue and nothing in a word. They are whole numbers already.

@group(0) @binding(0) var<storage, read_write> picture: array<u32>;

fn put(id: vec3<u32>, rgb: vec3<f32>) {
    let bytes = vec3<u32>(rgb);
    picture[id.y * frame.out_width + id.x] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u);
}
