//! The shipped network with other heads.

/// The shipped network's file.
const SHIPPED: &[u8] = include_bytes!("../../../../models/multi-n.safetensors");

/// The shipped network's file with another description of its heads; tensors that no head names are left over.
pub(crate) fn with_heads(heads: &str) -> Vec<u8> {
    let (len, rest) = SHIPPED.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*len) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    header["__metadata__"]["heads"] = heads.into();
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    file
}
