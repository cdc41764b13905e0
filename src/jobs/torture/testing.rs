//! Programs that are tortured in place of ours, to see that what is wrong with a merge is found.

use super::TortureSettings;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A shell script, in a file until it is dropped.
pub(super) struct Script(pub(super) PathBuf);

impl Script {
    pub(super) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kmerge-torture-test-{}-{name}", std::process::id()));
        std::fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = merge ] || exit 0\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // A process that another test is just starting may hold the file open for writing a moment longer, and as long as
        // anybody does it cannot be run.
        while matches!(Command::new(&path).status(), Err(error) if error.kind() == ErrorKind::ExecutableFileBusy) {}
        Self(path)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A torture of `script` that kills nobody.
pub(super) fn settings(script: &Script) -> TortureSettings {
    TortureSettings {
        program: script.0.clone(),
        records: 10,
        partitions: 1,
        replication_factor: None,
        kills: 0,
        pairs: 0,
        commit_interval: Duration::from_millis(50),
        seed: 1,
        keep: false,
    }
}
