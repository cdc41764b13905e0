//! The client against brokers by script, and against a real Kafka.

// A broker that answers what a closure says.
mod fake;

// Connections and calls that go wrong.
mod calls;

// Many requests on one connection.
mod link;

// A group that is deleted.
mod deleting;

// Many readers, few connections, leaders that change.
mod elections;
mod log;
mod shared;

// A partition, read through every sort of answer.
mod reads;

// One whose last records compaction has removed.
mod holes;

// The same at the end of a log that grows.
mod following;

// Writing to those who do not answer.
mod unanswered;

// The same on Apache Kafka, where one is given.
mod kafka;
