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
                if chosen.as_ref().is_ok_and(|chosen| *chosen == isa) { "; used by default" } else { "" };
            let software = if detected.is_emulated(isa) { "; played by software" } else { "" };
            Entry::new("cpu", isa.name(), true, format!("{}{software}{used}", arithmetic(isa)))
        }
        Some(why) => Entry::new("cpu", isa.name(), false, why.to_owned()),
    };
    Isa::ALL.into_iter().map(entry).collect()
}

fn arithmetic(isa: Isa) -> &'static str {
    match isa {
        isa if isa.is_int8() => "8-bit products, for models that `gesto model quantize` made",
        Isa::AmxBf16 => "16-bit products (bf16) of the matrix unit",
        Isa::Avx512Bf16 => "16-bit products (bf16)",
        _ => "32-bit products",
    }
}
