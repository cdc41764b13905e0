//! What follows from looks, and how it is told. The looks themselves are tested on both brokers, by `tests/suite/monitoring.rs`.

mod history;
mod metrics;
mod over;

use super::{MonitorSettings, Snapshot};

#[test]
fn only_a_group_that_no_broker_told_of_where_all_did_is_not_there() {
    let asked = |groups: &[&str]| {
        let groups = groups.iter().map(|one| one.parse().unwrap()).collect();
        MonitorSettings { groups, ..MonitorSettings::default() }
    };
    // None of them has an offset in what is looked at, or none was told.
    let told = |listed: Option<&[&str]>| {
        let listed = listed.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        Snapshot { listed, ..Snapshot::default() }
    };
    for (groups, listed, missing) in [
        (&["a", "b"][..], Some(&["a", "b"][..]), None),
        (&["a", "b"], Some(&["a"]), Some("there is no group b (")),
        (&["a", "b*"], Some(&["a"]), None),
        (&["a"], Some(&[]), Some("there is no group a (")),
        (&["a"], None, None),
    ] {
        let said = asked(groups).check_names(&told(listed)).err().map(|error| error.to_string());
        assert_eq!(said.is_some(), missing.is_some(), "{groups:?} {listed:?}: {said:?}");
        assert!(said.unwrap_or_default().starts_with(missing.unwrap_or_default()), "{groups:?} {listed:?}");
    }
}
