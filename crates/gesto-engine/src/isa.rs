//! Instruction sets: what the processor has, what the operating system grants, what the user allows.
//!
//! A [`Token`] proves that the instructions of its tier can be executed. Only [`Detected`] makes one, and every
//! kernel that uses special instructions asks for it; that is the whole argument why no kernel dies of an
//! illegal instruction.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::error::{Error, ErrorKind, Result};
use crate::kernels;

/// A kernel tier, best first. Names are `{arch}-{number format}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Isa {
    /// Intel's matrix unit, bf16 products summed in f32.
    AmxBf16,
    /// AVX-512, f32.
    Avx512F32,
    /// AVX-512 with bf16 dot products summed in f32.
    Avx512Bf16,
    /// AVX2 with FMA, f32.
    Avx2F32,
    /// Plain Rust, vectorised by the compiler for whatever it is built for; f32.
    Portable,
    /// Intel's matrix unit, products of bytes summed in 32-bit integers. Runs quantised models only.
    AmxInt8,
    /// AVX-512 VNNI, products of bytes summed in 32-bit integers. Runs quantised models only.
    Avx512Vnni,
    /// Plain Rust with the arithmetic of the other 8-bit tiers: for checks where neither is to be had.
    PortableInt8,
}

impl Isa {
    /// Every tier. [`Detected::best`] prefers them in this order, but for bf16 dot products, whose place depends on the
    /// processor. The 8-bit tiers at the end are never chosen, only asked for: they cost accuracy.
    pub const ALL: [Isa; 8] = [
        Isa::AmxBf16,
        Isa::Avx512F32,
        Isa::Avx512Bf16,
        Isa::Avx2F32,
        Isa::Portable,
        Isa::AmxInt8,
        Isa::Avx512Vnni,
        Isa::PortableInt8,
    ];

    /// Whether it computes with bytes: only models with activation scales run on it, and only when it is asked for.
    #[must_use]
    pub fn is_int8(self) -> bool {
        matches!(self, Isa::AmxInt8 | Isa::Avx512Vnni | Isa::PortableInt8)
    }

    /// The tier's name, as `GESTO_ISA` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Isa::AmxBf16 => "amx-bf16",
            Isa::Avx512F32 => "avx512-f32",
            Isa::Avx512Bf16 => "avx512-bf16",
            Isa::Avx2F32 => "avx2-f32",
            Isa::Portable => "portable",
            Isa::AmxInt8 => "amx-int8",
            Isa::Avx512Vnni => "avx512-vnni",
            Isa::PortableInt8 => "portable-int8",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| {
            let known: Vec<_> = Isa::ALL.iter().map(|isa| isa.name()).collect();
            Error::new(
                ErrorKind::Config,
                format!("unknown instruction set {name:?}; known are {}", known.join(", ")),
            )
        })
    }
}

/// Proof that a tier's instructions run on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(Isa);

impl Token {
    /// The tier it stands for.
    #[must_use]
    pub fn isa(self) -> Isa {
        self.0
    }
}

/// What this machine offers.
#[derive(Debug, Clone)]
pub struct Detected {
    /// For each tier: nothing when it is there, else why it is not.
    missing: [Option<String>; Isa::ALL.len()],
    /// The matrix unit is played by software: to be had, but never chosen.
    emulated: bool,
    /// Whether `vdpbf16ps` is issued as often as `vfmadd231ps`.
    full_rate_dot_products: bool,
}

impl Detected {
    /// Looks once; later calls give the first answer.
    #[must_use]
    pub fn get() -> &'static Self {
        static DETECTED: OnceLock<Detected> = OnceLock::new();
        DETECTED.get_or_init(|| {
            let mut missing = Isa::ALL.map(|isa| why_missing(isa).err());
            let emulated = emulate(&mut missing);
            Detected { missing, emulated, full_rate_dot_products: full_rate_dot_products() }
        })
    }

    /// Why a tier is not to be had; `None` when it is.
    #[must_use]
    pub fn missing(&self, isa: Isa) -> Option<&str> {
        let at = Isa::ALL.iter().position(|&other| other == isa).expect("ALL holds every tier");
        self.missing[at].as_deref()
    }

    /// Whether a tier is played by software, for tests.
    #[must_use]
    pub fn is_emulated(&self, isa: Isa) -> bool {
        self.emulated && matches!(isa, Isa::AmxBf16 | Isa::AmxInt8)
    }

    /// The token of a tier.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the reason when this machine lacks it.
    pub fn token(&self, isa: Isa) -> Result<Token> {
        match self.missing(isa) {
            None => Ok(Token(isa)),
            Some(why) => Err(Error::new(ErrorKind::Unsupported, format!("{isa} is not available: {why}"))),
        }
    }

    /// The best tier that `wish` allows; one of the 8-bit tiers only when it is forced.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the wish forces a tier that is missing, or forbids all there are.
    pub fn best(&self, wish: &Wish) -> Result<Token> {
        if let Some(isa) = wish.forced {
            if wish.forbidden.contains(&isa) {
                let message = format!("{isa} is forced and forbidden at once");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            return self.token(isa);
        }
        let allowed = preference(self.full_rate_dot_products).into_iter().find(|isa| {
            !self.is_emulated(*isa)
                && !isa.is_int8()
                && !wish.forbidden.contains(isa)
                && self.missing(*isa).is_none()
        });
        allowed
            .map(Token)
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, "every instruction set is forbidden"))
    }
}

