//! The matrix unit in software, to test its kernels on machines without one (feature `emulate-amx`).
//!
//! Tile instructions are illegal there and raise SIGILL. A handler decodes the instruction, does its work on tiles
//! kept per thread, and goes on behind it: the kernels run as they are, some ten thousand times slower.
//! Encodings: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter "Intel AMX".

use std::cell::UnsafeCell;
use std::sync::Once;

use super::TileConfig;

/// Rows of 64 bytes, and how many of each count.
struct Tiles {
    config: [u8; 64],
    data: [[[u8; 64]; 16]; 8],
}

thread_local! {
    static TILES: UnsafeCell<Tiles> = const { UnsafeCell::new(Tiles { config: [0; 64], data: [[[0; 64]; 16]; 8] }) };
}

/// Installs the handler, once for the process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: an all-zero sigaction is valid; the handler has the signature that SA_SIGINFO asks for.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_illegal_instruction as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
            assert_eq!(libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut()), 0);
        }
    });
    debug_assert_eq!(size_of::<TileConfig>(), 64);
}

extern "C" fn on_illegal_instruction(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a ucontext; its instruction pointer points to readable code. The signal is raised by an
    // instruction of this thread outside of any access to TILES, so the borrow is the only one.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let code = registers[libc::REG_RIP as usize] as *const u8;
        let length = TILES.with(|tiles| execute(code, registers, &mut *tiles.get()));
        match length {
            Some(length) => registers[libc::REG_RIP as usize] += length as i64,
            // Not ours: the next attempt dies as it should.
            None => {
                libc::signal(libc::SIGILL, libc::SIG_DFL);
            }
        }
    }
}

