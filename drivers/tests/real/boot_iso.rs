//! Boot images that xorriso has made, as CentOS makes its own.

use std::path::{Path, PathBuf};

use harmony_core::error::chain;
use harmony_drivers::assets::{ANACONDA_FOLDER, AssetFolder};

use crate::world::{require, run};

const NEEDS: [(&str, &str); 1] = [("xorriso", "xorriso")];

/// A tree like that of CentOS's boot image, with a folder that needs more than one sector.
fn tree(folder: &Path) -> PathBuf {
    let root = folder.join("tree");
    std::fs::create_dir_all(root.join("images/pxeboot")).expect("makes");
    let write = |path: &str, bytes: &[u8]| std::fs::write(root.join(path), bytes).expect("writes");
    write("images/pxeboot/vmlinuz", &[b'k'; 70_001]);
    write("images/pxeboot/initrd.img", &[b'i'; 150_000]);
    write("images/install.img", &vec![b's'; 5_000_000]);
    write(".treeinfo", b"[stage2]\nmainimage = images/install.img\n");
    for number in 0..200 {
        write(&format!("images/an-entry-with-quite-a-long-name-so-that-folders-grow-{number:03}"), b"x");
    }
    write(&format!("images/{}", "n".repeat(250)), b"its name goes on elsewhere");
    root
}

fn image(folder: &Path, tree: &Path, options: &[&str]) -> PathBuf {
    let image = folder.join("boot.iso");
    let (from, to) = (tree.display().to_string(), image.display().to_string());
    run("xorriso", &[&["-as", "mkisofs", "-quiet"], options, &["-o", &to, &from]].concat());
    image
}

#[test]
fn what_a_host_boots_is_taken_out_by_rock_ridge_and_by_plain_names() {
    require(&NEEDS);
    for options in [&["-R", "-J", "-V", "CentOS-Stream-9"][..], &["-iso-level", "3", "--norock"]] {
        let folder = tempfile::tempdir().expect("folder");
        let tree = tree(folder.path());
        let image = image(folder.path(), &tree, options);
        let assets = AssetFolder::new(&folder.path().join("assets"));
        let found =
            assets.extract(&image, ANACONDA_FOLDER, &|_| ()).unwrap_or_else(|error| panic!("{}", chain(&error)));
        for asset in &found {
            let name = asset.path.strip_prefix("centos-stream-9/").expect("below");
            let (theirs, ours) = (std::fs::read(tree.join(name)), std::fs::read(assets.folder().join(&asset.path)));
            assert!(ours.expect("there") == theirs.expect("there"), "{name} with {options:?}");
        }
        assert_eq!(found.len(), 4, "{options:?}: {found:?}");
        assert!(assets.verify(&|_| ()).expect("reads").iter().all(|file| file.expected.is_some() && file.is_right()));
    }
}

#[test]
fn an_image_of_something_else_shows_nothing() {
    require(&NEEDS);
    let folder = tempfile::tempdir().expect("folder");
    let tree = tree(folder.path());
    std::fs::remove_file(tree.join("images/install.img")).expect("removes");
    let image = image(folder.path(), &tree, &["-R"]);
    let assets = AssetFolder::new(&folder.path().join("assets"));
    let error = assets.extract(&image, ANACONDA_FOLDER, &|_| ()).expect_err("not whole");
    assert!(chain(&error).ends_with("the image has no `images/install.img`"), "{}", chain(&error));
    assert!(assets.list().expect("lists").is_empty());
}
