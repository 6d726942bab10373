//! Resizing against its definition; places in the frame against places in the network's input.

use proptest::prelude::*;

use super::*;
use crate::geometry::Rect;
use crate::{Orientation, PixelFormat, Plane, Rotation};

fn fits() -> impl Strategy<Value = Fit> {
    prop_oneof![Just(Fit::Letterbox), Just(Fit::Stretch)]
}

fn orientations() -> impl Strategy<Value = Orientation> {
    proptest::sample::select(Orientation::all().collect::<Vec<_>>())
}

/// Bytes without a pattern that a resize could hide behind.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as u8
    })
    .take(len)
    .collect()
}

/// The largest difference between a resize and its definition. `even` sides serve the YUV formats.
fn worst(
    frame: &Frame<'_>,
    fit: Fit,
    resize: Resize,
    (height, width): (u32, u32),
    close: impl Fn((f32, f32)) -> bool,
) -> u8 {
    let mut got = vec![7; (height * width * 3) as usize];
    let mut want = got.clone();
    let mapping = Preprocessor::new(height, width, fit, resize).unwrap().run(frame, &mut got);
    reference::fill(frame, &mapping, resize, width, &mut want);
    let difference = |i: usize| {
        let (x, y) = ((i / 3) as u32 % width, (i / 3) as u32 / width);
        let undecided = close(mapping.point_to_frame((x as f32 + 0.5, y as f32 + 0.5)));
        if undecided { 0 } else { got[i].abs_diff(want[i]) }
    };
    (0..got.len()).map(difference).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_resize_follows_its_definition(
        format in proptest::sample::select(PixelFormat::ALL.to_vec()),
        (w, h) in (1_u32..60, 1_u32..60),
        network in (1_u32..48, 1_u32..48),
        (fit, orientation) in (fits(), orientations()),
        gap in 0_usize..9,
        seed in any::<u32>(),
    ) {
        // YUV formats need even sides.
        let (w, h) = if matches!(format, PixelFormat::Nv12 | PixelFormat::Yuyv) { (2 * w, 2 * h) } else { (w, h) };
        let stride = format.row_bytes(w) + gap;
        let bytes = noise(stride * h as usize * 2, seed);
        let plane = Plane { data: &bytes, stride };
        let frame = match format {
            PixelFormat::Nv12 => {
                Frame::nv12(plane, Plane { data: &bytes[stride * h as usize..], stride }, w, h)
            }
            _ => Frame::with_stride(format, &bytes, w, h, stride),
        };
        let frame = frame.unwrap().oriented(orientation);
        // One level for the rounding; YUV's matrix makes up to four of it.
        let level = if matches!(format, PixelFormat::Nv12 | PixelFormat::Yuyv) { 4 } else { 1 };
        let off = worst(&frame, fit, Resize::CpuBilinear, network, |_| false);
        prop_assert!(off <= level, "bilinear is off by {off}");
        // Where an output pixel's centre lies between two pixels either is nearest.
        let between = |v: f32| (v - v.round()).abs() < 1e-3;
        let off = worst(&frame, fit, Resize::CpuNearest, network, |(x, y)| between(x) || between(y));
        prop_assert!(off == 0, "nearest is off by {off}");
        // Chroma is averaged on its own grid, so only what has none is compared with the definition.
        if level == 1 {
            let off = worst(&frame, fit, Resize::CpuArea, network, |_| false);
            prop_assert!(off <= level, "area is off by {off}");
        }
    }

    #[test]
    fn a_mapped_box_comes_back(
        (w, h) in prop_oneof![Just((3775_u32, 1571_u32)), (1_u32..9000, 1_u32..9000)],
        network in (1_u32..40, 1_u32..40),
        (fit, orientation) in (fits(), orientations()),
        corners in (0.0_f32..1.0, 0.0_f32..1.0, 0.0_f32..1.0, 0.0_f32..1.0),
    ) {
        let mapping = Mapping::of_size(w, h, orientation, fit, 32 * network.0, 32 * network.1);
        let (fw, fh) = (w as f32, h as f32);
        let rect = Rect::from_corners((corners.0 * fw, corners.1 * fh), (corners.2 * fw, corners.3 * fh));
        let there = mapping.rect_to_network(&rect);
        let [x, y, tw, th] = mapping.target().map(|v| v as f32);
        prop_assert!(there.x >= x - 0.01 && there.right() <= x + tw + 0.01, "{there:?} in {:?}", mapping.target());
        prop_assert!(there.y >= y - 0.01 && there.bottom() <= y + th + 0.01, "{there:?} in {:?}", mapping.target());
        assert_near(&mapping.rect_to_frame(&there), &rect, 0.05);
    }

    #[test]
    fn a_painted_box_comes_back_within_half_a_pixel(
        (w, h) in (40_u32..400, 40_u32..400),
        network in (2_u32..8, 2_u32..8),
        (fit, orientation) in (fits(), orientations()),
        seed in any::<u32>(),
    ) {
        painted_box_comes_back((w, h), (32 * network.0, 32 * network.1), fit, orientation, seed);
    }
}

