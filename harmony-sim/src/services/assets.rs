//! The files that the world's boot server offers under `/os/`, and their mirror.

use async_trait::async_trait;
use bytes::Bytes;
use harmony_core::capability::{AssetInfo, BootAssets, RemoteFile};
use harmony_core::error::{DeviceError, DeviceResult, FailureKind};
use sha2::{Digest, Sha256};

use crate::boot_server::{asset_files, hex, scos_files};
use crate::topology::SimTopology;

fn info(file: &Bytes) -> AssetInfo {
    let size_bytes = u64::try_from(file.len()).unwrap_or(u64::MAX);
    AssetInfo { sha256: hex(&Sha256::digest(file)), size_bytes }
}

#[async_trait]
impl BootAssets for SimTopology {
    async fn asset(&self, path: &str) -> DeviceResult<Option<AssetInfo>> {
        self.world().ask().await;
        let fetched = self.world().with(|state| state.services.assets.get(path));
        let file = fetched.or_else(|| asset_files().into_iter().find(|(own, _)| own == path).map(|(_, file)| file));
        Ok(file.as_ref().map(info))
    }

    async fn fetch_asset(
        &self,
        from: &RemoteFile,
        path: &str,
        progress: &(dyn Fn(u64, Option<u64>) + Send + Sync),
    ) -> DeviceResult<AssetInfo> {
        let there = self.world().with(|state| state.services.assets.get(path)).as_ref().map(info);
        if let Some(there) = there.filter(|there| there.sha256 == from.sha256) {
            return Ok(there);
        }
        let fail =
            |kind, why: String| Err(DeviceError::new(kind, format!("failed to fetch {}", from.location)).because(why));
        let effect = async {
            let Some((_, file)) = scos_files().into_iter().find(|(url, _)| *url == from.location) else {
                return fail(FailureKind::Unreachable, "no such host".to_owned());
            };
            let got = info(&file);
            progress(0, Some(got.size_bytes));
            if got.sha256 != from.sha256 {
                return fail(FailureKind::Invalid, format!("its SHA-256 is {}, not {}", got.sha256, from.sha256));
            }
            self.world().with(|state| state.services.assets.put(path, file));
            progress(got.size_bytes, Some(got.size_bytes));
            Ok(got)
        };
        self.world().write("assets", path, format!("fetch {}", from.location), effect).await
    }
}
