//! rten, with its weights packed at load time.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rten::{ModelOptions, RunOptions, ThreadPool, ValueView};

use crate::{Input, Network};

pub fn load(model: &Path, input: &Input, threads: usize) -> Result<Network> {
    let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(model)?;
    let images = model.node_id("images")?;
    let outputs = [model.node_id("hand")?, model.node_id("body")?];
    let options = RunOptions::default().with_thread_pool(Some(Arc::new(ThreadPool::with_num_threads(threads))));
    let (shape, data) = (input.shape, input.data.clone());
    Ok(Box::new(move || {
        let images = (images, ValueView::from_shape(shape, data.as_slice())?.into());
        let results = model.run_n(vec![images], outputs, Some(options.clone()))?;
        let [hand, body] = results.map(|value| value.into_shape_vec::<f32, 3>().map(|(_, data)| data));
        Ok([hand.context("hand")?, body.context("body")?])
    }))
}
