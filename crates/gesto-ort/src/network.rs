//! A model in a session of ONNX Runtime, ready to run picture after picture.

use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{TensorElementType, TensorRef, ValueType};

use crate::error::{Error, ErrorKind, Result};
use crate::heads::{Head, Metadata, heads};
use crate::library::{Library, environment};
use crate::provider::Provider;

/// How to build an [`OrtNetwork`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// What runs the model.
    pub provider: Provider,
    /// The runtime's library.
    pub library: Library,
    /// Threads of the runtime's own kernels; `None` lets it choose.
    pub threads: Option<usize>,
    /// Height and width of the input where the model leaves them open; a fixed size in the model counts more.
    pub size: Option<(usize, usize)>,
}

/// A model in a session, and the picture it reads.
pub struct OrtNetwork {
    session: Session,
    provider: Provider,
    heads: Vec<Head>,
    /// Positions among the session's outputs: each head's rows, then its best class where the model tells it.
    places: Vec<Place>,
    input: Vec<f32>,
    height: usize,
    width: usize,
    anchors: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    rows: usize,
    /// Probability and number of the best class of each anchor point.
    best: Option<(usize, usize)>,
}

/// A tensor that a session gives.
#[derive(Debug)]
struct Output {
    /// Its position among all outputs, tensors or not.
    place: usize,
    name: String,
    ty: TensorElementType,
    shape: Vec<i64>,
}

impl std::fmt::Debug for OrtNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrtNetwork")
            .field("provider", &self.provider)
            .field("heads", &self.heads)
            .field("height", &self.height)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

/// Strides of the family's levels.
const STRIDES: [usize; 3] = [8, 16, 32];

/// The largest accepted input, in pixels: four times 4K.
const MAX_PIXELS: usize = 4 * 3840 * 2160;

impl OrtNetwork {
    /// Makes a session for the ONNX file in `onnx`, and runs it once to see its outputs.
    ///
    /// # Errors
    /// [`ErrorKind::Library`] when ONNX Runtime is missing or too old, [`ErrorKind::Provider`] when the provider is,
    /// [`ErrorKind::Model`] when the file is none of this family (see the crate's documentation), [`ErrorKind::Run`] when
    /// the trial run fails.
    pub fn new(onnx: &[u8], options: &Options) -> Result<Self> {
        options.provider.check(&options.library)?;
        let session = session(onnx, options)?;
        let (height, width) = input_size(&session, options)?;
        let anchors = STRIDES.iter().map(|stride| (height / stride) * (width / stride)).sum();
        let mut network = Self {
            session,
            provider: options.provider,
            heads: Vec::new(),
            places: Vec::new(),
            input: vec![0.5; 3 * height * width],
            height,
            width,
            anchors,
        };
        let outputs = network.trial()?;
        let (heads, places) = {
            let metadata = metadata(&network.session)?;
            let shapes: Vec<_> =
                outputs.iter().map(|output| (output.name.clone(), output.shape.clone())).collect();
            let heads = heads(&shapes, &metadata, anchors)?;
            let places = places(&heads, &outputs, anchors)?;
            (heads, places)
        };
        (network.heads, network.places) = (heads, places);
        Ok(network)
    }

    /// Runs a grey picture; the tensors among the outputs, whose shapes the file itself may leave open.
    fn trial(&mut self) -> Result<Vec<Output>> {
        let shape = [1, 3, self.height, self.width];
        let picture = TensorRef::from_array_view((shape, &self.input[..])).map_err(|why| failed(&why))?;
        let outputs = self.session.run(ort::inputs![picture]).map_err(|why| failed(&why))?;
        let tensor = |(place, (name, value)): (usize, (&str, ort::value::ValueRef<'_>))| match value.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                Some(Output { place, name: name.to_owned(), ty: *ty, shape: shape.to_vec() })
            }
            _ => None,
        };
        Ok(outputs.iter().enumerate().filter_map(tensor).collect())
    }

    /// The heads, in the model's order.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// Whether the model computes the best class of each anchor point, in every head ([`Rows::best`]).
    #[must_use]
    pub fn has_best(&self) -> bool {
        self.places.iter().all(|place| place.best.is_some())
    }

    /// Height of the input in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width of the input in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Anchor points of each head.
    #[must_use]
    pub fn anchors(&self) -> usize {
        self.anchors
    }

    /// What runs it.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The picture that [`run`](Self::run) reads: planes of red, green and blue, 0 to 1, each row by row.
    pub fn input_mut(&mut self) -> &mut [f32] {
        &mut self.input
    }

