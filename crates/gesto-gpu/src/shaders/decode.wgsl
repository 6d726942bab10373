// From raw maps to candidates: best class, threshold, box and keypoints of those that pass, written without gaps.
//
// Slots are handed out by an atomic counter, so their order varies from run to run; the host sorts by anchor point.

struct Level {
    classes: u32,
    classes_pitch: u32,
    boxes: u32,
    boxes_pitch: u32,
    points: u32,
    points_pitch: u32,
    // First anchor point of the level.
    first: u32,
    height: u32,
    width: u32,
    stride: f32,
}

struct Head {
    first_level: u32,
    levels: u32,
    classes: u32,
    keypoints: u32,
    anchors: u32,
    // Words of a record.
    record: u32,
    // Records of a picture that come back at once; then the words of the first of them and of the first of the others.
    quick: u32,
    quick_base: u32,
    rest_base: u32,
    counter: u32,
    // Logit that the best class must reach.
    limit: f32,
    padding: u32,
}

@group(0) @binding(0) var<storage, read> raw: array<f32>;
@group(0) @binding(1) var<storage, read> heads: array<Head>;
@group(0) @binding(2) var<storage, read> levels: array<Level>;
@group(0) @binding(3) var<storage, read_write> counters: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> records: array<u32>;

const BINS: u32 = 16u;

// Expectation of one box side's distribution, in cells.
fn side_length(start: u32) -> f32 {
    var most = raw[start];
    for (var i = 1u; i < BINS; i++) {
        most = max(most, raw[start + i]);
    }
    var total = 0.0;
    var weighted = 0.0;
    for (var i = 0u; i < BINS; i++) {
        let e = exp(raw[start + i] - most);
        total += e;
        weighted += e * f32(i);
    }
    return weighted / total;
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

fn level_of(head: Head, anchor: u32) -> Level {
    var l = head.first_level;
    while (l + 1u < head.first_level + head.levels && anchor >= levels[l + 1u].first) {
        l++;
    }
    return levels[l];
}

struct Best {
    class_number: u32,
    logit: f32,
}

fn best_class(head: Head, level: Level, cell: u32) -> Best {
    var best = Best(0u, -3.4e38);
    let scores = level.classes + cell * level.classes_pitch;
    for (var c = 0u; c < head.classes; c++) {
        let v = raw[scores + c];
        // The first of equal ones; NaN is never greater.
        if (v > best.logit) {
            best = Best(c, v);
        }
    }
    return best;
}

// The best class alone, for a host that decodes by itself: number and logit of each anchor point, head by head.
@compute @workgroup_size(64, 1, 1)
fn classes_only(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let head = heads[id.y];
    let anchor = id.x;
    if (anchor >= head.anchors) {
        return;
    }
    let level = level_of(head, anchor);
    let cell = id.z * level.height * level.width + anchor - level.first;
    let best = best_class(head, level, cell);
    // Every head has the same anchor points.
    let at = 2u * ((id.z * groups.y + id.y) * head.anchors + anchor);
    records[at] = best.class_number;
    records[at + 1u] = bitcast<u32>(best.logit);
}

@compute @workgroup_size(64, 1, 1)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let head = heads[id.y];
    let anchor = id.x;
    let picture = id.z;
    if (anchor >= head.anchors) {
        return;
    }
    let level = level_of(head, anchor);
    let cell = picture * level.height * level.width + anchor - level.first;
    let found = best_class(head, level, cell);
    if (!(found.logit >= head.limit)) {
        return;
    }

    let slot = atomicAdd(&counters[head.counter + picture], 1u);
    var at = head.quick_base + (picture * head.quick + slot) * head.record;
    if (slot >= head.quick) {
        at = head.rest_base + (picture * (head.anchors - head.quick) + slot - head.quick) * head.record;
    }
    let x = f32((anchor - level.first) % level.width) + 0.5;
    let y = f32((anchor - level.first) / level.width) + 0.5;
    let sides = level.boxes + cell * level.boxes_pitch;
    records[at] = anchor;
    records[at + 1u] = found.class_number;
    records[at + 2u] = bitcast<u32>(found.logit);
    records[at + 3u] = bitcast<u32>(sigmoid(found.logit));
    records[at + 4u] = bitcast<u32>((x - side_length(sides)) * level.stride);
    records[at + 5u] = bitcast<u32>((y - side_length(sides + BINS)) * level.stride);
    records[at + 6u] = bitcast<u32>((x + side_length(sides + 2u * BINS)) * level.stride);
    records[at + 7u] = bitcast<u32>((y + side_length(sides + 3u * BINS)) * level.stride);
    let points = level.points + cell * level.points_pitch;
    for (var k = 0u; k < head.keypoints; k++) {
        let p = points + 3u * k;
        records[at + 8u + 3u * k] = bitcast<u32>((2.0 * raw[p] + x - 0.5) * level.stride);
        records[at + 9u + 3u * k] = bitcast<u32>((2.0 * raw[p + 1u] + y - 0.5) * level.stride);
        records[at + 10u + 3u * k] = bitcast<u32>(sigmoid(raw[p + 2u]));
    }
}
