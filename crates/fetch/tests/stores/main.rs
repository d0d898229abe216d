//! All stores against the contract, and what only folders have: modes, links, handles, other processes.

#[cfg(all(feature = "cloud", feature = "http"))]
mod checksums;
#[cfg(feature = "cloud")]
mod cloud;
mod conformance;
#[cfg(all(feature = "cloud", feature = "http"))]
#[path = "../support/fault_server.rs"]
mod fault_server;
#[cfg(all(feature = "cloud", feature = "http"))]
#[path = "../support/servers.rs"]
mod servers;
mod spools;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use fhirline_core::{Origin, Spools, Store};
use fhirline_fetch::{FolderSpools, FolderStore, MemoryStore};
use tempfile::TempDir;

/// Keeps the folder as long as the store.
fn folder_store(open_files: usize) -> (TempDir, FolderStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = FolderStore::with_open_files(folder.path().join("out"), open_files).expect("opened");
    (folder, store)
}

#[test]
fn memory_conforms() {
    conformance::check(MemoryStore::new);
}

#[test]
fn a_folder_conforms() {
    for open_files in [1, 8, 128] {
        let mut folders = Vec::new();
        conformance::check(|| {
            let (folder, store) = folder_store(open_files);
            folders.push(folder);
            store
        });
    }
}

