//! Files pushed to a folder of OpenSSH's server over SFTP.

use std::path::PathBuf;

use harmony_core::error::{FailureKind, chain};
use harmony_drivers::WriteLog;
use harmony_drivers::assets::push::{Pushed, SftpFolder, SftpSpec};
use sha2::{Digest, Sha256};

use crate::parts::ssh::Server;

const PATH: &str = "scos/9.0.1-0/live-rootfs.img";

struct Site {
    server: Server,
    root: PathBuf,
    local: PathBuf,
    sha256: String,
    writes: WriteLog,
}

impl Site {
    async fn new() -> Self {
        let mut server = Server::new().await;
        let config = std::fs::read_to_string(server.file("sshd_config")).expect("there");
        // The forced command of the other tests stands in the way of SFTP.
        let config: String =
            config.lines().filter(|line| !line.starts_with("ForceCommand")).map(|line| format!("{line}\n")).collect();
        std::fs::write(server.file("sshd_config"), config + "Subsystem sftp internal-sftp\n").expect("writes");
        server.reinstall().await;
        let (root, local) = (server.file("www"), server.file("rootfs"));
        std::fs::create_dir(&root).expect("makes");
        let bytes: Vec<u8> = (0..700_000u32).flat_map(u32::to_le_bytes).collect();
        std::fs::write(&local, &bytes).expect("writes");
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { server, root, local, sha256, writes: WriteLog::default() }
    }

    fn folder(&self, root: &str) -> SftpFolder {
        let spec = SftpSpec {
            address: "127.0.0.1".into(),
            port: self.server.port,
            user: "root".into(),
            key_file: self.server.file("id"),
            root: root.into(),
        };
        SftpFolder::new(spec, self.server.folder.path(), self.writes.clone()).expect("a key")
    }

    async fn push(&self) -> Result<Pushed, harmony_core::error::DeviceError> {
        let folder = self.folder(&self.root.display().to_string());
        folder.push(&self.local, PATH, &self.sha256, &|_, _| ()).await
    }
}

#[tokio::test]
async fn a_file_is_pushed_once_and_replaced_when_it_is_another() {
    let site = Site::new().await;
    assert_eq!(site.push().await.unwrap_or_else(|error| panic!("{}", chain(&error))), Pushed::Written);
    assert!(std::fs::read(site.root.join(PATH)).expect("there") == std::fs::read(&site.local).expect("there"));
    assert_eq!(site.push().await.expect("pushed"), Pushed::AlreadyThere);
    assert_eq!(site.writes.counts().get("sftp"), Some(&1), "what is right is not written again");

    let mut other = std::fs::read(&site.local).expect("there");
    other[5] ^= 1;
    std::fs::write(site.root.join(PATH), other).expect("writes");
    assert_eq!(site.push().await.expect("pushed"), Pushed::Written);
    assert!(std::fs::read(site.root.join(PATH)).expect("there") == std::fs::read(&site.local).expect("there"));
    let left = std::fs::read_dir(site.root.join("scos/9.0.1-0")).expect("there").count();
    assert_eq!(left, 1, "no temporary file");
}

#[tokio::test]
async fn what_is_not_whole_here_never_gets_its_name_there() {
    let mut site = Site::new().await;
    site.sha256 = "ab".repeat(32);
    let error = site.push().await.expect_err("wrong");
    assert!(chain(&error).contains("what is read back has another digest"), "{}", chain(&error));
    assert!(!site.root.join(PATH).exists());
    let error =
        site.folder("/nowhere/at/all").push(&site.local, PATH, &site.sha256, &|_, _| ()).await.expect_err("no root");
    assert_eq!(error.kind(), FailureKind::Rejected, "{}", chain(&error));
}

#[tokio::test]
async fn another_server_in_its_place_is_not_trusted() {
    let mut site = Site::new().await;
    site.push().await.expect("pushed");
    site.server.reinstall().await;
    let error = site.push().await.expect_err("another key");
    assert!(chain(&error).contains("the host key is SHA256:"), "{}", chain(&error));
    assert!(error.hint_text().is_some_and(|hint| hint.contains("known_hosts")), "{error:?}");
}
