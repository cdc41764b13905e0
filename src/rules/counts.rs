//! How often what was done. The job adds up the counts of its workers.

use super::Class;
use super::lookup::LookupCounts;
use std::collections::BTreeMap;

/// How often what was done: `records = kept + filtered + rejected + undecodable`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that were given.
    pub records: u64,
    /// Of these, the kept ones, before deduplication.
    pub kept: u64,
    /// By field: how often it was missing or null and got its default, in records that were kept.
    pub defaulted: BTreeMap<String, u64>,
    /// By rule: how often a value that failed was replaced, or kept as it was, in records that were kept.
    pub mended: BTreeMap<String, u64>,
    /// By rule: what came of its lookups, in records that were kept.
    pub lookups: BTreeMap<String, LookupCounts>,
    /// By rule: records that it filtered out.
    pub filtered: BTreeMap<String, u64>,
    /// By rule and class of reason: records that it rejected.
    pub rejected: BTreeMap<(String, Class), u64>,
    /// By class of reason: records that no rule saw.
    pub undecodable: BTreeMap<Class, u64>,
    /// By `group_by`: records whose window was closed when they came.
    pub late_for_group: BTreeMap<String, u64>,
    /// By `group_by` and aggregate: values in groups that went out that were of no use to it.
    pub unfit: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds another worker's, or another time's.
    pub fn add(&mut self, other: &Self) {
        fn sum<K: Ord + Clone>(ours: &mut BTreeMap<K, u64>, theirs: &BTreeMap<K, u64>) {
            for (key, count) in theirs {
                *ours.entry(key.clone()).or_default() += count;
            }
        }
        self.records += other.records;
        self.kept += other.kept;
        sum(&mut self.defaulted, &other.defaulted);
        sum(&mut self.mended, &other.mended);
        for (rule, counts) in &other.lookups {
            self.lookups.entry(rule.clone()).or_default().add(*counts);
        }
        sum(&mut self.filtered, &other.filtered);
        sum(&mut self.rejected, &other.rejected);
        sum(&mut self.undecodable, &other.undecodable);
        sum(&mut self.late_for_group, &other.late_for_group);
        sum(&mut self.unfit, &other.unfit);
    }
}
