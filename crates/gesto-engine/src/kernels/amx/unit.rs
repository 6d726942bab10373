//! The configuration of the unit's tiles, which stays from step to step.

use std::cell::Cell;
use std::marker::PhantomData;

use super::tile::{self, TileConfig};

/// The tiles of one thread for the time of one frame. Loading a configuration and releasing it again takes a third of a
/// microsecond: as much as several taps, if every step did so.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    loaded: Cell<Option<TileConfig>>,
    /// Tiles are one thread's: neither `Send` nor `Sync`.
    here: PhantomData<*const ()>,
}

impl Unit {
    /// Loads a configuration, unless it is the one in place.
    ///
    /// # Safety
    /// Tile instructions are legal on this processor and granted to this process.
    #[inline]
    pub(super) unsafe fn configure(&self, config: TileConfig) {
        if self.loaded.get() != Some(config) {
            // SAFETY: passed on from the caller.
            unsafe { config.load() };
            self.loaded.set(Some(config));
        }
    }
}

impl Drop for Unit {
    /// Released tiles make context switches cheap again.
    fn drop(&mut self) {
        if self.loaded.get().is_some() {
            // SAFETY: a configuration was loaded, on this thread, which the value never leaves.
            unsafe { tile::release() };
        }
    }
}