/// 3775 x 1571 is a picture on which one scale for both axes beside a rounded size shows its drift.
#[test]
fn a_painted_box_comes_back_at_the_classic_odd_size() {
    for orientation in Orientation::all() {
        for fit in [Fit::Letterbox, Fit::Stretch] {
            painted_box_comes_back((3775, 1571), (320, 224), fit, orientation, 12345);
        }
    }
}

/// Paints a white box, finds it in the network's input by its brightness, and maps what was found back.
fn painted_box_comes_back(
    (w, h): (u32, u32),
    network: (u32, u32),
    fit: Fit,
    orientation: Orientation,
    seed: u32,
) {
    // Sides of at least a third, so that a box covers several network pixels.
    let part = |side: u32, seed: u32| {
        let len = side / 3 + seed % (side / 3);
        let start = (seed / 7) % (side - len);
        (start, len)
    };
    let ((x, bw), (y, bh)) = (part(w, seed), part(h, seed.rotate_left(16)));
    let mut pixels = vec![0; (w * h) as usize];
    for row in pixels.chunks_exact_mut(w as usize).skip(y as usize).take(bh as usize) {
        row[x as usize..(x + bw) as usize].fill(255);
    }
    let frame = Frame::new(PixelFormat::Gray8, &pixels, w, h).unwrap().oriented(orientation);
    let mut input = vec![0; (network.0 * network.1 * 3) as usize];
    let mapping =
        Preprocessor::new(network.0, network.1, fit, Resize::CpuArea).unwrap().run(&frame, &mut input);

    // Brightness summed along each axis; grey bars do not count.
    let [left, top, tw, th] = mapping.target().map(|v| v as usize);
    let (mut columns, mut rows) = (vec![0.0; tw], vec![0.0; th]);
    for (j, row_sum) in rows.iter_mut().enumerate() {
        for (i, column_sum) in columns.iter_mut().enumerate() {
            let v = f64::from(input[((top + j) * network.1 as usize + left + i) * 3]);
            *row_sum += v;
            *column_sum += v;
        }
    }
    let (x0, x1) = extent(&columns);
    let (y0, y1) = extent(&rows);
    let found = Rect::from_corners((x0 + left as f32, y0 + top as f32), (x1 + left as f32, y1 + top as f32));
    let painted = Rect::new(x as f32, y as f32, bw as f32, bh as f32);
    assert_near(&mapping.rect_to_frame(&found), &painted, 0.5);
}

/// Start and end of a bar whose coverage of each cell is `profile`, up to a factor.
fn extent(profile: &[f64]) -> (f32, f32) {
    let full = profile.iter().copied().fold(0.0, f64::max);
    let inside = |v: &f64| *v > 0.5 * full;
    let (first, last) = (profile.iter().position(inside).unwrap(), profile.iter().rposition(inside).unwrap());
    // Whole cells from the middle outwards, then the share of the cells at the ends.
    let middle = usize::midpoint(first, last);
    let start = middle as f64 - profile[..middle].iter().sum::<f64>() / full;
    let end = middle as f64 + profile[middle..].iter().sum::<f64>() / full;
    (start as f32, end as f32)
}

fn assert_near(got: &Rect, want: &Rect, tolerance: f32) {
    let off = [got.x - want.x, got.y - want.y, got.right() - want.right(), got.bottom() - want.bottom()];
    assert!(off.iter().all(|v| v.abs() <= tolerance), "{got:?} is not {want:?}: {off:?}");
}

