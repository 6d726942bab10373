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
    if __cpuid(0).eax < 7 {
        return Err("the processor is too old to have it".into());
    }
    let edx = __cpuid_count(7, 0).edx;
    if edx & AMX_TILE == 0 || edx & products == 0 {
        return Err("the processor has no matrix unit (AMX), or the virtual machine hides it".into());
    }
    // OSXSAVE: without it xgetbv itself is illegal.
    if __cpuid(1).ecx & (1 << 27) == 0 || xcr0() & XCR0_TILES != XCR0_TILES {
        return Err("the operating system does not save the matrix unit's tiles".into());
    }
    request_permission()?;
    let wanted = TileConfig::for_rows(16);
    // SAFETY: feature bits, XCR0 and the permission say that tile instructions are legal.
    let loaded = unsafe { wanted.load_and_read_back() };
    if loaded != wanted {
        return Err("the matrix unit did not take a configuration".into());
    }
    Ok(())
}

fn xcr0() -> u64 {
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
