//! Devices that fail: what the caller is told. The same networks as in `tests/network.rs`, on whatever adapter there is.

use std::io::Write as _;

use gesto_engine::Model;

use super::{GpuNetwork, View};
use crate::error::{Error, ErrorKind};
use crate::frame::{Frame, PixelFormat};
use crate::options::{GpuOptions, Output};

const SHIPPED: &[u8] = include_bytes!("../../../../models/multi-n.safetensors");
const SIDE: usize = 32;
const THRESHOLDS: [f32; 2] = [0.3, 0.5];

/// A small network, or `None`, said by the test's name, where there is no adapter.
fn network(test: &str, options: &GpuOptions) -> Option<GpuNetwork> {
    let model = Model::from_bytes(SHIPPED).expect("the shipped network is sound");
    match GpuNetwork::new(&model, SIDE, SIDE, options) {
        Ok(network) => Some(network),
        Err(error) if error.kind() == ErrorKind::NoAdapter => {
            assert!(std::env::var_os("GESTO_REQUIRE_GPU").is_none(), "{test}: {error}");
            // Unlike `println!`, this shows for tests that pass.
            _ = writeln!(std::io::stderr(), "SKIPPED {test}: {error}");
            None
        }
        Err(error) => panic!("{test}: {error}"),
    }
}

fn pixels() -> Vec<u8> {
    (0..SIDE * SIDE * 3).map(|i| (i * 7 % 251) as u8).collect()
}

fn assert_lost(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::DeviceLost, "{error}");
    assert!(error.to_string().contains("was lost"), "{error}");
}

#[test]
fn a_lost_device_is_reported_by_every_later_call() {
    let options = GpuOptions { in_flight: 2, ..GpuOptions::default() };
    let Some(mut network) = network("a_lost_device_is_reported_by_every_later_call", &options) else {
        return;
    };
    let pixels = pixels();
    let frame = Frame::packed(&pixels, SIDE, SIDE, PixelFormat::Rgb);
    network.detect(&[frame], &View::default(), &THRESHOLDS).expect("the device works so far");
    network.gpu.device.destroy();
    for _ in 0..3 {
        assert_lost(&network.detect(&[frame], &View::default(), &THRESHOLDS).unwrap_err());
        assert_lost(&network.resubmit(&THRESHOLDS).unwrap_err());
        assert_eq!(network.under_way(), 0, "nothing is left to wait for");
    }
}

#[test]
fn a_device_lost_under_way_gives_results_or_the_error_and_ends() {
    let test = "a_device_lost_under_way_gives_results_or_the_error_and_ends";
    let options = GpuOptions { in_flight: 2, ..GpuOptions::default() };
    let Some(mut network) = network(test, &options) else { return };
    let pixels = pixels();
    let frame = Frame::packed(&pixels, SIDE, SIDE, PixelFormat::Rgb);
    for _ in 0..2 {
        network.submit(&[frame], &View::default(), &THRESHOLDS).expect("the device works so far");
    }
    network.gpu.device.destroy();
    for _ in 0..2 {
        // The device may have been faster than its loss.
        if let Err(error) = network.wait() {
            assert_lost(&error);
        }
    }
    assert_eq!(network.under_way(), 0);
    assert_lost(&network.detect(&[frame], &View::default(), &THRESHOLDS).unwrap_err());
}

#[test]
fn what_is_under_way_can_be_given_up_whatever_comes_back() {
    let test = "what_is_under_way_can_be_given_up_whatever_comes_back";
    let pixels = pixels();
    let frame = Frame::packed(&pixels, SIDE, SIDE, PixelFormat::Rgb);
    for output in [Output::Candidates, Output::Maps, Output::MapsAndBest] {
        let options = GpuOptions { in_flight: 2, output, ..GpuOptions::default() };
        let Some(mut network) = network(test, &options) else { return };
        for destroyed in [false, true] {
            for _ in 0..2 {
                network.submit(&[frame], &View::default(), &THRESHOLDS).expect("both slots are free");
            }
            if destroyed {
                network.gpu.device.destroy();
            }
            network.discard();
            assert_eq!(network.under_way(), 0, "{output:?}");
        }
    }
}

#[test]
fn what_the_driver_cannot_allocate_is_out_of_memory() {
    let Some(network) = network("what_the_driver_cannot_allocate_is_out_of_memory", &GpuOptions::default())
    else {
        return;
    };
    let error = network.gpu.buffer("feature maps", 1 << 50, wgpu::BufferUsages::STORAGE, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert!(error.to_string().contains("smaller batch"), "{error}");
    network.gpu.check().expect("the device was not asked, so it has no fault");
}

#[test]
fn a_refused_command_is_a_device_error_and_the_next_call_works() {
    let test = "a_refused_command_is_a_device_error_and_the_next_call_works";
    let Some(mut network) = network(test, &GpuOptions::default()) else { return };
    // No usage goes with mapping for reading and writing at once.
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::STORAGE;
    let error = network.gpu.buffer("nonsense", 64, usage, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device, "{error}");
    let pixels = pixels();
    let frame = Frame::packed(&pixels, SIDE, SIDE, PixelFormat::Rgb);
    network.detect(&[frame], &View::default(), &THRESHOLDS).expect("one refusal does not spoil the device");
}
