// Resized pixels become the network's input map, 0 to 1, inside its border of zeros.

@group(0) @binding(0) var<storage, read_write> maps: array<vec4<real>>;

fn put(id: vec3<u32>, rgb: vec3<f32>) {
    let cell = id.z * frame.out_image + (id.y + 1u) * frame.out_row + id.x + 1u;
    maps[frame.out_base / 4u + cell] = vec4<real>(vec4<f32>(rgb / 255.0, 0.0));
}
