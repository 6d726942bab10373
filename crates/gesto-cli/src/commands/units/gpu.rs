//! Graphics processors.

use super::Entry;

#[cfg(feature = "gpu")]
pub(super) fn entries() -> Vec<Entry> {
    let adapters = gesto_gpu::adapters();
    if adapters.is_empty() {
        let why = "no Vulkan, Metal or DX12 driver was found (a software one: package mesa-vulkan-drivers)";
        return vec![Entry::new("gpu", "-", false, why.to_owned())];
    }
    let entry = |(number, adapter): (usize, gesto_gpu::AdapterSummary)| {
        let mut detail = format!("{} {}, {}", adapter.kind, adapter.backend, adapter.driver);
        for (there, what) in [(adapter.f16, "f16"), (adapter.matrix, "cooperative matrix")] {
            if there {
                detail += ", ";
                detail += what;
            }
        }
        for lack in &adapter.lacks {
            detail += "; ";
            detail += lack;
        }
        let mut entry = Entry::new(&format!("gpu:{number}"), &adapter.name, true, detail);
        entry.driver = Some(adapter.driver);
        entry.f16 = Some(adapter.f16);
        entry.cooperative_matrix = Some(adapter.matrix);
        entry
    };
    adapters.into_iter().enumerate().map(entry).collect()
}

#[cfg(not(feature = "gpu"))]
pub(super) fn entries() -> Vec<Entry> {
    vec![Entry::new("gpu", "-", false, "this program was built without gpu".to_owned())]
}
