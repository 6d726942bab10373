//! Scales for 8-bit activations, from what the network computes on pictures.
//!
//! The plain reference runs on every picture, and each map's numbers are counted. The range of a map's bytes is the one
//! with the least mean square error over these numbers: wide enough for nearly all of them, no wider, because every
//! byte of a wider range is coarser.

use crate::model::{ActivationScales, Model, Quantization, ValueId, quantized_values};
use crate::reference;

/// Cells of a histogram; half of them are for negative numbers.
const BINS: usize = 2048;
/// Ranges tried for each end: so many parts of the way to 0 are left out, of [`PARTS`].
const TRIED: usize = 24;
const PARTS: f32 = 32.0;

/// Counts of all maps that an 8-bit network stores.
#[derive(Debug, Clone)]
pub struct Calibration<'a> {
    model: &'a Model,
    maps: Vec<(ValueId, Histogram)>,
    pictures: usize,
}

/// How often numbers occurred, in equal steps from `-reach` to `reach`.
#[derive(Debug, Clone)]
struct Histogram {
    reach: f32,
    counts: Vec<u64>,
    low: f32,
    high: f32,
}

impl<'a> Calibration<'a> {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(model: &'a Model) -> Self {
        let maps = quantized_values(model.graph()).into_iter().map(|value| (value, Histogram::new()));
        Self { model, maps: maps.collect(), pictures: 0 }
    }

    /// Runs the reference on one picture, `height * width` pixels of 8-bit RGB, and counts.
    ///
    /// # Panics
    /// As [`reference::run`].
    pub fn add(&mut self, rgb: &[u8], height: usize, width: usize) {
        let maps = reference::run(self.model, rgb, height, width, reference::exact);
        for (value, histogram) in &mut self.maps {
            histogram.add(&maps[value.index()].data);
        }
        self.pictures += 1;
    }

    /// Adds the counts of another calibration of the same model.
    ///
    /// # Panics
    /// When the models differ in their maps.
    pub fn merge(&mut self, other: Self) {
        assert_eq!(self.maps.len(), other.maps.len(), "both count the same model's maps");
        for ((_, histogram), (_, more)) in self.maps.iter_mut().zip(other.maps) {
            histogram.merge(more);
        }
        self.pictures += other.pictures;
    }

    /// Pictures counted.
    #[must_use]
    pub fn pictures(&self) -> usize {
        self.pictures
    }

    /// The best scales for what was counted.
    #[must_use]
    pub fn scales(&self) -> ActivationScales {
        let name = |value: ValueId| self.model.graph().value(value).name.clone();
        self.maps.iter().map(|(value, histogram)| (name(*value), histogram.best())).collect()
    }
}

impl Histogram {
    fn new() -> Self {
        Self { reach: 1.0, counts: vec![0; BINS], low: 0.0, high: 0.0 }
    }

    fn add(&mut self, numbers: &[f32]) {
        let (low, high) = numbers.iter().fold((0.0f32, 0.0f32), |(low, high), &x| (low.min(x), high.max(x)));
        self.hold(low, high);
        let per_unit = (BINS / 2) as f32 / self.reach;
        for &x in numbers {
            let bin = (x * per_unit).floor() as isize + (BINS / 2) as isize;
            self.counts[bin.clamp(0, BINS as isize - 1) as usize] += 1;
        }
    }

    fn merge(&mut self, mut other: Self) {
        self.hold(other.low, other.high);
        other.hold(self.low, self.high);
        while other.reach < self.reach {
            other.double();
        }
        self.counts.iter_mut().zip(other.counts).for_each(|(to, more)| *to += more);
    }

    /// Widens the reach until it holds both.
    fn hold(&mut self, low: f32, high: f32) {
        (self.low, self.high) = (self.low.min(low), self.high.max(high));
        while self.reach < self.high.max(-self.low) && self.reach < f32::MAX / 2.0 {
            self.double();
        }
    }

    fn double(&mut self) {
        let half = BINS as isize / 2;
        let mut counts = vec![0; BINS];
        for (bin, count) in self.counts.iter().enumerate() {
            counts[(half + (bin as isize - half).div_euclid(2)) as usize] += count;
        }
        self.counts = counts;
        self.reach *= 2.0;
    }

    /// The range with the least mean square error.
    fn best(&self) -> Quantization {
        let ends = |end: f32| (0..TRIED).map(move |part| end * (1.0 - part as f32 / PARTS));
        let tried = ends(self.low).flat_map(|low| ends(self.high).map(move |high| (low, high)));
        let (low, high) =
            tried.min_by(|a, b| self.error(*a).total_cmp(&self.error(*b))).unwrap_or((self.low, self.high));
        Quantization::of_range(low, high)
    }

    /// Sum of the square errors when only `low` to `high` has bytes.
    fn error(&self, (low, high): (f32, f32)) -> f64 {
        let step = f64::from(high - low) / 255.0;
        // Rounding is off by up to half a step, evenly spread.
        let inside = step * step / 12.0;
        let width = self.reach / (BINS / 2) as f32;
        let mut error = 0.0;
        for (bin, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let x = (bin as f32 + 0.5) * width - self.reach;
            let outside = f64::from((low - x).max(x - high).max(0.0));
            error += count as f64 * (inside + outside * outside);
        }
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_grows_and_keeps_its_counts() {
        let mut all = Histogram::new();
        all.add(&[-0.2, 0.0, 0.1, 0.9]);
        all.add(&[5.0, -3.0]);
        let mut parts = Histogram::new();
        parts.add(&[5.0, 0.1, -0.2]);
        let mut rest = Histogram::new();
        rest.add(&[0.9, -3.0, 0.0]);
        rest.merge(parts);
        assert_eq!(all.reach, 8.0);
        assert_eq!((rest.reach, &rest.counts), (all.reach, &all.counts));
        assert_eq!(all.counts.iter().sum::<u64>(), 6);
    }

    #[test]
    fn few_large_numbers_do_not_make_all_others_coarse() {
        let mut numbers: Vec<f32> = (0..2_000_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        let mut histogram = Histogram::new();
        histogram.add(&numbers);
        let fine = histogram.best();
        assert!((fine.scale - 1.0 / 255.0).abs() < 0.0002, "{fine:?}");
        assert_eq!(fine.zero, 0);
        numbers.push(3.0);
        let mut histogram = Histogram::new();
        histogram.add(&numbers);
        assert!(histogram.best().scale < 2.0 * fine.scale, "one number of 3 among two million up to 1");
        numbers.extend(std::iter::repeat_n(3.0, 500_000));
        let mut histogram = Histogram::new();
        histogram.add(&numbers);
        assert!(histogram.best().scale > 2.8 * fine.scale, "a fifth of all numbers is 3");
    }
}
