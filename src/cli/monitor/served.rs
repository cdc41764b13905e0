//! What `--listen` serves: of the look that ended last, ready for whoever asks.

use super::for_people;
use kmerge::jobs::error::JobError;
use kmerge::jobs::monitor::{self, View};
use kmerge::observe::exposition::{Exposition, Sort};
use kmerge::observe::http::{Page, Pages, usual_pages};
use kmerge::observe::metrics::Process;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by who looks and who serves.
pub(super) struct Served {
    process: Process,
    interval: Duration,
    top: Option<usize>,
    last: Arc<Mutex<Last>>,
}

/// The look that ended last.
#[derive(Debug, Clone)]
struct Last {
    metrics: Arc<str>,
    people: Arc<str>,
    /// When it ended and how long it took, or why there is none.
    look: Result<(Instant, Duration), String>,
}

impl Served {
    /// Before the first look.
    pub(super) fn new(interval: Duration, top: Option<usize>) -> Self {
        let process = Process::starting();
        let none = "no look has ended yet";
        let last = Last {
            metrics: metrics(&process, None).into(),
            people: html(none, interval).into(),
            look: Err(none.to_owned()),
        };
        Self { process, interval, top, last: Arc::new(Mutex::new(last)) }
    }

    /// A look has ended.
    pub(super) fn looked(&self, looked: &Result<View, JobError>, took: Duration) {
        let last = match looked {
            Ok(view) => Last {
                metrics: metrics(&self.process, Some((view, took))).into(),
                people: html(&for_people(view, self.top), self.interval).into(),
                look: Ok((Instant::now(), took)),
            },
            Err(error) => Last {
                metrics: metrics(&self.process, None).into(),
                people: html(&format!("the cluster is away: {error}"), self.interval).into(),
                look: Err(error.to_string()),
            },
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// The usual pages, and one for people.
    pub(super) fn pages(&self) -> Pages {
        let last = |last: &Arc<Mutex<Last>>| last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (metrics, ready, people, interval) =
            (self.last.clone(), self.last.clone(), self.last.clone(), self.interval);
        let usual = usual_pages(move || last(&metrics).metrics, move || last(&ready).is_fresh(interval));
        Arc::new(move |path| match path {
            "/" => Some(Page { status: 200, content_type: "text/html; charset=utf-8", body: last(&people).people }),
            path => usual(path),
        })
    }
}

impl Last {
    /// Whether it is what a look every `interval` would have found by now.
    fn is_fresh(&self, interval: Duration) -> Result<(), String> {
        let (ended, took) = self.look.clone()?;
        let age = ended.elapsed();
        match age > 3 * interval.max(took) {
            true => Err(format!("the last look ended {:.0} s ago", age.as_secs_f64())),
            false => Ok(()),
        }
    }
}

/// The page for Prometheus; of a cluster that is away, only that it is.
fn metrics(process: &Process, view: Option<(&View, Duration)>) -> String {
    let mut text = Exposition::default();
    process.put(&mut text);
    text.family("kmerge_monitor_up", Sort::Gauge, "1 if the last look at the cluster succeeded.")
        .count(&[], view.is_some().into());
    if let Some((view, took)) = view {
        text.family("kmerge_monitor_look_seconds", Sort::Gauge, "How long the last look took.")
            .sample(&[], took.as_secs_f64());
        text.family("kmerge_monitor_look_timestamp_seconds", Sort::Gauge, "When it was, in seconds since 1970.")
            .sample(&[], view.snapshot.now_ms as f64 / 1000.0);
        text.family("kmerge_monitor_not_known", Sort::Gauge, "Reasons why something was not told in the last look.")
            .count(&[], view.snapshot.problems.len() as u64);
        monitor::exposition(&mut text, view);
    }
    text.finish()
}

/// A text as a page that a browser asks for again after each look. Names come from the cluster: they are text, whatever they say.
fn html(text: &str, interval: Duration) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let seconds = interval.as_secs().max(1);
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"{seconds}\"><title>kmerge monitor</title>\n\
         <pre>\n{text}</pre>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_fresh_for_as_long_as_three_would_take() {
        let served = Served::new(Duration::from_secs(60), None);
        let fresh = |interval: u64| served.last.lock().unwrap().is_fresh(Duration::from_secs(interval));
        assert_eq!(fresh(60), Err("no look has ended yet".to_owned()));
        served.looked(&Ok(View::default()), Duration::ZERO);
        assert_eq!(fresh(60), Ok(()));
        assert!(fresh(0).is_err());
        served.looked(&Ok(View::default()), Duration::from_secs(60));
        assert_eq!(fresh(0), Ok(()), "a look that takes long may be that old");
        served.looked(&Err(JobError::Refused("away".to_owned())), Duration::ZERO);
        assert_eq!(fresh(60), Err("away".to_owned()));
    }

    #[test]
    fn nothing_that_the_cluster_names_is_markup() {
        let page = html("<script>a & b</script>", Duration::from_millis(100));
        assert!(page.contains("<pre>\n&lt;script&gt;a &amp; b&lt;/script&gt;</pre>"), "{page}");
        assert!(page.contains("content=\"1\""), "{page}");
    }
}
