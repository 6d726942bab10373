//! 16 numbers at once, and the functions made of them.

/// 16 f32 in the registers of one tier. A value is proof that the processor has the tier's instructions: what makes one
/// from nothing is unsafe, what takes one is not. Functions over a `Vector` are inlined into a function that enables the
/// tier.
pub(super) trait Vector: Copy {
    /// # Safety
    /// The processor has the tier's instructions.
    unsafe fn splat(x: f32) -> Self;

    /// # Safety
    /// As [`splat`](Self::splat).
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: passed on from the caller.
        unsafe { Self::splat(0.0) }
    }

    /// # Safety
    /// As [`splat`](Self::splat); 16 numbers can be read at `from`.
    unsafe fn load(from: *const f32) -> Self;

    /// A register like this one with `x` in every lane.
    #[inline(always)]
    fn filled(self, x: f32) -> Self {
        // SAFETY: `self` is proof of the instructions.
        unsafe { Self::splat(x) }
    }

    /// # Safety
    /// 16 numbers can be written at `to`.
    unsafe fn store(self, to: *mut f32);
    fn add(a: Self, b: Self) -> Self;
    fn sub(a: Self, b: Self) -> Self;
    fn mul(a: Self, b: Self) -> Self;
    fn div(a: Self, b: Self) -> Self;
    fn min(a: Self, b: Self) -> Self;
    fn max(a: Self, b: Self) -> Self;
    /// `a * b + c`; fused where the tier can.
    fn mul_add(a: Self, b: Self, c: Self) -> Self;
    /// `x * 2^n` for whole `n` in -126..=127.
    fn scale(x: Self, n: Self) -> Self;
}

/// `x * sigmoid(x)`, within 2 units in the last place of the exact value plus 1e-7.
#[inline(always)]
pub(super) fn silu<V: Vector>(x: V) -> V {
    V::div(x, V::add(x.filled(1.0), exp(V::sub(x.filled(0.0), x))))
}

/// `e^x`: `x = n ln 2 + r`, a polynomial for `e^r`, the exponent set to `n` (Cephes `expf`).
#[inline(always)]
fn exp<V: Vector>(x: V) -> V {
    // Beyond these the result is not a normal number.
    let x = V::min(V::max(x, x.filled(-87.0)), x.filled(87.0));
    // Adding and taking away 1.5 * 2^23 rounds to a whole number.
    let magic = x.filled(12_582_912.0);
    let n = V::sub(V::mul_add(x, x.filled(std::f32::consts::LOG2_E), magic), magic);
    // ln 2 in two parts, the first of few bits, so that n times it is exact.
    let r = V::mul_add(n, x.filled(-0.693_359_4), x);
    let r = V::mul_add(n, x.filled(2.121_944_4e-4), r);
    let mut p = x.filled(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = V::mul_add(p, r, x.filled(c));
    }
    let p = V::add(V::mul_add(V::mul(r, r), p, r), x.filled(1.0));
    V::scale(p, n)
}
