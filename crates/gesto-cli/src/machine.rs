//! Which machine figures belong to.

use std::fmt;

use gesto::unit::Adapter;
use gesto_engine::Isa;
use gesto_engine::isa::{Detected, Wish};
use serde::Serialize;

use crate::unit::{self, FoundAdapter};

/// What has a part in every figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Machine {
    /// The processor's name.
    processor: String,
    /// Processors that this program may use.
    processors: usize,
    /// The best kernels here, or what GESTO_ISA says.
    isa: Option<&'static str>,
    gpu: Option<FoundAdapter>,
    /// Version of this program.
    gesto: &'static str,
}

impl Machine {
    /// This one, with the graphics processor that is chosen.
    pub(crate) fn new(adapter: &Adapter) -> Self {
        let best = Wish::from_env().and_then(|wish| Detected::get().best(&wish));
        Self {
            processor: processor().unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH)),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            isa: best.ok().map(|token| Isa::name(token.isa())),
            gpu: unit::adapter(adapter),
            gesto: env!("CARGO_PKG_VERSION"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { processor, processors, isa, gpu, gesto } = self;
        let plural = if *processors == 1 { "" } else { "s" };
        write!(f, "{processor}, {processors} processor{plural}")?;
        isa.map_or(Ok(()), |isa| write!(f, ", {isa}"))?;
        gpu.as_ref().map_or(Ok(()), |gpu| write!(f, "; GPU {gpu}"))?;
        write!(f, "; gesto {gesto}")
    }
}

/// The processor's name, as the system has it.
fn processor() -> Option<String> {
    let name = if cfg!(windows) {
        std::env::var("PROCESSOR_IDENTIFIER").ok()
    } else if cfg!(target_os = "macos") {
        let told = std::process::Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output();
        told.ok().map(|told| String::from_utf8_lossy(&told.stdout).into_owned())
    } else {
        let list = std::fs::read_to_string("/proc/cpuinfo").ok();
        // ARM's list has numbers alone; boards have a name.
        list.and_then(|list| model_name(&list))
            .or_else(|| std::fs::read_to_string("/proc/device-tree/model").ok())
    };
    let name = name?.replace('\0', " ");
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

/// The first processor's name in Linux's list.
fn model_name(list: &str) -> Option<String> {
    let line = list.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_in_one_line() {
        let gpu = Some(FoundAdapter { name: "llvmpipe".to_owned(), software: true });
        let processor = "AMD EPYC".to_owned();
        let mut machine = Machine { processor, processors: 2, isa: Some("avx512-bf16"), gpu, gesto: "0.1.0" };
        let line = "AMD EPYC, 2 processors, avx512-bf16; GPU llvmpipe, software on the CPU; gesto 0.1.0";
        assert_eq!(machine.to_string(), line);
        (machine.gpu, machine.processors, machine.isa) = (None, 1, None);
        assert_eq!(machine.to_string(), "AMD EPYC, 1 processor; gesto 0.1.0");
    }

    #[test]
    fn the_name_of_the_first_processor() {
        let list = "processor\t: 0\nvendor_id\t: X\nmodel name\t: Made Up 9000\n\nmodel name\t: Other\n";
        assert_eq!(model_name(list).as_deref().map(str::trim), Some("Made Up 9000"));
        assert_eq!(model_name("CPU part\t: 0xd0c\n"), None);
    }

    #[test]
    fn this_machine_has_a_name_and_processors() {
        let machine = Machine::new(&Adapter::Best);
        assert!(!machine.processor.is_empty() && machine.processors > 0, "{machine:?}");
        assert!(!machine.processor.contains(['\0', '\n', '\t']), "{machine:?}");
    }
}