    /// Runs the model on the picture in [`input_mut`](Self::input_mut).
    ///
    /// # Errors
    /// [`ErrorKind::Run`] when the runtime fails: a device lost or out of memory.
    pub fn run(&mut self) -> Result<Outputs<'_>> {
        let shape = [1, 3, self.height, self.width];
        let picture = TensorRef::from_array_view((shape, &self.input[..])).map_err(|why| failed(&why))?;
        let values = self.session.run(ort::inputs![picture]).map_err(|why| failed(&why))?;
        let outputs = Outputs { values, heads: &self.heads, places: &self.places, anchors: self.anchors };
        outputs.check()?;
        Ok(outputs)
    }
}

/// What one picture gave.
#[derive(Debug)]
pub struct Outputs<'a> {
    values: ort::session::SessionOutputs<'a>,
    heads: &'a [Head],
    places: &'a [Place],
    anchors: usize,
}

/// One head's numbers.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    data: &'a [f32],
    best: Option<(&'a [f32], &'a [i64])>,
    anchors: usize,
    classes: usize,
}

impl Outputs<'_> {
    /// The shapes of a model without a fixed size are those of the trial run only by its good will.
    fn check(&self) -> Result<()> {
        let sound = (0..self.heads.len()).all(|head| {
            let wanted = self.heads[head].rows() * self.anchors;
            let rows = self.values[self.places[head].rows].try_extract_tensor::<f32>();
            let best = self.places[head].best.is_none_or(|(best, class)| {
                let best = self.values[best].try_extract_tensor::<f32>();
                let class = self.values[class].try_extract_tensor::<i64>();
                best.is_ok_and(|(_, best)| best.len() == self.anchors)
                    && class.is_ok_and(|(_, class)| class.len() == self.anchors)
            });
            best && rows.is_ok_and(|(_, rows)| rows.len() == wanted)
        });
        if sound {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::Model, "the model's outputs are no 32-bit floats of a fixed shape"))
        }
    }

    /// The numbers of one head, by its position in [`OrtNetwork::heads`].
    ///
    /// # Panics
    /// When there is no such head.
    #[must_use]
    pub fn head(&self, head: usize) -> Rows<'_> {
        fn slice<T: ort::value::PrimitiveTensorElementType>(value: &ort::value::DynValue) -> &[T] {
            value.try_extract_tensor::<T>().map(|(_, data)| data).unwrap_or_default()
        }
        let place = self.places[head];
        Rows {
            data: slice(&self.values[place.rows]),
            best: place.best.map(|(best, class)| (slice(&self.values[best]), slice(&self.values[class]))),
            anchors: self.anchors,
            classes: self.heads[head].classes.len(),
        }
    }
}

impl<'a> Rows<'a> {
    /// All of them: `cx, cy, w, h` in pixels of the input, class probabilities, `x, y, visibility` of each keypoint; a row
    /// has one number for each anchor point.
    #[must_use]
    pub fn data(&self) -> &'a [f32] {
        self.data
    }

    /// Anchor points.
    #[must_use]
    pub fn anchors(&self) -> usize {
        self.anchors
    }

    /// Classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// One row.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.anchors..][..self.anchors]
    }

    /// Probability and number of the best class of each anchor point, where the model computes them itself: outputs
    /// `NAME.best` and `NAME.class` of `1 x A`.
    #[must_use]
    pub fn best(&self) -> Option<(&'a [f32], &'a [i64])> {
        self.best
    }
}

fn failed(why: &ort::Error) -> Error {
    Error::new(ErrorKind::Run, format!("ONNX Runtime failed: {}", one_line(&why.to_string())))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn session(onnx: &[u8], options: &Options) -> Result<Session> {
    let provider = options.provider;
    let lacking = |why: &dyn std::fmt::Display| {
        let why = one_line(&why.to_string());
        Error::new(ErrorKind::Provider, format!("{} is not to be had here: {why}", provider.name()))
    };
    let setting = |why: &dyn std::fmt::Display| Error::new(ErrorKind::Library, one_line(&why.to_string()));
    let environment = environment(&options.library)?;
    let mut builder = Session::builder(&environment).map_err(|why| setting(&why))?;
    builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|why| setting(&why))?;
    if let Some(threads) = options.threads {
        builder = builder.with_intra_threads(threads).map_err(|why| setting(&why))?;
    }
    let dispatch = provider.dispatch();
    let other = dispatch.is_some();
    if let Some(dispatch) = dispatch {
        builder = builder.with_execution_providers([dispatch]).map_err(|why| lacking(&why))?;
    }
    builder.commit_from_memory(onnx).map_err(|why| {
        let text = one_line(&why.to_string());
        // A provider without its driver says so only now.
        if other && !matches!(why.code(), ort::ErrorCode::InvalidProtobuf | ort::ErrorCode::InvalidGraph) {
            lacking(&text)
        } else {
            Error::new(ErrorKind::Model, format!("ONNX Runtime cannot read the model: {text}"))
        }
    })
}