/// The eight stored forms of one upright picture, as the EXIF specification's table of orientations gives them.
#[test]
fn exif_orientations_become_upright() {
    let upright = [1, 2, 3, 4, 5, 6]; // 2 wide, 3 high
    let stored: [(u32, [u8; 6]); 8] = [
        (2, [1, 2, 3, 4, 5, 6]),
        (2, [2, 1, 4, 3, 6, 5]),
        (2, [6, 5, 4, 3, 2, 1]),
        (2, [5, 6, 3, 4, 1, 2]),
        (3, [1, 3, 5, 2, 4, 6]),
        (3, [2, 4, 6, 1, 3, 5]),
        (3, [6, 4, 2, 5, 3, 1]),
        (3, [5, 3, 1, 6, 4, 2]),
    ];
    for (tag, (width, pixels)) in (1..).zip(stored) {
        let orientation = Orientation::from_exif(tag).unwrap();
        let frame = Frame::new(PixelFormat::Gray8, &pixels, width, 6 / width).unwrap().oriented(orientation);
        for resize in [Resize::CpuBilinear, Resize::CpuNearest, Resize::CpuArea] {
            let mut input = [0; 18];
            Preprocessor::new(3, 2, Fit::Letterbox, resize).unwrap().run(&frame, &mut input);
            let got: Vec<u8> = input.iter().copied().step_by(3).collect();
            assert_eq!(got, upright, "tag {tag}, {resize:?}");
        }
    }
    assert_eq!(Orientation::from_exif(0), None);
    assert_eq!(Orientation::from_exif(9), None);
}

#[test]
fn a_letterbox_is_centred_and_grey() {
    let pixels = vec![200; 1080 * 1920 * 4];
    let frame = Frame::new(PixelFormat::Bgra8, &pixels, 1080, 1920).unwrap();
    let mut input = vec![0; 320 * 224 * 3];
    let mapping =
        Preprocessor::new(320, 224, Fit::Letterbox, Resize::CpuBilinear).unwrap().run(&frame, &mut input);
    assert_eq!(mapping.target(), [22, 0, 180, 320]);
    for (i, pixel) in input.chunks_exact(3).enumerate() {
        let want = if (22..202).contains(&(i % 224)) { 200 } else { PAD };
        assert_eq!(pixel, [want; 3], "pixel {i}");
    }
    // A lying picture gets its bars above and below; the odd row goes below.
    let mapping = Mapping::of_size(1000, 501, Orientation::default(), Fit::Letterbox, 320, 224);
    assert_eq!(mapping.target(), [0, 104, 224, 112]);
}

#[test]
fn tables_follow_a_change_of_frame() {
    let mut input = vec![0; 32 * 32 * 3];
    let mut used = Preprocessor::new(32, 32, Fit::Letterbox, Resize::CpuBilinear).unwrap();
    let bytes = noise(70 * 50 * 4, 3);
    for (format, w, h, rotation) in [
        (PixelFormat::Rgb8, 70, 50, Rotation::None),
        (PixelFormat::Rgb8, 70, 50, Rotation::Cw90),
        (PixelFormat::Bgra8, 50, 70, Rotation::Cw90),
        (PixelFormat::Nv12, 20, 10, Rotation::Cw180),
        (PixelFormat::Rgb8, 1, 1, Rotation::Cw270),
    ] {
        let frame = Frame::new(format, &bytes, w, h).unwrap().rotated(rotation);
        let mut fresh = vec![1; input.len()];
        Preprocessor::new(32, 32, Fit::Letterbox, Resize::CpuBilinear).unwrap().run(&frame, &mut fresh);
        used.run(&frame, &mut input);
        assert_eq!(input, fresh, "{format} {w} x {h} {rotation:?}");
    }
}

/// Colours of the BT.601 bars at 100 %, limited range.
#[test]
fn yuv_becomes_the_colours_of_the_standard() {
    let bars = [
        ([16, 128, 128], [0, 0, 0]),
        ([235, 128, 128], [255, 255, 255]),
        ([81, 90, 240], [255, 0, 0]),
        ([145, 54, 34], [0, 255, 0]),
        ([41, 240, 110], [0, 0, 255]),
        ([210, 16, 146], [255, 255, 0]),
        ([170, 166, 16], [0, 255, 255]),
        ([106, 202, 222], [255, 0, 255]),
    ];
    for ([y, u, v], rgb) in bars {
        let nv12 = [y, y, y, y, u, v];
        let yuyv = [y, u, y, v, y, u, y, v];
        for (format, bytes) in [(PixelFormat::Nv12, &nv12[..]), (PixelFormat::Yuyv, &yuyv[..])] {
            let frame = Frame::new(format, bytes, 2, 2).unwrap();
            for resize in [Resize::CpuBilinear, Resize::CpuNearest, Resize::CpuArea] {
                let mut input = [0; 12];
                Preprocessor::new(2, 2, Fit::Stretch, resize).unwrap().run(&frame, &mut input);
                for (got, want) in input.iter().zip(rgb.iter().cycle()) {
                    assert!(got.abs_diff(*want) <= 2, "{format} {y},{u},{v}: {input:?} is not {rgb:?}");
                }
            }
        }
    }
}
