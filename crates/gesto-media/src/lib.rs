//! Picture and clip sources, annotated sinks and drawing.

#![forbid(unsafe_code)]
