//! `gesto bench model --layers`: each step of the network alone.

use std::time::Duration;

use gesto_engine::{HeadMode, Network};
use serde::Serialize;

use crate::console;
use crate::values::Size;

/// Turns of which each step's time is the median.
const TURNS: usize = 21;

/// One step, computed everywhere on one thread.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Layer {
    layer: String,
    kernel: String,
    /// Height and width of the map that it writes.
    map: String,
    median_us: f64,
    /// None for a step without products.
    gflops: Option<f64>,
    /// Of what one core does with the tier's multiply instruction on registers alone, measured before and after. A layer by
    /// minimal filtering, which counts as if each output took all of its products, may pass 100.
    percent_of_ceiling: Option<f64>,
    /// In a frame it is computed only around anchor points whose class passes its threshold.
    lazy: bool,
}

/// Times every step of a network of one thread with a picture in it.
pub(super) fn measure(network: &mut Network) -> Vec<Layer> {
    network.set_heads(HeadMode::Dense);
    network.run(&vec![0.5; network.heads().len()]);
    let steps = network.steps();
    let mut times = vec![Vec::with_capacity(TURNS); steps.len()];
    let before = network.ceiling();
    for _ in 0..TURNS {
        network.profile(|step, time| times[step].push(time));
    }
    let ceiling = (before + network.ceiling()) / 2.0;
    let layers = steps.into_iter().zip(times).map(|(step, mut times)| {
        times.sort();
        let time: Duration = times[TURNS / 2];
        // A step shorter than the clock's tick has no rate.
        let rate = 2.0 * step.macs as f64 / time.as_secs_f64().max(1e-9);
        Layer {
            layer: step.name,
            kernel: step.kernel,
            map: format!("{}x{}", step.height, step.width),
            median_us: time.as_secs_f64() * 1e6,
            gflops: (step.macs > 0).then_some(rate * 1e-9),
            percent_of_ceiling: (step.macs > 0).then_some(100.0 * rate / ceiling),
            lazy: step.lazy,
        }
    });
    layers.collect()
}

/// The table, and the sum of the times.
pub(super) fn print(layers: &[Layer], size: Size) -> anyhow::Result<()> {
    let width = |text: fn(&Layer) -> &str| layers.iter().map(|layer| text(layer).len()).max().unwrap_or(0);
    let (name, kernel) = (width(|layer| &layer.layer), width(|layer| &layer.kernel));
    console::print(format_args!(
        "{:name$}  {:kernel$} {:>9} {:>12} {:>9} {:>10}  {size}, one thread",
        "layer", "kernel", "map", "median", "GFLOP/s", "of ceiling"
    ))?;
    for layer in layers {
        let lazy = if layer.lazy { "lazy" } else { "" };
        let rate = layer.gflops.map_or("-".to_owned(), |rate| format!("{rate:.0}"));
        let share = layer.percent_of_ceiling.map_or("-".to_owned(), |share| format!("{share:.0} %"));
        let line = format!(
            "{:name$}  {:kernel$} {:>9} {:>9.1} us {rate:>9} {share:>10}  {lazy}",
            layer.layer, layer.kernel, layer.map, layer.median_us
        );
        console::print(line.trim_end())?;
    }
    let total: f64 = layers.iter().map(|layer| layer.median_us).sum();
    Ok(console::print(format_args!("{:name$}  {:kernel$} {:>9} {total:>9.1} us", "all", "", ""))?)
}
