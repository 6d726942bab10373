//! `gesto live`: a web server with a page that shows gestures and people in a camera's picture as they move.
//!
//! The way of a frame: socket -> [`wire`] -> [`engine`] (a fair queue of newest frames, workers with detectors) ->
//! [`wire`] -> socket. A source of the server itself (camera, stream, file) takes the same way and is shown to every
//! viewer. [`Server`] ties it together; [`Config`] says who may connect and how much they may ask for.

#![forbid(unsafe_code)]

mod access;
mod change;
mod config;
pub mod engine;
mod metrics;
mod places;
mod routes;
mod server;
pub mod settings;
mod source;
mod state;
pub mod wire;

pub use access::{Token, TokenError};
pub use config::{Access, Config, ConfigError, ConfigErrorKind, Limits};
pub use server::{Server, StartError};
pub use source::{SourceConfig, SourceState, SourceWatch};