/// All tiers, best first.
///
/// With dot products at full rate, bf16 does twice the multiplications of f32, more than minimal filtering saves there
/// (`tests/choice.rs` measures it).
fn preference(full_rate_dot_products: bool) -> [Isa; Isa::ALL.len()] {
    let mut order = Isa::ALL;
    if full_rate_dot_products {
        order[1..3].reverse();
    }
    order
}

/// AMD's processors (Zen 4, Zen 5) issue as many `vdpbf16ps` as `vfmadd231ps`; Intel's (Sapphire and Emerald Rapids) one in
/// the time of four, half the multiplications of f32.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn full_rate_dot_products() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD"
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn full_rate_dot_products() -> bool {
    false
}

/// What the user wants of the choice: one tier forced, or some forbidden.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    forced: Option<Isa>,
    forbidden: Vec<Isa>,
}

impl Wish {
    /// Exactly this tier.
    #[must_use]
    pub fn force(isa: Isa) -> Self {
        Self { forced: Some(isa), forbidden: Vec::new() }
    }

    /// The same wish, which this tier does not meet.
    #[must_use]
    pub fn without(mut self, isa: Isa) -> Self {
        self.forbidden.push(isa);
        self
    }

    /// Whether this tier meets the wish.
    #[must_use]
    pub fn allows(&self, isa: Isa) -> bool {
        self.forced.is_none_or(|forced| forced == isa) && !self.forbidden.contains(&isa)
    }

    /// The environment variable `GESTO_ISA`: a tier's name forces it, names with a minus sign before them
    /// (`-amx-bf16,-avx512-f32`) are forbidden; unset or empty leaves the choice free.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an unknown name, for two forced tiers, and when one is forced and others are forbidden.
    pub fn from_env() -> Result<Self> {
        std::env::var_os("GESTO_ISA").map_or(Ok(Self::default()), |text| Self::from_value(&text))
    }

    fn from_value(text: &OsStr) -> Result<Self> {
        let known = text.to_str().ok_or_else(|| {
            Error::new(
                ErrorKind::Config,
                format!("GESTO_ISA={text:?} is not text: no instruction set is called so"),
            )
        })?;
        known.parse()
    }
}

impl FromStr for Wish {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut wish = Wish::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.strip_prefix('-') {
                Some(name) => wish.forbidden.push(name.parse()?),
                None if wish.forced.is_some() => {
                    let message = format!("GESTO_ISA={text:?} forces two instruction sets");
                    return Err(Error::new(ErrorKind::Config, message));
                }
                None => wish.forced = Some(part.parse()?),
            }
        }
        if wish.forced.is_some() && !wish.forbidden.is_empty() {
            let message = format!(
                "GESTO_ISA={text:?} forces an instruction set and forbids some: one of both is needed"
            );
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(wish)
    }
}

#[cfg(target_arch = "x86_64")]
fn why_missing(isa: Isa) -> std::result::Result<(), String> {
    macro_rules! need {
        ($($feature:tt),*) => {{$(
            if !std::arch::is_x86_feature_detected!($feature) {
                return Err(format!("the processor or the operating system does not offer {}", $feature));
            }
        )*}};
    }
    match isa {
        Isa::Portable | Isa::PortableInt8 => {}
        Isa::Avx2F32 => need!("avx2", "fma", "f16c"),
        Isa::Avx512F32 => need!("avx512f", "avx512bw", "avx512vl", "avx512dq", "fma", "avx2"),
        Isa::Avx512Bf16 => need!("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512bf16", "fma", "avx2"),
        Isa::AmxBf16 => {
            // The kernel's epilogue is AVX-512; every processor with the matrix unit has it.
            need!("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512bf16", "fma", "avx2");
            kernels::amx::detect::bf16()?;
        }
        Isa::Avx512Vnni => need!("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni", "fma", "avx2"),
        Isa::AmxInt8 => {
            need!("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni", "avx512vbmi", "fma", "avx2");
            kernels::amx::detect::int8()?;
        }
    }
    Ok(())
}

