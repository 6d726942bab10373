//! From the network as data to what the GPU does: maps laid out once, jobs, and stages of independent jobs.
//!
//! `Graph` -> [`lower`] (nodes over laid-out maps) -> [`stage`] (one dispatch for each depth) and [`pack`] (weights).

pub(crate) mod layout;
pub(crate) mod lower;
pub(crate) mod pack;
pub(crate) mod stage;
