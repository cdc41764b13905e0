//! `--plot FILE.svg`: a chart beside the report, written whole or not at all.

use super::exit::UsageError;
use anyhow::Context as _;
use kmerge::observe::plot::Chart;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The file that a chart will be, under another name until it is whole.
#[derive(Debug)]
pub struct PlotFile {
    path: PathBuf,
    unfinished: PathBuf,
    file: File,
}

impl PlotFile {
    /// Begins to write it, before anything else is done: what cannot be written is said at once.
    pub fn begin(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() || fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(UsageError::new(format!("--plot {}: that is no regular file", path.display())).into());
        }
        let Some(name) = path.file_name() else {
            return Err(UsageError::new(format!("--plot {}: that names no file", path.display())).into());
        };
        // Beside it, since only within a folder a file can change its name without being copied.
        let mut unfinished = std::ffi::OsString::from(".");
        unfinished.push(name);
        unfinished.push(format!(".{}.unfinished", std::process::id()));
        let unfinished = path.with_file_name(unfinished);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished);
        let file = file.with_context(|| format!("--plot {}: make a file beside it", path.display()))?;
        Ok(Self { path: path.to_owned(), unfinished, file })
    }

    /// Puts the chart there.
    pub fn finish(mut self, chart: &Chart) -> anyhow::Result<()> {
        let written = self.file.write_all(chart.to_svg().as_bytes()).and_then(|()| self.file.sync_all());
        written
            .and_then(|()| fs::rename(&self.unfinished, &self.path))
            .with_context(|| format!("write the plot to {}", self.path.display()))
    }
}

/// What was not finished goes; after a change of name there is nothing.
impl Drop for PlotFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("kmerge-plot-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> =
                fs::read_dir(&self.0).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_plot_is_there_whole_or_as_it_was() {
        let folder = Folder::new("whole");
        let path = folder.0.join("a.svg");
        fs::write(&path, "before").unwrap();
        let file = PlotFile::begin(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        drop(file);
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), folder.names()), ("before", vec!["a.svg".to_owned()]));
        PlotFile::begin(&path).unwrap().finish(&Chart::default()).unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with("</svg>\n"));
        assert_eq!(folder.names(), ["a.svg"]);
    }

    #[test]
    fn what_cannot_be_a_file_is_said_before_the_work() {
        let folder = Folder::new("wrong");
        assert!(PlotFile::begin(&folder.0).unwrap_err().to_string().contains("no regular file"));
        assert!(PlotFile::begin(Path::new("..")).unwrap_err().to_string().contains("no"));
        let nowhere = folder.0.join("not-there/a.svg");
        assert!(PlotFile::begin(&nowhere).unwrap_err().to_string().contains("not-there"));
    }
}