#[cfg(not(target_arch = "x86_64"))]
fn why_missing(isa: Isa) -> std::result::Result<(), String> {
    match isa {
        Isa::Portable | Isa::PortableInt8 => Ok(()),
        _ => Err(format!("this program is built for {}", std::env::consts::ARCH)),
    }
}

/// Puts software in the place of a missing matrix unit, where the rest of its kernels' instructions exists.
#[cfg(all(target_arch = "x86_64", feature = "emulate-amx"))]
fn emulate(missing: &mut [Option<String>; Isa::ALL.len()]) -> bool {
    let at = |isa| Isa::ALL.iter().position(|&other| other == isa).expect("ALL holds every tier");
    if missing[at(Isa::AmxBf16)].is_none() {
        return false;
    }
    let mut emulated = false;
    // Every matrix unit comes with VBMI, not so AVX-512 VNNI.
    let bytes = missing[at(Isa::Avx512Vnni)].is_none() && std::arch::is_x86_feature_detected!("avx512vbmi");
    for (unit, rest) in [(Isa::AmxBf16, missing[at(Isa::Avx512Bf16)].is_none()), (Isa::AmxInt8, bytes)] {
        if rest {
            kernels::amx::emulate::install();
            missing[at(unit)] = None;
            emulated = true;
        }
    }
    emulated
}

#[cfg(not(all(target_arch = "x86_64", feature = "emulate-amx")))]
fn emulate(_: &mut [Option<String>; Isa::ALL.len()]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_wish_is_read() {
        assert_eq!("".parse::<Wish>().unwrap(), Wish::default());
        assert_eq!("avx2-f32".parse::<Wish>().unwrap(), Wish::force(Isa::Avx2F32));
        let wish: Wish = "-amx-bf16, -avx512-f32".parse().unwrap();
        assert_eq!(wish.forbidden, [Isa::AmxBf16, Isa::Avx512F32]);
        assert_eq!("sse9".parse::<Wish>().unwrap_err().kind(), ErrorKind::Config);
        assert_eq!("portable,avx2-f32".parse::<Wish>().unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn a_wish_does_not_contradict_itself() {
        for text in ["avx2-f32,-avx2-f32", "-avx2-f32,avx2-f32", "portable,-amx-bf16"] {
            let error = text.parse::<Wish>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_wish_is_narrowed() {
        let wish = "-avx2-f32".parse::<Wish>().unwrap().without(Isa::AmxBf16);
        let allowed = [Isa::AmxBf16, Isa::Avx2F32, Isa::Portable].map(|isa| wish.allows(isa));
        assert_eq!(allowed, [false, false, true]);
        let forced = Wish::force(Isa::Portable);
        assert!(forced.allows(Isa::Portable) && !forced.allows(Isa::Avx2F32));
        let detected = Detected::get();
        assert_eq!(detected.best(&forced.clone().without(Isa::AmxBf16)).unwrap().isa(), Isa::Portable);
        let error = detected.best(&forced.without(Isa::Portable)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let error = Wish::from_value(OsStr::from_bytes(b"avx2-f32\xff")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("avx2-f32"), "{error}");
        assert_eq!(Wish::from_value(OsStr::new("avx2-f32")).unwrap(), Wish::force(Isa::Avx2F32));
    }

    #[test]
    fn dot_products_come_first_where_they_are_fast() {
        let position = |order: [Isa; Isa::ALL.len()], isa| order.into_iter().position(|other| other == isa);
        for full_rate in [false, true] {
            let order = preference(full_rate);
            assert!(Isa::ALL.iter().all(|isa| order.contains(isa)));
            assert_eq!(position(order, Isa::AmxBf16), Some(0));
            assert_eq!(position(order, Isa::Avx512Bf16) < position(order, Isa::Avx512F32), full_rate);
            assert!(position(order, Isa::Avx512F32) < position(order, Isa::Avx2F32));
        }
    }

    #[test]
    fn the_choice_obeys_the_wish() {
        let detected = Detected::get();
        assert_eq!(detected.best(&Wish::force(Isa::Portable)).unwrap().isa(), Isa::Portable);
        let none = Wish { forced: None, forbidden: Isa::ALL.to_vec() };
        assert_eq!(detected.best(&none).unwrap_err().kind(), ErrorKind::Unsupported);
        for isa in Isa::ALL {
            match detected.missing(isa) {
                None => assert_eq!(detected.best(&Wish::force(isa)).unwrap().isa(), isa),
                Some(why) => {
                    // Unlike `println!`, this shows for tests that pass.
                    _ = writeln!(std::io::stderr(), "skipped: {isa} ({why})");
                    assert_eq!(detected.best(&Wish::force(isa)).unwrap_err().kind(), ErrorKind::Unsupported);
                }
            }
        }
    }
}