/// Height and width of the session's one input.
fn input_size(session: &Session, options: &Options) -> Result<(usize, usize)> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Model, message));
    let [input] = session.inputs() else {
        return refuse(format!("the model has {} inputs; one picture is supported", session.inputs().len()));
    };
    let ValueType::Tensor { ty, shape, .. } = input.dtype() else {
        return refuse("the model's input is no tensor".to_owned());
    };
    if *ty != TensorElementType::Float32 {
        return refuse(format!("the model's input holds {ty}; 32-bit floats are supported"));
    }
    let [batch, channels, height, width] = shape[..] else {
        return refuse(format!(
            "the model's input has {} dimensions; 1 x 3 x H x W is supported",
            shape.len()
        ));
    };
    if !matches!(batch, 1 | -1) || !matches!(channels, 3 | -1) {
        let shape = &shape[..];
        return refuse(format!("the model's input is {shape:?}; 1 x 3 x H x W is supported"));
    }
    let wanted = options.size.unwrap_or((320, 224));
    let side = |side: i64, open: usize| usize::try_from(side).unwrap_or(open);
    let (height, width) = (side(height, wanted.0), side(width, wanted.1));
    let resizes = || session.metadata().ok().is_some_and(|metadata| metadata.custom("placement").is_some());
    if resizes() {
        return refuse(format!(
            "the model takes frames of {height} x {width} (height x width) and resizes them itself, for other programs; one \
             exported without a resize runs here"
        ));
    }
    let fits = |side: usize| side > 0 && side.is_multiple_of(32);
    if !fits(height) || !fits(width) {
        return refuse(format!(
            "an input of {height} x {width} is not possible: both sides are multiples of 32"
        ));
    }
    if height.saturating_mul(width) > MAX_PIXELS {
        return refuse(format!("an input of {height} x {width} is too large"));
    }
    Ok((height, width))
}

/// Where the heads' numbers are among the session's outputs.
fn places(heads: &[Head], outputs: &[Output], anchors: usize) -> Result<Vec<Place>> {
    let refuse = |message: String| Error::new(ErrorKind::Model, message);
    let find = |name: &str, ty: TensorElementType| match outputs.iter().find(|output| output.name == name) {
        Some(output) if output.ty != ty => {
            Err(refuse(format!("the model's output {name} holds {}; {ty} is supported", output.ty)))
        }
        found => Ok(found),
    };
    let place = |head: &Head| {
        let Some(rows) = find(&head.name, TensorElementType::Float32)? else {
            return Err(refuse(format!("the model has no output {}", head.name)));
        };
        let best = find(&format!("{}.best", head.name), TensorElementType::Float32)?;
        let class = find(&format!("{}.class", head.name), TensorElementType::Int64)?;
        let best = best.zip(class);
        let sound = |output: &Output| output.shape.iter().product::<i64>() == anchors as i64;
        if best.is_some_and(|(best, class)| !sound(best) || !sound(class)) {
            return Err(refuse(format!("the best classes of head {} are not 1 x {anchors}", head.name)));
        }
        Ok(Place { rows: rows.place, best: best.map(|(best, class)| (best.place, class.place)) })
    };
    heads.iter().map(place).collect()
}

fn metadata(session: &Session) -> Result<Metadata> {
    let metadata = session.metadata().map_err(|why| failed(&why))?;
    let entry = |key: &str| metadata.custom(key).filter(|text| !text.is_empty());
    Ok(Metadata { heads: entry("heads"), task: entry("task"), names: entry("names") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(place: usize, name: &str, ty: TensorElementType, shape: &[i64]) -> Output {
        Output { place, name: name.to_owned(), ty, shape: shape.to_vec() }
    }

    #[test]
    fn heads_are_found_behind_outputs_of_another_kind() {
        use TensorElementType::{Float16, Float32, Int64};
        let heads = [Head { name: "hand".to_owned(), classes: vec!["fist".to_owned()], keypoints: 0 }];
        // Output 0 is a sequence, say, and so none of the tensors.
        let mut outputs = vec![
            output(1, "hand", Float32, &[1, 5, 21]),
            output(2, "hand.class", Int64, &[1, 21]),
            output(4, "hand.best", Float32, &[1, 21]),
        ];
        let found = places(&heads, &outputs, 21).unwrap();
        assert_eq!((found[0].rows, found[0].best), (1, Some((4, 2))));

        outputs[2].shape = vec![1, 20];
        let error = places(&heads, &outputs, 21).unwrap_err();
        assert!(error.to_string().contains("not 1 x 21"), "{error}");
        outputs[1].ty = Float32;
        let error = places(&heads, &outputs, 21).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Model && error.to_string().contains("hand.class holds"),
            "{error}"
        );
        outputs[0].ty = Float16;
        let error = places(&heads, &outputs, 21).unwrap_err();
        assert!(error.to_string().contains("output hand holds"), "{error}");
    }
}