#[test]
fn clones_of_memory_share_and_show_no_content() {
    let store = MemoryStore::new();
    store.clone().put_if_absent("a", b"SECRET").expect("put");
    assert_eq!(store.contents("a").as_deref(), Some(&b"SECRET"[..]));
    assert_eq!(format!("{store:?}"), r#"{"a": 6}"#);
}

#[test]
fn sub_folders_come_and_go_with_their_names() {
    let (_folder, store) = folder_store(8);
    let sub_folder = store.path().join("_quarantine");
    let mut lines = store.create("_quarantine/lines.raw").expect("created");
    lines.append(b"x").expect("appended");
    assert!(sub_folder.is_dir());
    lines.seal().expect("sealed");
    store.remove("_quarantine/lines.raw").expect("removed");
    assert!(!sub_folder.exists());
    store.create("_quarantine/lines.raw").expect("created").discard().expect("discarded");
    assert!(!sub_folder.exists());
    assert!(store.path().is_dir());
}

#[test]
fn a_folder_on_the_way_of_a_final_name_is_not_replaced() {
    let (_folder, store) = folder_store(8);
    fs::create_dir(store.path().join("a")).expect("made");
    let refused = store.create("a").expect("created").seal().expect_err("in the way");
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert_eq!(store.put_if_absent("a", b"").expect_err("in the way").kind(), ErrorKind::AlreadyExists);
    assert_eq!(store.get("a", 9).expect_err("not a file").kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_file_is_no_store() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a"), b"").expect("written");
    assert!(FolderStore::open(folder.path().join("a")).is_err());
    assert!(FolderStore::open(folder.path().join("a/b")).is_err());
}

#[test]
fn a_change_by_somebody_else_is_seen_on_reopening() {
    let (_folder, store) = folder_store(1);
    let mut one = store.create("one").expect("created");
    one.append(b"12").expect("appended");
    let mut two = store.create("two").expect("created");
    fs::write(store.path().join("one.partial"), b"somebody else's").expect("written");
    assert!(one.append(b"3").is_err());
    assert_eq!(one.stored_bytes(), 2);
    two.append(b"fine").expect("appended");
}

#[test]
fn a_change_by_somebody_else_is_seen_on_reopening_what_was_resumed() {
    let (_folder, store) = folder_store(1);
    fs::write(store.path().join("one.partial"), b"12345").expect("written");
    let mut one = store.resume("one", 3).expect("no refusal").expect("left there");
    let _two = store.create("two").expect("created");
    fs::write(store.path().join("one.partial"), b"somebody else's").expect("written");
    assert!(one.append(b"3").is_err());
    assert_eq!(one.stored_bytes(), 3);
}

/// Seals `one`, which is open or not, once somebody else did something to its provisional name; what was said, if it was refused.
fn sealed_after(open: bool, change: fn(&Path)) -> Option<String> {
    let (_folder, store) = folder_store(1);
    let mut one = store.create("one").expect("created");
    one.append(b"12").expect("appended");
    let _two = (!open).then(|| store.create("two").expect("created"));
    change(&store.path().join("one.partial"));
    let refused = one.seal().err()?;
    assert!(!store.path().join("one").exists(), "sealed and refused");
    Some(refused.to_string())
}

#[test]
fn what_somebody_else_cut_or_added_to_is_not_sealed() {
    for open in [true, false] {
        assert_eq!(sealed_after(open, |_| ()), None);
        let cut = |path: &Path| fs::write(path, b"1").expect("cut");
        let more = |path: &Path| fs::write(path, b"123").expect("added to");
        for change in [cut as fn(&Path), more] {
            let refused = sealed_after(open, change).expect("another length");
            assert!(refused.contains("should have 2 bytes and has"), "{refused}");
        }
    }
}

#[test]
fn what_somebody_else_put_in_its_place_is_not_sealed() {
    let folder = |path: &Path| {
        fs::remove_file(path).expect("removed");
        fs::create_dir(path).expect("made");
    };
    for open in [true, false] {
        let refused = sealed_after(open, folder).expect("a folder");
        assert!(refused.ends_with("somebody else replaced it"), "{refused}");
    }
}

#[test]
fn a_folder_in_the_place_of_a_provisional_name_is_not_resumed() {
    let (_folder, store) = folder_store(8);
    fs::create_dir(store.path().join("a.partial")).expect("made");
    assert!(store.resume("a", 0).expect("no refusal").is_none());
}

#[test]
fn what_cannot_be_replaced_stays_and_no_litter_beside_it() {
    let (_folder, store) = folder_store(8);
    fs::create_dir(store.path().join("folder")).expect("made");
    fs::write(store.path().join("folder/kept"), b"old").expect("written");
    fs::write(store.path().join("file"), b"old").expect("written");
    for durable in [false, true] {
        for name in ["folder", "file/a"] {
            assert!(store.replace(name, b"new", durable).is_err(), "{name}");
        }
    }
    assert_eq!(store.list().expect("listed"), ["file", "folder/kept"]);
    for name in ["file", "folder/kept"] {
        assert_eq!(fs::read(store.path().join(name)).expect("readable"), b"old", "{name}");
    }
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("exists").permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_may_read_outputs() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("made/out");
        let store = FolderStore::open(&root).expect("opened");
        let leftover = root.join("sub/Patient.ndjson.partial");
        fs::create_dir(root.join("sub")).expect("made");
        fs::write(&leftover, b"left with the mode of the umask").expect("written");
        store.create("sub/Patient.ndjson").expect("created").seal().expect("sealed");
        store.put_if_absent("manifest.json", b"{}").expect("put");
        store.create("_quarantine/lines.raw").expect("created").seal().expect("sealed");
        for file in ["sub/Patient.ndjson", "manifest.json", "_quarantine/lines.raw"] {
            assert_eq!(mode(&root.join(file)) & 0o177, 0, "{file}");
        }
        for made in [root.parent().expect("a parent"), &root, &root.join("_quarantine")] {
            assert_eq!(mode(made) & 0o077, 0, "{}", made.display());
        }
        store.sync().expect("synced");
    }

    /// The test itself runs once more, in a process that may have few files open and has taken what is left of them.
    #[test]
    fn stores_do_with_what_the_process_may_have_open() {
        const WITHIN: &str = "FHIRLINE_TEST_WITHIN_A_LIMIT";
        const NAME: &str = "unix::stores_do_with_what_the_process_may_have_open";
        if std::env::var_os(WITHIN).is_none() {
            let this = std::env::current_exe().expect("a program");
            let mut limited = std::process::Command::new("sh");
            limited.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""]).arg(this).args(["--exact", NAME]);
            let ran = limited.env(WITHIN, "1").output().expect("run");
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let open = |number: u32| FolderStore::open(folder.path().join(number.to_string())).expect("opened");
        let stores: Vec<_> = (0..12).map(open).collect();
        let names = ["a", "b", "sub/c", "d", "e"];
        let create = |store: &FolderStore| names.map(|name| store.create(name).expect("created"));
        let mut partials: Vec<_> = stores.iter().flat_map(create).collect();
        let taken: Vec<_> = std::iter::from_fn(|| fs::File::open(folder.path()).ok()).take(1000).collect();
        assert!((20..40).contains(&taken.len()), "{} more", taken.len());
        for partial in &mut partials {
            partial.append(b"12").expect("appended");
        }
        for store in &stores {
            let _claim = store.claim().expect("nobody else");
            store.replace("noted", b"{}", true).expect("replaced");
            assert_eq!(store.get("noted", 9).expect("readable").as_deref(), Some(&b"{}"[..]));
            partials.iter_mut().for_each(|partial| partial.append(b"3").expect("appended"));
        }
        let source = fhirline_fetch::FileOrigin::new(folder.path().join("0/noted"));
        drop(source.open_at(0).expect("opened"));
        drop(FolderSpools::new(folder.path()).create().expect("made"));
        for mut partial in partials {
            partial.sync().expect("synced");
            partial.seal().expect("sealed");
        }
        for store in &stores {
            store.sync().expect("synced");
            store.put_if_absent("manifest", b"").expect("put");
            assert_eq!(store.list().expect("listed"), ["a", "b", "d", "e", "manifest", "noted", "sub/c"]);
        }
    }

    #[test]
    fn what_exists_keeps_its_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("changed");
        FolderStore::open(folder.path()).expect("opened");
        assert_eq!(mode(folder.path()), 0o755);
    }

    #[test]
    fn a_link_in_the_place_of_a_provisional_name_is_replaced_not_written_through() {
        let (folder, store) = folder_store(8);
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, b"precious").expect("written");
        symlink(&elsewhere, store.path().join("a.partial")).expect("linked");
        let mut partial = store.create("a").expect("created");
        partial.append(b"new").expect("appended");
        partial.seal().expect("sealed");
        assert_eq!(fs::read(&elsewhere).expect("readable"), b"precious");
        assert_eq!(fs::read(store.path().join("a")).expect("readable"), b"new");
    }

    #[test]
    fn what_somebody_else_put_in_its_place_is_not_sealed_though_as_long() {
        let file = |path: &Path| {
            let other = path.with_extension("other");
            fs::write(&other, b"12").expect("written");
            fs::rename(other, path).expect("put in its place");
        };
        let link = |path: &Path| {
            fs::rename(path, path.with_extension("other")).expect("moved");
            symlink(path.with_extension("other"), path).expect("linked");
        };
        for (open, change) in [(true, file as fn(&Path)), (true, link), (false, link)] {
            let refused = sealed_after(open, change).expect("another file");
            assert!(refused.ends_with("somebody else replaced it"), "{refused}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_provisional_name_is_not_resumed() {
        let (folder, store) = folder_store(8);
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, b"precious").expect("written");
        symlink(&elsewhere, store.path().join("a.partial")).expect("linked");
        symlink("nowhere", store.path().join("b.partial")).expect("linked");
        for name in ["a", "b"] {
            assert!(store.resume(name, 0).expect("no refusal").is_none(), "{name}");
        }
        assert_eq!(fs::read(&elsewhere).expect("readable"), b"precious");
    }

    #[test]
    fn a_resumed_output_keeps_its_mode() {
        let (_folder, store) = folder_store(8);
        drop(store.create("a").expect("created"));
        let path = store.path().join("a.partial");
        assert_eq!(mode(&path), 0o600);
        for kept in [0o600, 0o640] {
            fs::set_permissions(&path, fs::Permissions::from_mode(kept)).expect("changed");
            store.resume("a", 0).expect("no refusal").expect("left there").append(b"x").expect("appended");
            assert_eq!(mode(&path), kept);
        }
    }

    #[test]
    fn a_link_is_replaced_not_written_through_and_only_the_owner_may_read_the_new_one() {
        let (folder, store) = folder_store(8);
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, b"precious").expect("written");
        symlink(&elsewhere, store.path().join("link")).expect("linked");
        fs::write(store.path().join("open"), b"old").expect("written");
        fs::set_permissions(store.path().join("open"), fs::Permissions::from_mode(0o644)).expect("changed");
        for name in ["link", "open", "sub/new"] {
            store.replace(name, b"new", true).expect("replaced");
            let path = store.path().join(name);
            assert!(fs::symlink_metadata(&path).expect("exists").is_file(), "{name}");
            assert_eq!(mode(&path) & 0o177, 0, "{name}");
        }
        assert_eq!(mode(&store.path().join("sub")) & 0o077, 0);
        assert_eq!(fs::read(&elsewhere).expect("readable"), b"precious");
    }

    #[test]
    fn a_folder_that_nobody_may_write_to_keeps_the_old_one() {
        let (_folder, store) = folder_store(8);
        store.replace("a", b"old", true).expect("replaced");
        let set =
            |mode| fs::set_permissions(store.path(), fs::Permissions::from_mode(mode)).expect("changed");
        set(0o500);
        let replaced = store.replace("a", b"new", true);
        set(0o700);
        // Root may write there all the same.
        let expected: &[u8] = if replaced.is_ok() { b"new" } else { b"old" };
        assert_eq!(fs::read(store.path().join("a")).expect("readable"), expected);
        assert_eq!(store.list().expect("listed"), ["a"]);
    }

    #[test]
    fn a_dangling_link_is_a_name_that_exists() {
        let (_folder, store) = folder_store(8);
        symlink("nowhere", store.path().join("a")).expect("linked");
        assert_eq!(store.put_if_absent("a", b"").expect_err("exists").kind(), ErrorKind::AlreadyExists);
        let sealed = store.create("a").expect("created").seal();
        assert_eq!(sealed.expect_err("exists").kind(), ErrorKind::AlreadyExists);
        assert_eq!(store.list().expect("listed"), ["a", "a.partial"]);
    }
}

#[test]
fn a_folder_is_claimed_by_one_run_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = FolderStore::open(folder.path()).expect("a store");
    let other = FolderStore::open(folder.path()).expect("a store");
    let claim = store.claim().expect("nobody else");
    assert_eq!(other.claim().expect_err("claimed").kind(), std::io::ErrorKind::ResourceBusy);
    drop(claim);
    other.claim().expect("nobody else any more");
    assert!(store.list().expect("a list").is_empty(), "a claim leaves nothing behind");
}
