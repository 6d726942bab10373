//! Providers of ONNX Runtime.

use std::path::Path;

use super::Entry;

#[cfg(feature = "ort")]
pub(super) fn entries(library: Option<&Path>) -> Vec<Entry> {
    use gesto::unit::Provider;
    use gesto_ort::Library;

    let library = library.map_or(Library::Found, |file| Library::File(file.to_owned()));
    let version = match gesto_ort::version(&library) {
        Ok(version) => version,
        Err(why) => return vec![Entry::new("ort:...", "ONNX Runtime", false, why.to_string())],
    };
    let entry = |provider: Provider| {
        let theirs = gesto_ort::Provider::from(provider);
        let unit = format!("ort:{provider}");
        match theirs.check(&library) {
            Ok(()) => {
                let driver = if provider == Provider::Cpu { "" } else { "; needs its driver at run time" };
                Entry::new(&unit, theirs.name(), true, format!("ONNX Runtime {version}{driver}"))
            }
            Err(why) => Entry::new(&unit, theirs.name(), false, why.to_string()),
        }
    };
    Provider::ALL.into_iter().map(entry).collect()
}

#[cfg(not(feature = "ort"))]
pub(super) fn entries(_: Option<&Path>) -> Vec<Entry> {
    vec![Entry::new("ort:...", "ONNX Runtime", false, "this program was built without ort".to_owned())]
}
