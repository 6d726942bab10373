//! Every tier against the plain kernels, bit by bit; the plain ones against the exact definitions.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::isa::Detected;
use crate::picture::{Orientation, PixelFormat, Plane};
use crate::plan::layout::Format;
use crate::resample::{Method, Resampler};

#[test]
fn pixels_of_three_bytes_are_spread_by_every_tier() {
    let pixels: Vec<[u8; 3]> = (0..70u8).map(|i| [i, 100 + i, 255 - i]).collect();
    for count in 0..=pixels.len() {
        let want: Vec<_> = pixels[..count].iter().map(|&[r, g, b]| [r, g, b, 0]).collect();
        for token in tiers().into_iter().chain([plain()]) {
            let mut samples = vec![[9; 4]; 80];
            super::spread(super::Tier::of(token), &pixels[..count], &mut samples);
            assert_eq!(samples[..count], want, "{}", token.isa());
            assert!(samples[count..].iter().all(|&sample| sample == [9; 4]), "{}", token.isa());
        }
    }
}

#[test]
fn pixels_of_three_bytes_become_the_cells_of_their_samples() {
    // The last byte of the picture is the last one that may be read.
    let bytes = noise(3 * 150, 5);
    for cells in [Format::F32, Format::Bf16, Format::U8].map(Cells::Numbers) {
        for count in 0..=150 {
            let mut samples = vec![[0; 4]; count];
            let mut want = vec![9; 150 * cells.bytes()];
            super::spread(Tier::Plain, bytes.as_chunks().0.get(..count).unwrap(), &mut samples);
            // SAFETY: there is room for 150 cells.
            unsafe { emit::plain(cells, &samples, want.as_mut_ptr()) };
            for token in tiers() {
                for after in [0, 3 * (150 - count)] {
                    let mut got = vec![9; 150 * cells.bytes()];
                    let (bytes, tier) = (&bytes[..3 * count + after], Tier::of(token));
                    // SAFETY: as above.
                    let done = unsafe { emit::emit_pixels(tier, cells, bytes, count, got.as_mut_ptr()) };
                    let (begun, rest) = got.split_at(done * cells.bytes());
                    assert_eq!(begun, &want[..begun.len()], "{} {cells:?} {count}", token.isa());
                    assert!(done <= count && rest.iter().all(|&byte| byte == 9), "{} {count}", token.isa());
                    let short = matches!(cells, Cells::Numbers(Format::Bf16 | Format::U8));
                    if token.isa() == Isa::Avx512F32 && short && after >= 16 {
                        assert_eq!(done, count / 16 * 16, "{cells:?}");
                    }
                }
            }
        }
    }
}

/// The tiers of this machine but the plain one; names those it lacks.
fn tiers() -> Vec<Token> {
    let detected = Detected::get();
    let wanted = [Isa::Avx2F32, Isa::Avx512F32];
    for (isa, why) in wanted.iter().filter_map(|&isa| Some((isa, detected.missing(isa)?))) {
        // Unlike `println!`, this shows for tests that pass.
        _ = writeln!(std::io::stderr(), "skipped: the resampling kernels of {isa} ({why})");
    }
    wanted.into_iter().filter_map(|isa| detected.token(isa).ok()).collect()
}

fn plain() -> Token {
    Detected::get().token(Isa::Portable).unwrap()
}

/// Bytes without a pattern.
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

/// A picture whose last row ends with its last pixel, so that a kernel that reads too far reads out of bounds.
fn picture(
    format: PixelFormat,
    (width, height): (u32, u32),
    gap: usize,
    bytes: &[u8],
    orientation: Orientation,
) -> Picture<'_> {
    let row = format.row_bytes(width);
    let stride = row + gap;
    let rows = |height: usize| stride * (height - 1) + row;
    let first = rows(height as usize);
    let second = if format == PixelFormat::Nv12 { rows(height as usize / 2) } else { 0 };
    let planes = [&bytes[..first], &bytes[first..first + second]].map(|data| Plane { data, stride });
    Picture::new(format, width, height, planes, orientation).unwrap()
}

