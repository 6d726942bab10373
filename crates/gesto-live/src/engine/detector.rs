//! The detector of the `gesto` library as a [`Backend`].

use std::collections::BTreeMap;

use gesto::{Detections, Detector, DetectorBuilder, Fit, Frame, PostProcessing, Resize, Unit};

use super::backend::{Backend, Detect};
use crate::settings::{Network, Settings, Thresholds};
use crate::wire::{Choices, Missing};

/// Names of the ways to fit a frame; the first is the default.
const FITS: [(&str, Fit); 2] = [("letterbox", Fit::Letterbox), ("stretch", Fit::Stretch)];

/// What streams may choose, and what they start with.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Heights and widths of the network's input; the first is the default.
    pub sizes: Vec<[u32; 2]>,
    /// Compute units of this machine; the first is the default.
    pub units: Vec<Unit>,
    /// Units that it lacks, each with the reason in one sentence.
    pub missing: BTreeMap<String, String>,
    /// How frames are fitted into the input.
    pub fit: Fit,
    /// How frames are resized on the default unit; `None` for that unit's own way.
    pub resize: Option<Resize>,
    /// Who makes boxes of the default unit's output; `None` for that unit's own way, as on all other units.
    pub post_processing: Option<PostProcessing>,
    /// What is kept.
    pub thresholds: Thresholds,
}

/// Makes the `gesto` library's detectors.
pub struct DetectorBackend {
    /// Settings that every detector starts from; a model in it is read once.
    template: DetectorBuilder,
    post_processing: Option<PostProcessing>,
    gestures: Vec<String>,
    choices: Choices,
    defaults: Settings,
}

impl DetectorBackend {
    /// Detectors that are built from `template` with what streams choose of `offer`.
    ///
    /// # Errors
    /// One sentence when no detector can be made with the defaults.
    pub fn new(template: DetectorBuilder, offer: Offer) -> Result<Self, String> {
        let choices = choices(&offer);
        let unit = offer.units.first().ok_or("no unit is offered")?;
        let fit = FITS.iter().find(|(_, fit)| *fit == offer.fit).map_or(FITS[0].0, |(name, _)| name);
        let network = Network {
            size: *choices.sizes.first().ok_or("no size is offered")?,
            fit: fit.to_owned(),
            resize: offer.resize.unwrap_or_else(|| unit.default_resize()).name().to_owned(),
            unit: unit.to_string(),
            hands: true,
            body: true,
        };
        // A server that cannot detect had better not start.
        let detector = detector(&template, &network, offer.post_processing)?;
        let hands = detector.heads().iter().find(|head| head.keypoints == 0);
        let gestures = hands.map(|head| head.classes.clone()).unwrap_or_default();
        Ok(Self {
            template,
            post_processing: offer.post_processing,
            gestures,
            choices,
            defaults: Settings { network, thresholds: offer.thresholds },
        })
    }
}

/// The names of what is offered, and of what each unit lacks.
fn choices(offer: &Offer) -> Choices {
    let mut sizes: Vec<[u32; 2]> = Vec::new();
    for size in &offer.sizes {
        if !sizes.contains(size) {
            sizes.push(*size);
        }
    }
    let mut missing = Missing { units: offer.missing.clone(), ..Missing::default() };
    let has_gpu = offer.units.iter().any(|unit| matches!(unit, Unit::Gpu(_)));
    let no_gpu = offer.missing.get("gpu").map_or("this machine has none", String::as_str);
    let mut resizes = BTreeMap::new();
    for unit in &offer.units {
        let mut names = vec![unit.default_resize().name().to_owned()];
        let mut lacking = BTreeMap::new();
        for resize in Resize::ALL {
            match unit.check_resize(resize) {
                Ok(()) if resize.needs_gpu() && !has_gpu => {
                    lacking
                        .insert(resize.name().to_owned(), format!("it needs a graphics processor: {no_gpu}"));
                }
                Ok(()) if names[0] == resize.name() => {}
                Ok(()) => names.push(resize.name().to_owned()),
                Err(error) => {
                    lacking.insert(resize.name().to_owned(), error.to_string());
                }
            }
        }
        resizes.insert(unit.to_string(), names);
        missing.resizes.insert(unit.to_string(), lacking);
    }
    Choices {
        sizes,
        fits: FITS.iter().map(|(name, _)| (*name).to_owned()).collect(),
        units: offer.units.iter().map(Unit::to_string).collect(),
        resizes,
        missing,
    }
}

