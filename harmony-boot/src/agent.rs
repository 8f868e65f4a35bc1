//! The inventory agent's binary, held in memory: what is served is what was digested.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{AgentBinary, BootError};

/// The binary and its digest.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) binary: Bytes,
    /// SHA-256, lower-case hex.
    pub(crate) sha256: String,
}

impl Agent {
    pub(crate) async fn read(from: &AgentBinary) -> Result<Self, BootError> {
        let binary: Bytes = match from {
            AgentBinary::Memory(binary) => binary.clone(),
            AgentBinary::File(file) => {
                let failed = |source| BootError::Agent { file: file.clone(), source };
                tokio::fs::read(file).await.map_err(failed)?.into()
            }
        };
        let sha256 = Sha256::digest(&binary).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { binary, sha256 })
    }
}
