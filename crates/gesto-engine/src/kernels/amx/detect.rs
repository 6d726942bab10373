//! Whether the matrix unit can be used: the processor has it, the system saves its state, this process may.
//!
//! Some virtual machines hide the CPUID leaves that describe the tiles (0x1D, 0x1E) although the unit works, so
//! these leaves are not asked. The proof is a configuration loaded and read back.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};

use super::TileConfig;

/// Bits of CPUID leaf 7, subleaf 0, EDX.
const AMX_BF16: u32 = 1 << 22;
const AMX_TILE: u32 = 1 << 24;
const AMX_INT8: u32 = 1 << 25;
/// CPUID leaf 1, ECX: the system uses XSAVE, so `xgetbv` is legal.
const OSXSAVE: u32 = 1 << 27;
/// Bits of XCR0: tile configuration and tile data are saved on a context switch.
const XCR0_TILES: u64 = 0b11 << 17;
/// `arch_prctl` operation and the feature number of tile data (Linux, arch/x86/include/uapi/asm/prctl.h).
const ARCH_REQ_XCOMP_PERM: u64 = 0x1023;
const XFEATURE_XTILEDATA: u64 = 18;

/// Nothing when bf16 tile products work; else the reason in words.
pub(crate) fn bf16() -> Result<(), String> {
    unit(AMX_BF16)
}

/// The same for products of bytes.
pub(crate) fn int8() -> Result<(), String> {
    unit(AMX_INT8)
}

fn unit(products: u32) -> Result<(), String> {
    decide(&mut ThisMachine, products)
}

/// What is asked of a machine, in the order in which the questions become legal.
trait Machine {
    /// CPUID leaf 7, subleaf 0, EDX; `None` on a processor without that leaf.
    fn features(&mut self) -> Option<u32>;

    /// XCR0: the states that the system saves on a context switch; `None` without OSXSAVE, where reading it is illegal.
    fn saved_states(&mut self) -> Option<u64>;

    /// Asks the system for the matrix unit.
    fn request_permission(&mut self) -> Result<(), String>;

    /// Whether a configuration that is loaded can be read back.
    ///
    /// # Safety
    /// Feature bits, XCR0 and the permission say that tile instructions are legal.
    unsafe fn takes_configuration(&mut self) -> bool;
}

fn decide(machine: &mut impl Machine, products: u32) -> Result<(), String> {
    let features = machine.features().ok_or("the processor is too old to have it")?;
    if features & AMX_TILE == 0 || features & products == 0 {
        return Err("the processor has no matrix unit (AMX), or the virtual machine hides it".into());
    }
    if machine.saved_states().is_none_or(|states| states & XCR0_TILES != XCR0_TILES) {
        return Err("the operating system does not save the matrix unit's tiles".into());
    }
    machine.request_permission()?;
    // SAFETY: all three have just said so.
    if !unsafe { machine.takes_configuration() } {
        return Err("the matrix unit did not take a configuration".into());
    }
    Ok(())
}

struct ThisMachine;

impl Machine for ThisMachine {
    fn features(&mut self) -> Option<u32> {
        (__cpuid(0).eax >= 7).then(|| __cpuid_count(7, 0).edx)
    }

    fn saved_states(&mut self) -> Option<u64> {
        // SAFETY: OSXSAVE is set.
        (__cpuid(1).ecx & OSXSAVE != 0).then(|| unsafe { xcr0() })
    }

    fn request_permission(&mut self) -> Result<(), String> {
        request_permission()
    }

    /// # Safety
    /// As [`Machine::takes_configuration`].
    unsafe fn takes_configuration(&mut self) -> bool {
        let wanted = TileConfig::new(16, 64);
        // SAFETY: passed on from the caller.
        let loaded = unsafe { wanted.load_and_read_back() };
        loaded == wanted
    }
}

/// # Safety
/// CPUID shows OSXSAVE.
unsafe fn xcr0() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller has seen OSXSAVE, so xgetbv is legal; it only reads a register.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(target_os = "linux")]
fn request_permission() -> Result<(), String> {
    const SYS_ARCH_PRCTL: u64 = 158;
    let result: i64;
    // SAFETY: the system call takes two integers and touches no memory of this process; rcx and r11 are declared lost.
    unsafe {
        asm!("syscall", inlateout("rax") SYS_ARCH_PRCTL => result, in("rdi") ARCH_REQ_XCOMP_PERM,
             in("rsi") XFEATURE_XTILEDATA, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    match result {
        0 => Ok(()),
        errno => Err(format!("the operating system refuses the matrix unit (arch_prctl: error {})", -errno)),
    }
}

#[cfg(not(target_os = "linux"))]
fn request_permission() -> Result<(), String> {
    Err("asking this operating system for the matrix unit is not implemented".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with the unit, but for what a test takes away; counts how far the questions went.
    struct Made {
        features: Option<u32>,
        states: Option<u64>,
        permission: Result<(), String>,
        takes: bool,
        asked: usize,
    }

    impl Made {
        fn whole() -> Self {
            let features = Some(AMX_TILE | AMX_BF16 | AMX_INT8);
            Self { features, states: Some(0x602e7), permission: Ok(()), takes: true, asked: 0 }
        }
    }

    impl Machine for Made {
        fn features(&mut self) -> Option<u32> {
            self.asked += 1;
            self.features
        }

        fn saved_states(&mut self) -> Option<u64> {
            self.asked += 1;
            self.states
        }

        fn request_permission(&mut self) -> Result<(), String> {
            self.asked += 1;
            self.permission.clone()
        }

        /// # Safety
        /// None: nothing is loaded.
        unsafe fn takes_configuration(&mut self) -> bool {
            self.asked += 1;
            self.takes
        }
    }

    #[test]
    fn each_refusal_is_told_and_ends_the_questions() {
        let refused = "the operating system refuses";
        let cases = [
            (Made { features: None, ..Made::whole() }, "too old", 1),
            (Made { features: Some(0), ..Made::whole() }, "no matrix unit", 1),
            (Made { features: Some(AMX_TILE), ..Made::whole() }, "no matrix unit", 1),
            (Made { features: Some(AMX_BF16), ..Made::whole() }, "no matrix unit", 1),
            (Made { states: None, ..Made::whole() }, "does not save", 2),
            // Without tiles, and with their configuration alone.
            (Made { states: Some(0xe7), ..Made::whole() }, "does not save", 2),
            (Made { states: Some(0x200e7), ..Made::whole() }, "does not save", 2),
            (Made { permission: Err(refused.into()), ..Made::whole() }, refused, 3),
            (Made { takes: false, ..Made::whole() }, "did not take", 4),
        ];
        for (mut machine, why, asked) in cases {
            let error = decide(&mut machine, AMX_BF16).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert_eq!(machine.asked, asked, "{error}");
        }
        decide(&mut Made::whole(), AMX_BF16).unwrap();
        // A unit that multiplies bf16 numbers alone.
        let mut machine = Made { features: Some(AMX_TILE | AMX_BF16), ..Made::whole() };
        assert!(decide(&mut machine, AMX_INT8).is_err());
    }
}