/// All bytes that a job writes, and some behind them that it must not.
fn output(
    resampler: &mut Resampler,
    picture: &Picture<'_>,
    target: [u32; 4],
    size: (usize, usize),
    cells: Cells,
) -> Vec<u8> {
    let (height, width) = size;
    let mut bytes = vec![0xa5; height * width * cells.bytes() + 64];
    resampler.prepare(picture, target, 1);
    let job = resampler.job(picture);
    // SAFETY: a whole picture of these cells.
    unsafe {
        let output = Output::new(bytes.as_mut_ptr(), width * cells.bytes(), cells);
        match cells {
            Cells::Rgb8 => job.share(0, 1, output),
            Cells::Numbers(_) => fill(job.tier, job.tables, picture, 0..height, output),
        }
    }
    assert!(bytes[height * width * cells.bytes()..].iter().all(|&byte| byte == 0xa5), "written past the end");
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_tier_gives_the_plain_kernels_bits(
        format in proptest::sample::select(PixelFormat::ALL.to_vec()),
        sides in (1_u32..90, 1_u32..40),
        network in (1_usize..40, 1_usize..70),
        bars in (0_usize..9, 0_usize..9),
        orientation in proptest::sample::select(Orientation::all().collect::<Vec<_>>()),
        gap in 0_usize..9,
        seed in any::<u32>(),
    ) {
        let double = matches!(format, PixelFormat::Nv12 | PixelFormat::Yuyv);
        let sides = if double { (2 * sides.0, 2 * sides.1) } else { sides };
        let bytes = noise((format.row_bytes(sides.0) + gap) * sides.1 as usize * 2, seed);
        let picture = picture(format, sides, gap, &bytes, orientation);
        let (height, width) = (network.0 + bars.0, network.1 + bars.1);
        let target = [bars.1 / 2, bars.0 / 2, network.1, network.0].map(|side| side as u32);
        for method in [Method::Bilinear, Method::Nearest, Method::Area] {
            let numbers = [Format::F32, Format::Bf16, Format::U8].map(Cells::Numbers);
            for cells in numbers.into_iter().chain([Cells::Rgb8]) {
                if method == Method::Area && cells != Cells::Rgb8 {
                    continue;
                }
                let by = |token| {
                    let mut resampler = Resampler::with_token(method, height, width, token);
                    output(&mut resampler, &picture, target, (height, width), cells)
                };
                let want = by(plain());
                for token in tiers() {
                    prop_assert!(by(token) == want, "{method:?} {cells:?} on {}", token.isa());
                }
            }
        }
    }

    #[test]
    fn a_team_gives_the_bits_of_one_thread(
        sides in (1_u32..90, 1_u32..60),
        orientation in proptest::sample::select(Orientation::all().collect::<Vec<_>>()),
        threads in 2_usize..5,
        seed in any::<u32>(),
    ) {
        let bytes = noise(sides.0 as usize * sides.1 as usize * 4, seed);
        let picture = picture(PixelFormat::Bgra8, sides, 0, &bytes, orientation);
        let mut team = Team::new(threads);
        for method in [Method::Bilinear, Method::Nearest, Method::Area] {
            let mut resampler = Resampler::new(method, 24, 36);
            let target = [3, 2, 30, 20];
            let mut want = vec![0; 24 * 36 * 3];
            resampler.run(&picture, target, &mut want);
            let mut got = vec![1; want.len()];
            resampler.prepare(&picture, target, threads);
            resampler.job(&picture).run_team(&mut team, &mut got);
            prop_assert!(got == want, "{method:?}");
        }
    }

    /// The bounds that the vector kernels' arithmetic rests on.
    #[test]
    fn the_bilinear_kernel_is_within_one_level(
        pixels in proptest::array::uniform4(any::<u8>()),
        (width, height) in (2_u32..2000, 2_u32..2000),
    ) {
        // Two by two pixels, enlarged: every share occurs.
        let picture = Picture::new(
            PixelFormat::Gray8, 2, 2, [Plane { data: &pixels, stride: 2 }, Plane::default()], Orientation::default(),
        ).unwrap();
        let (w, h) = (width as usize % 61 + 2, height as usize % 61 + 2);
        let mut got = vec![0; 3 * w * h];
        Resampler::new(Method::Bilinear, h, w).run(&picture, [0, 0, w as u32, h as u32], &mut got);
        for (i, got) in got.as_chunks::<3>().0.iter().enumerate() {
            let at = |i: usize, side: usize| ((i as f64 + 0.5) * 2.0 / side as f64 - 0.5).clamp(0.0, 1.0);
            let (x, y) = (at(i % w, w), at(i / w, h));
            let [a, b, c, d] = pixels.map(f64::from);
            let exact = (1.0 - y) * ((1.0 - x) * a + x * b) + y * ((1.0 - x) * c + x * d);
            prop_assert!((f64::from(got[0]) - exact).abs() <= 1.01, "{} is not {exact}", got[0]);
            prop_assert!(got[0] == got[1] && got[0] == got[2]);
        }
    }
}
