//! `--plot FILE.svg`: a chart beside the report, written whole or not at all.

use super::whole::WholeFile;
use kmerge::observe::plot::Chart;
use std::path::Path;

/// The file that a chart will be.
#[derive(Debug)]
pub struct PlotFile(WholeFile);

impl PlotFile {
    /// Begins to write it, before anything else is done: what cannot be written is said at once.
    pub fn begin(path: &Path) -> anyhow::Result<Self> {
        WholeFile::begin("--plot", path).map(Self)
    }

    /// Puts the chart there.
    pub fn finish(mut self, chart: &Chart) -> anyhow::Result<()> {
        self.0.write(chart.to_svg().as_bytes())?;
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

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
