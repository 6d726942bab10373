//! A library that is not there: an error that says what to do, and no panic.

use gesto_ort::{ErrorKind, Library, Options, OrtNetwork};

#[test]
fn a_missing_library_is_explained() {
    let mut options = Options::default();
    for file in [
        "/there/is/no/libonnxruntime.so",
        env!("CARGO_MANIFEST_DIR"),
        concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
    ] {
        options.library = Library::File(file.into());
        let error = OrtNetwork::new(b"", &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Library, "{error}");
        let text = error.to_string();
        assert!(text.contains(file) && text.contains("--ort-library"), "{text}");
    }
}
