//! 16 numbers at once, and the functions made of them.

/// 16 f32. Implementations use the instructions of one tier; functions over a `Vector` are inlined into a function that
/// enables that tier.
pub(super) trait Vector: Copy {
    fn zero() -> Self;
    fn splat(x: f32) -> Self;
    /// # Safety
    /// 16 numbers can be read at `from`.
    unsafe fn load(from: *const f32) -> Self;
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
    let one = V::splat(1.0);
    V::div(x, V::add(one, exp(V::sub(V::zero(), x))))
}

/// `e^x`: `x = n ln 2 + r`, a polynomial for `e^r`, the exponent set to `n` (Cephes `expf`).
#[inline(always)]
fn exp<V: Vector>(x: V) -> V {
    // Beyond these the result is not a normal number.
    let x = V::min(V::max(x, V::splat(-87.0)), V::splat(87.0));
    // Adding and taking away 1.5 * 2^23 rounds to a whole number.
    let magic = V::splat(12_582_912.0);
    let n = V::sub(V::mul_add(x, V::splat(std::f32::consts::LOG2_E), magic), magic);
    // ln 2 in two parts, the first of few bits, so that n times it is exact.
    let r = V::mul_add(n, V::splat(-0.693_359_4), x);
    let r = V::mul_add(n, V::splat(2.121_944_4e-4), r);
    let mut p = V::splat(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = V::mul_add(p, r, V::splat(c));
    }
    let p = V::add(V::mul_add(V::mul(r, r), p, r), V::splat(1.0));
    V::scale(p, n)
}
