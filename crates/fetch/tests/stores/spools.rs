//! Spools in a folder, as the outside sees them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use fhirline_core::Spools;
use fhirline_fetch::FolderSpools;

fn names_in(folder: &Path) -> usize {
    folder.read_dir().expect("listed").count()
}

#[test]
fn spools_keep_their_bytes_apart_and_show_no_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let spools = FolderSpools::new(folder.path());
    let block = |i: usize| vec![b'a' + i as u8; 64 << 10];
    let mut open: Vec<_> = (0..4).map(|_| spools.create().expect("made")).collect();
    for _ in 0..3 {
        for (i, spool) in open.iter_mut().enumerate() {
            spool.append(&block(i)).expect("appended");
        }
    }
    assert_eq!(names_in(folder.path()), 0);
    for (i, spool) in open.iter_mut().enumerate() {
        let (mut whole, mut into) = (Vec::new(), vec![0; 100_000]);
        loop {
            match spool.read_at(whole.len() as u64, &mut into).expect("read") {
                0 => break,
                count => whole.extend_from_slice(&into[..count]),
            }
        }
        assert!(whole == block(i).repeat(3), "spool {i}");
    }
    drop(open);
    assert_eq!(names_in(folder.path()), 0);
}

#[test]
fn a_missing_folder_is_named_and_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    let error = FolderSpools::new(&missing).create().expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
    assert!(!missing.exists());
    fs::write(&missing, b"").expect("written");
    let error = FolderSpools::new(&missing).create().expect_err("a file");
    assert!(error.to_string().contains(&missing.display().to_string()), "{error}");
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use std::env;
    use std::os::unix::fs::MetadataExt;
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn the_open_file_is_for_the_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("exists");
        let _spool = FolderSpools::new(&path).create().expect("made");
        let of_ours = |handle: &fs::DirEntry| {
            fs::read_link(handle.path()).is_ok_and(|target| target.starts_with(&path))
        };
        let handles = fs::read_dir("/proc/self/fd").expect("listed").flatten();
        let ours: Vec<_> = handles.filter(of_ours).collect();
        assert_eq!(ours.len(), 1);
        let metadata = fs::metadata(ours[0].path()).expect("looked at");
        assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o600, 0));
    }

    /// Names the folder to the process that is killed.
    const FOLDER: &str = "FHIRLINE_TEST_SPOOLS";

    #[test]
    fn a_kill_leaves_no_name() {
        if let Some(folder) = env::var_os(FOLDER) {
            return make_spools_until_killed(Path::new(&folder));
        }
        let this_test = ["--exact", "spools::linux::a_kill_leaves_no_name"];
        for round in 0..8 {
            let folder = tempfile::tempdir().expect("a folder");
            let spools = folder.path().join("spools");
            let mut process = Command::new(env::current_exe().expect("a path"))
                .args(this_test)
                .env(FOLDER, folder.path())
                .stdout(Stdio::null())
                .spawn()
                .expect("started");
            let begun = Instant::now();
            while !spools.exists() && begun.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(5 + round));
            process.kill().expect("killed");
            assert!(!process.wait().expect("ended").success(), "it was at work");
            assert_eq!(names_in(&spools), 0, "round {round}");
        }
    }

    /// Ends by itself if whoever should kill it was killed.
    fn make_spools_until_killed(folder: &Path) {
        let folder = folder.join("spools");
        fs::create_dir(&folder).expect("made");
        let (spools, begun) = (FolderSpools::new(&folder), Instant::now());
        while begun.elapsed() < Duration::from_secs(20) {
            spools.create().expect("made").append(b"x").expect("appended");
        }
    }
}
