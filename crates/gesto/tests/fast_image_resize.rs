//! Our bilinear resize beside that of `fast_image_resize`, a well-kept SIMD library, on a telephone's frame: the same
//! definition, so nearly the same pixels. `cargo test --release -p gesto --test fast_image_resize -- --nocapture`
//! prints how long each takes on one thread.

use std::time::{Duration, Instant};

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use gesto::preprocess::Preprocessor;
use gesto::{Fit, Frame, PixelFormat, Resize};

const HEIGHT: u32 = 320;
const WIDTH: u32 = 224;

/// Median of some runs.
fn time(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..31)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn pixels_are_those_of_the_library_within_two_levels() {
    for (width, height) in [(1080, 1920), (1920, 1080)] {
        let mut bytes: Vec<u8> =
            (0..width * height * 4).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        // Its alpha would be multiplied in; ours is ignored.
        bytes.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 255);
        let frame = Frame::new(PixelFormat::Bgra8, &bytes, width, height).unwrap();
        let mut ours = vec![0; (HEIGHT * WIDTH * 3) as usize];
        let mut preprocessor = Preprocessor::new(HEIGHT, WIDTH, Fit::Stretch, Resize::CpuBilinear).unwrap();
        let our_time = time(|| {
            preprocessor.run(&frame, &mut ours);
        });

        let source = ImageRef::new(width, height, &bytes, PixelType::U8x4).unwrap();
        let mut theirs = Image::new(WIDTH, HEIGHT, PixelType::U8x4);
        // Two taps an axis whatever the scale, as the network was trained with.
        let options =
            ResizeOptions::new().resize_alg(ResizeAlg::Interpolation(FilterType::Bilinear)).use_alpha(false);
        let mut resizer = Resizer::new();
        let their_time = time(|| resizer.resize(&source, &mut theirs, &options).unwrap());

        let theirs = theirs.buffer().as_chunks::<4>().0.iter();
        let apart = ours
            .as_chunks::<3>()
            .0
            .iter()
            .zip(theirs)
            .flat_map(|([r, g, b], [tb, tg, tr, _])| [r.abs_diff(*tr), g.abs_diff(*tg), b.abs_diff(*tb)]);
        let most = apart.max().unwrap();
        println!(
            "{width} x {height} to {WIDTH} x {HEIGHT}, one thread: gesto {our_time:?} (to RGB), \
             fast_image_resize {their_time:?} (BGRA stays); {most} levels apart at most"
        );
        // Both round twice at most.
        assert!(most <= 2, "{most} levels apart");
    }
}