impl Backend for DetectorBackend {
    fn choices(&self) -> &Choices {
        &self.choices
    }

    fn defaults(&self) -> &Settings {
        &self.defaults
    }

    fn gestures(&self) -> Vec<String> {
        self.gestures.clone()
    }

    fn build(&self, network: &Network) -> Result<Box<dyn Detect>, String> {
        // Another unit than the default one post-processes in its own way.
        let is_default = network.unit == self.defaults.network.unit;
        let detector = detector(&self.template, network, self.post_processing.filter(|_| is_default))?;
        let mut library = Library { detector, thresholds: None, hands: network.hands, body: network.body };
        // The first frame touches memory and wakes threads for the first time: that is not for a client to wait for.
        let grey = [128; 3 * 8 * 8];
        let frame = Frame::rgb8(&grey, 8, 8).map_err(|error| error.to_string())?;
        library.detect(&frame, &self.defaults.thresholds, &mut Detections::default())?;
        Ok(Box::new(library))
    }
}

/// A detector with the settings that a stream chose; names were checked against the choices.
fn detector(
    template: &DetectorBuilder,
    network: &Network,
    post_processing: Option<PostProcessing>,
) -> Result<Detector, String> {
    let say = |error: gesto::Error| error.to_string();
    let [height, width] = network.size.map(|side| side as usize);
    let fit = FITS.iter().find(|(name, _)| *name == network.fit).map_or(FITS[0].1, |(_, fit)| *fit);
    let unit: Unit = network.unit.parse().map_err(say)?;
    let resize: Resize = network.resize.parse().map_err(say)?;
    let mut builder = template.clone().size(height, width).fit(fit).unit(unit).resize(resize);
    if let Some(place) = post_processing {
        builder = builder.post_processing(place);
    }
    let detector = builder.build().map_err(say)?;
    tell_fallback(&detector);
    Ok(detector)
}

/// Warns when another unit has taken over.
fn tell_fallback(detector: &Detector) {
    if let Some(error) = detector.fallen_back() {
        tracing::warn!(%error, unit = %detector.unit(), "another unit takes over");
    }
}

struct Library {
    detector: Detector,
    /// Those that the detector has.
    thresholds: Option<gesto::Thresholds>,
    hands: bool,
    body: bool,
}

impl Detect for Library {
    fn wake(&mut self) {
        self.detector.wake();
    }

    fn detect(
        &mut self,
        frame: &Frame<'_>,
        thresholds: &Thresholds,
        out: &mut Detections,
    ) -> Result<(), String> {
        // A head that nobody asked for keeps nothing and so costs little.
        let unless = |off: bool, confidence: f32| if off { 1.0 } else { confidence };
        let thresholds = gesto::Thresholds {
            confidence_hand: unless(!self.hands, thresholds.conf_hand),
            confidence_body: unless(!self.body, thresholds.conf_body),
            iou_hand: thresholds.iou_hand,
            iou_body: thresholds.iou_body,
        };
        if self.thresholds != Some(thresholds) {
            self.detector.set_thresholds(thresholds).map_err(|error| error.to_string())?;
            self.thresholds = Some(thresholds);
        }
        let unit = self.detector.unit().clone();
        self.detector.detect_into(frame, out).map_err(|error| error.to_string())?;
        if *self.detector.unit() != unit {
            tell_fallback(&self.detector);
        }
        if !self.hands {
            out.hands.clear();
        }
        if !self.body {
            out.people.clear();
        }
        Ok(())
    }
}
