//! Frames that do not fit their buffers are refused with a sentence that says why.

use gesto::{ErrorKind, Frame, PixelFormat, Plane};

#[test]
fn impossible_frames_are_refused() {
    use PixelFormat::{Bgra8, Gray8, Nv12, Rgb8, Yuyv};
    let bytes = vec![0; 10_000];
    let cases = [
        (Frame::new(Rgb8, &bytes, 0, 5), "no pixels"),
        (Frame::new(Rgb8, &bytes, 5, 0), "no pixels"),
        (Frame::new(Rgb8, &bytes, 100, 100), "needs 30000 bytes where 10000 were given"),
        (Frame::new(Gray8, &[], 1, 1), "needs 1 bytes"),
        (Frame::new(Gray8, &bytes, 65_536, 1), "too large"),
        (Frame::new(Gray8, &bytes, 65_535, 65_535), "too large"),
        (Frame::new(Bgra8, &bytes, u32::MAX, u32::MAX), "too large"),
        (Frame::new(Nv12, &bytes, u32::MAX, u32::MAX), "too large"),
        (Frame::new(Nv12, &bytes, 3, 4), "both sides must be even"),
        (Frame::new(Nv12, &bytes, 4, 3), "both sides must be even"),
        (Frame::new(Nv12, &bytes, 100, 80), "needs 12000 bytes"),
        (Frame::new(Nv12, &bytes, 100, 100), "bytes"),
        (Frame::new(Yuyv, &bytes, 5, 4), "width must be even"),
        (Frame::with_stride(Rgb8, &bytes, 10, 10, 29), "stride of 29 bytes is too small"),
        (Frame::with_stride(Rgb8, &bytes, 10, 10, usize::MAX), "needs"),
        (Frame::with_stride(Nv12, &bytes, 10, 10, 10), "two planes"),
        (
            Frame::nv12(Plane { data: &bytes, stride: 10 }, Plane { data: &bytes, stride: 8 }, 10, 10),
            "stride of 8 bytes",
        ),
    ];
    for (i, (frame, why)) in cases.into_iter().enumerate() {
        let error = frame.expect_err("impossible");
        assert_eq!(error.kind(), ErrorKind::Frame, "case {i}");
        assert!(error.to_string().contains(why), "case {i}: {error}");
    }
}

#[test]
fn buffers_that_just_suffice_are_taken() {
    for format in PixelFormat::ALL {
        let bytes = vec![0; format.frame_bytes(6, 4)];
        let frame = Frame::new(format, &bytes, 6, 4).unwrap();
        assert_eq!(frame.planes().len(), format.planes());
        assert!(Frame::new(format, &bytes[1..], 6, 4).is_err(), "{format}");
        // Reads the last byte of each plane.
        let _ = frame.pixel(5, 3);
    }
    // Gaps between rows, none after the last.
    let bytes = vec![0; 3 * 20 + 18];
    assert!(Frame::with_stride(PixelFormat::Rgb8, &bytes, 6, 4, 20).is_ok());
    assert!(Frame::with_stride(PixelFormat::Rgb8, &bytes[1..], 6, 4, 20).is_err());
}

#[test]
fn debug_output_leaves_the_pixels_out() {
    let bytes = vec![0; 3_000_000];
    let text = format!("{:?}", Frame::rgb8(&bytes, 1000, 1000).unwrap());
    assert!(text.len() < 500, "{} characters", text.len());
}
