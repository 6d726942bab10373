//! tract, optimised for the exact input shape.

use std::path::Path;

use anyhow::Result;
use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

use crate::{Input, Network};

pub fn load(model: &Path, input: &Input, threads: usize) -> Result<Network> {
    set_default_executor(if threads == 1 { Executor::SingleThread } else { Executor::multithread(threads) });
    let plan = tract_onnx::onnx()
        .model_for_path(model)?
        .with_input_fact(0, f32::fact(input.shape).into())?
        .into_optimized()?
        .into_runnable()?;
    let images: TValue = Tensor::from_shape(&input.shape, &input.data)?.into();
    Ok(Box::new(move || {
        let results = plan.run(tvec!(images.clone()))?;
        let values = |at: usize| -> Result<Vec<f32>> { Ok(results[at].to_plain_array_view::<f32>()?.iter().copied().collect()) };
        Ok([values(0)?, values(1)?])
    }))
}
