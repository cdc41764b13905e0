//! Small jobs on an embedded broker: killed, fenced, in doubt, sharing; the output always equals an oracle's.

mod world;

// Nothing goes wrong.
mod plain;

// What duplicates are told by moves with its partition.
mod duplicates;

// What goes to files.
mod files;

// What another topic has.
mod lookups;

// Something goes wrong at every request in turn.
mod closing;
mod doubts;
mod grouped;
mod groups;

// What is noted of it.
mod ledger;

// What is counted of what went out.
mod insights;
mod taking;
