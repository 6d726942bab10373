//! Memory in cache lines: packed weights, and the arena that holds every feature map of one network.
//!
//! A frame touches all of it, more pages of 4 kB than a processor keeps addresses of: so it asks for huge ones.

use std::alloc::{self, Layout};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::NonNull;

use crate::plan::layout::{Format, LINE};

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u32; LINE / 4]);

impl Line {
    pub(crate) const ZERO: Self = Self([0; LINE / 4]);

    pub(crate) fn from_words(words: [u32; LINE / 4]) -> Self {
        Self(words)
    }
}

/// Bytes that begin on a cache line.
#[derive(Clone)]
pub(crate) struct Lines(Vec<Line>);

impl Lines {
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: a line is 64 bytes without padding, so the slice covers exactly the lines.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }
}

impl From<Vec<Line>> for Lines {
    fn from(lines: Vec<Line>) -> Self {
        Self(lines)
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lines({} bytes)", self.0.len() * LINE)
    }
}

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// Asks the system for huge pages where these bytes fill some. It does nothing to pages that have been touched before.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn advise_huge_pages<T>(memory: &mut [MaybeUninit<T>]) {
    let Range { start, end } = memory.as_mut_ptr_range();
    let (start, end) = (start.cast::<u8>(), end.cast::<u8>());
    let first = start.wrapping_add(start.align_offset(HUGE));
    if first < end {
        let len = (end.addr() - first.addr()) / HUGE * HUGE;
        // SAFETY: the pages lie in the slice, and the advice changes nothing that a program could read there. A system without
        // huge pages refuses, which is as good.
        _ = unsafe { rustix::mm::madvise(first.cast(), len, rustix::mm::Advice::LinuxHugepage) };
    }
}

/// No other system is asked.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) fn advise_huge_pages<T>(_: &mut [MaybeUninit<T>]) {}

/// Lines of zeros on pages of their own.
struct Pages {
    start: NonNull<UnsafeCell<Line>>,
    len: usize,
}

// SAFETY: it owns its lines.
unsafe impl Send for Pages {}

impl Pages {
    fn new(len: usize) -> Self {
        let layout = Self::layout(len);
        // SAFETY: the layout has a size.
        let start = unsafe { alloc::alloc(layout) };
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
        // SAFETY: so many bytes were allocated, and nobody else knows of them.
        let bytes = unsafe { std::slice::from_raw_parts_mut(start.cast().as_ptr(), layout.size()) };
        advise_huge_pages::<u8>(bytes);
        bytes.fill(MaybeUninit::new(0));
        Self { start: start.cast(), len }
    }

    fn layout(len: usize) -> Layout {
        let bytes = len.max(1) * LINE;
        // Little memory shares its pages with others.
        let align = if bytes < HUGE { LINE } else { HUGE };
        Layout::from_size_align(bytes, align).expect("less than half of all addresses")
    }

    fn as_ptr(&self) -> *const UnsafeCell<Line> {
        self.start.as_ptr()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`, with this layout.
        unsafe { alloc::dealloc(self.start.as_ptr().cast(), Self::layout(self.len)) }
    }
}

/// The feature maps of one network. Between frames it is ordinary memory; within a frame the threads of a team write
/// disjoint parts of it through [`Arena::shared`].
pub(crate) struct Arena(Pages);

// SAFETY: shared access goes through raw pointers that only `shared` gives, whose users keep their writes disjoint; the
// safe methods read, and take the exclusive borrow that `shared` takes.
unsafe impl Sync for Arena {}

impl Arena {
    /// `len` zeros: the borders of all planes are in place.
    pub(crate) fn new(len: usize) -> Self {
        Self(Pages::new(len.div_ceil(LINE)))
    }

    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len * LINE
    }

    /// Sets a range of bytes.
    ///
    /// # Panics
    /// When it does not lie in the arena.
    pub(crate) fn fill(&mut self, bytes: Range<usize>, byte: u8) {
        assert!(bytes.start <= bytes.end && bytes.end <= self.len());
        let start = self.shared().at_signed(bytes.start as isize);
        // SAFETY: in bounds by the assertion, and exclusively borrowed.
        unsafe { start.write_bytes(byte, bytes.len()) };
    }

    /// The way in for kernels of one frame.
    pub(crate) fn shared(&mut self) -> SharedArena<'_> {
        SharedArena { start: UnsafeCell::raw_get(self.0.as_ptr()).cast(), len: self.len(), arena: self }
    }

    /// 16 numbers at a byte offset.
    ///
    /// # Panics
    /// When they do not lie in the arena, or the offset is not a multiple of 4.
    pub(crate) fn f32x16(&self, offset: usize) -> [f32; 16] {
        assert!(offset + LINE <= self.len() && offset.is_multiple_of(4));
        // SAFETY: in bounds and aligned by the assertion; no kernel runs, since `shared` holds an exclusive borrow.
        unsafe { self.0.as_ptr().cast::<u8>().add(offset).cast::<[f32; 16]>().read() }
    }
}

impl Arena {
    /// Number `index` of those that begin at a byte offset.
    ///
    /// # Panics
    /// When it does not lie in the arena.
    pub(crate) fn number(&self, offset: usize, index: usize, format: Format) -> f32 {
        let at = offset + index * format.bytes();
        assert!(at + format.bytes() <= self.len());
        let from = self.0.as_ptr().cast::<u8>();
        // SAFETY: in bounds by the assertion; no kernel runs, since `shared` holds an exclusive borrow.
        unsafe {
            match format {
                Format::F32 => from.add(at).cast::<f32>().read_unaligned(),
                Format::U8 => f32::from(from.add(at).read()),
                Format::Bf16 => {
                    let upper = from.add(at).cast::<u16>().read_unaligned();
                    f32::from_bits(u32::from(upper) << 16)
                }
            }
        }
    }
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arena({} bytes)", self.len())
    }
}

/// The arena while a team works on a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedArena<'a> {
    start: *mut u8,
    len: usize,
    arena: &'a Arena,
}

// SAFETY: it is a pointer into an arena that outlives it; what is read and written through it is the users' argument.
unsafe impl Send for SharedArena<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedArena<'_> {}

impl SharedArena<'_> {
    /// The address of a byte offset.
    #[inline(always)]
    pub(crate) fn at(self, offset: usize) -> *mut u8 {
        debug_assert!(offset < self.len && self.arena.len() == self.len);
        // In bounds wherever it is used; `wrapping_add` keeps this function safe.
        self.start.wrapping_add(offset)
    }

    /// The address of the byte `offset` from the start, which may lie before it until a tile is added.
    #[inline(always)]
    pub(crate) fn at_signed(self, offset: isize) -> *mut u8 {
        self.start.wrapping_offset(offset)
    }
}