/// Executes one tile instruction; gives its length.
///
/// # Safety
/// `code` points to an instruction; its operands are what the instruction itself would access.
unsafe fn execute(code: *const u8, registers: &[i64; 23], tiles: &mut Tiles) -> Option<usize> {
    // SAFETY: the longest instruction has 15 bytes; code is followed by code or by the page's padding, and bytes are
    // read one by one as far as the instruction goes.
    let byte = |at: usize| unsafe { code.add(at).read() };
    if byte(0) != 0xc4 || byte(1) & 0x1f != 2 {
        return None;
    }
    let (high_x, high_b) = (byte(1) & 0x40 == 0, byte(1) & 0x20 == 0);
    let (prefix, vvvv) = (byte(2) & 3, usize::from(!byte(2) >> 3 & 7));
    let (opcode, modrm) = (byte(3), byte(4));
    let (mode, reg, rm) = (modrm >> 6, usize::from(modrm >> 3 & 7), usize::from(modrm & 7));

    // Memory operand: address, distance of rows, length of the instruction.
    let memory = || {
        let value = |number: usize| registers[GENERAL[number]];
        let (base, stride, mut at) = if rm == 4 {
            let sib = byte(5);
            let index = usize::from(sib >> 3 & 7) + if high_x { 8 } else { 0 };
            let base = usize::from(sib & 7) + if high_b { 8 } else { 0 };
            let stride = if index == 4 { 0 } else { value(index) << (sib >> 6) };
            (value(base), stride, 6)
        } else {
            (value(rm + if high_b { 8 } else { 0 }), 0, 5)
        };
        let displacement = match mode {
            1 => {
                at += 1;
                i64::from(byte(at - 1) as i8)
            }
            2 => {
                at += 4;
                i64::from(i32::from_le_bytes([byte(at - 4), byte(at - 3), byte(at - 2), byte(at - 1)]))
            }
            _ => 0,
        };
        (base + displacement, stride, at)
    };
    let shape = |config: &[u8; 64], tile: usize| {
        let row_bytes = usize::from(u16::from_le_bytes([config[16 + 2 * tile], config[17 + 2 * tile]]));
        (usize::from(config[48 + tile]), row_bytes)
    };

    match (opcode, prefix, mode) {
        // SAFETY: `ldtilecfg` reads 64 bytes at its operand.
        (0x49, 0, 0..=2) => unsafe {
            let (address, _, length) = memory();
            tiles.config = (address as *const [u8; 64]).read();
            tiles.data = [[[0; 64]; 16]; 8];
            Some(length)
        },
        // SAFETY: `sttilecfg` writes 64 bytes at its operand.
        (0x49, 1, 0..=2) => unsafe {
            let (address, _, length) = memory();
            (address as *mut [u8; 64]).write(tiles.config);
            Some(length)
        },
        (0x49, 0, 3) => {
            tiles.config = [0; 64];
            Some(5)
        }
        (0x49, 3, 3) => {
            tiles.data[reg] = [[0; 64]; 16];
            Some(5)
        }
        // SAFETY: `tileloadd` and `tilestored` access as many bytes of as many rows as the configuration says.
        (0x4b, 1..=3, 0..=2) => unsafe {
            let (address, stride, length) = memory();
            let (rows, row_bytes) = shape(&tiles.config, reg);
            for row in 0..rows {
                let at = (address + row as i64 * stride) as *mut u8;
                let data = tiles.data[reg][row].as_mut_ptr();
                if prefix == 2 {
                    at.copy_from_nonoverlapping(data, row_bytes);
                } else {
                    data.copy_from_nonoverlapping(at, row_bytes);
                }
            }
            Some(length)
        },
        // The processor refuses tiles that do not fit together.
        (0x5c | 0x5e, ..) if shape(&tiles.config, rm).1 != 4 * shape(&tiles.config, vvvv).0 => None,
        (0x5c, 2, 3) => {
            let (a, b, rows) = (tiles.data[rm], tiles.data[vvvv], shape(&tiles.config, reg).0);
            for (row, a) in tiles.data[reg].iter_mut().zip(&a).take(rows) {
                dot_bf16(row, a, &b);
            }
            Some(5)
        }
        (0x5e, 3, 3) => {
            let (a, b, rows) = (tiles.data[rm], tiles.data[vvvv], shape(&tiles.config, reg).0);
            for (row, a) in tiles.data[reg].iter_mut().zip(&a).take(rows) {
                dot_i8(row, a, &b, |byte| i32::from(byte as i8));
            }
            Some(5)
        }
        (0x5e, 1, 3) => {
            let (a, b, rows) = (tiles.data[rm], tiles.data[vvvv], shape(&tiles.config, reg).0);
            for (row, a) in tiles.data[reg].iter_mut().zip(&a).take(rows) {
                dot_i8(row, a, &b, i32::from);
            }
            Some(5)
        }
        _ => None,
    }
}

/// `tdpbf16ps` for one row: 16 sums of f32 get 16 pairs of products each.
fn dot_bf16(sums: &mut [u8; 64], a: &[u8; 64], b: &[[u8; 64]; 16]) {
    let number = |bytes: &[u8; 64], at: usize| {
        f32::from_bits(u32::from(u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]])) << 16)
    };
    for (column, sum) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let mut s = f32::from_le_bytes(*sum);
        for (pair, b) in b.iter().enumerate() {
            s += number(a, 2 * pair) * number(b, 2 * column);
            s += number(a, 2 * pair + 1) * number(b, 2 * column + 1);
        }
        *sum = s.to_le_bytes();
    }
}

/// `tdpbssd` or `tdpbusd` for one row: 16 sums of i32 get 16 quadruples of products each; `a` tells whether the bytes of
/// the left side have a sign.
fn dot_i8(sums: &mut [u8; 64], left: &[u8; 64], b: &[[u8; 64]; 16], a: impl Fn(u8) -> i32) {
    for (column, sum) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let mut s = i32::from_le_bytes(*sum);
        for (quad, b) in b.iter().enumerate() {
            for i in 0..4 {
                s = s.wrapping_add(a(left[4 * quad + i]) * i32::from(b[4 * column + i] as i8));
            }
        }
        *sum = s.to_le_bytes();
    }
}

/// Positions in a signal context of rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
const GENERAL: [usize; 16] = {
    use libc::*;
    let order = [
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10,
        REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
    ];
    let mut general = [0; 16];
    let mut i = 0;
    while i < 16 {
        general[i] = order[i] as usize;
        i += 1;
    }
    general
};
