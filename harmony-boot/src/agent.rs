//! The inventory agent's binary, held in memory: what is served is what was digested.

use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::BootError;

/// The binary and its digest.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) binary: Bytes,
    /// SHA-256, lower-case hex.
    pub(crate) sha256: String,
}

impl Agent {
    pub(crate) async fn read(file: &Path) -> Result<Self, BootError> {
        let binary =
            tokio::fs::read(file).await.map_err(|source| BootError::Agent { file: file.to_owned(), source })?;
        let sha256 = Sha256::digest(&binary).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { binary: binary.into(), sha256 })
    }
}
