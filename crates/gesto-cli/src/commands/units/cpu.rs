//! The processor's kernel tiers.

use gesto_engine::Isa;
use gesto_engine::isa::{Detected, Wish};

use super::Entry;

pub(super) fn entries() -> Vec<Entry> {
    let detected = Detected::get();
    let chosen = Wish::from_env().and_then(|wish| detected.best(&wish)).map(|token| token.isa());
    let entry = |isa: Isa| match detected.missing(isa) {
        None => {
            let used =
                if chosen.as_ref().is_ok_and(|chosen| *chosen == isa) { ", the one in use" } else { "" };
            let whose = if detected.is_emulated(isa) {
                "kernels for another machine, played by software"
            } else {
                "kernels of this machine"
            };
            Entry::new("cpu", isa.name(), true, format!("{whose}{used}"))
        }
        Some(why) => Entry::new("cpu", isa.name(), false, why.to_owned()),
    };
    Isa::ALL.into_iter().map(entry).collect()
}
