//! The detector of the `gesto` library as a [`Backend`].

use gesto::{Detections, Detector, DetectorBuilder, Fit, Frame, Resize};

use super::backend::{Backend, Detect};
use crate::settings::{Network, Settings, Thresholds};
use crate::wire::{Choices, Missing};

/// Names of the ways to fit a frame; the first is the default.
const FITS: [(&str, Fit); 2] = [("letterbox", Fit::Letterbox), ("stretch", Fit::Stretch)];

/// The units that the library runs on.
const UNITS: [&str; 1] = ["cpu"];

/// Makes the `gesto` library's detectors.
pub struct DetectorBackend {
    /// Settings that every detector starts from, the model among them.
    template: DetectorBuilder,
    gestures: Vec<String>,
    choices: Choices,
    defaults: Settings,
}

impl DetectorBackend {
    /// Detectors that are built from `template`. Streams may choose `sizes`, the first by default, and another way to
    /// resize than `resize`.
    ///
    /// # Errors
    /// One sentence when no detector can be made with the defaults.
    pub fn new(
        template: DetectorBuilder,
        fit: Fit,
        resize: Resize,
        sizes: &[[u32; 2]],
        thresholds: Thresholds,
    ) -> Result<Self, String> {
        let mut offered: Vec<[u32; 2]> = Vec::new();
        for size in sizes {
            if !offered.contains(size) {
                offered.push(*size);
            }
        }
        let size = *offered.first().ok_or("no size is offered")?;
        let name_of =
            |wanted: Fit| FITS.iter().find(|(_, fit)| *fit == wanted).map_or(FITS[0].0, |(name, _)| name);
        let network = Network {
            size,
            fit: name_of(fit).to_owned(),
            resize: resize.name().to_owned(),
            unit: UNITS[0].to_owned(),
            hands: true,
            body: true,
        };
        let choices = Choices {
            sizes: offered,
            fits: FITS.iter().map(|(name, _)| (*name).to_owned()).collect(),
            units: UNITS.iter().map(|name| (*name).to_owned()).collect(),
            resizes: [(UNITS[0].to_owned(), resizes().map(|resize| resize.name().to_owned()).collect())]
                .into(),
            missing: Missing::default(),
        };
        // A server that cannot detect had better not start. What this one was built from holds the model, read once.
        let detector = detector(&template, &network)?;
        let heads = detector.heads();
        let gestures = heads.iter().find(|head| head.keypoints == 0).map(|head| head.classes.clone());
        Ok(Self {
            template: detector.settings().clone(),
            gestures: gestures.unwrap_or_default(),
            choices,
            defaults: Settings { network, thresholds },
        })
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
        let detector = detector(&self.template, network)?;
        Ok(Box::new(Library { detector, thresholds: None, hands: network.hands, body: network.body }))
    }
}

/// A detector with the settings that a stream chose; names were checked against the choices.
fn detector(template: &DetectorBuilder, network: &Network) -> Result<Detector, String> {
    let [height, width] = network.size.map(|side| side as usize);
    let fit = FITS.iter().find(|(name, _)| *name == network.fit).map_or(FITS[0].1, |(_, fit)| *fit);
    let resize: Resize = network.resize.parse().map_err(|error: gesto::Error| error.to_string())?;
    let builder = template.clone().size(height, width).fit(fit).resize(resize);
    builder.build().map_err(|error| error.to_string())
}

/// The ways to resize a frame that this build of the library has.
fn resizes() -> impl Iterator<Item = Resize> {
    Resize::ALL.into_iter().filter(|resize| resize.check().is_ok())
}

struct Library {
    detector: Detector,
    /// Those that the detector has.
    thresholds: Option<gesto::Thresholds>,
    hands: bool,
    body: bool,
}

impl Detect for Library {
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
        self.detector.detect_into(frame, out).map_err(|error| error.to_string())?;
        if !self.hands {
            out.hands.clear();
        }
        if !self.body {
            out.people.clear();
        }
        Ok(())
    }
}
