//! Members of consumer groups (`client/group`), on the embedded broker and on real Kafka.
//!
//! Every test writes numbered records, has several members share them, and looks at what they have read and committed:
//! each record read at least once, and none again once it was committed, whoever came, went or died meanwhile.

#[macro_use]
mod story;

mod reader;

#[path = "../suite/support/killable.rs"]
#[allow(dead_code, reason = "the suite's stories need more of it")]
mod killable;

#[path = "../suite/support/seed.rs"]
mod seed;

// What members do.
mod membership;

// What goes wrong between them and their coordinator.
mod faults;

// By chance, many things at once.
mod storms;

// On Apache Kafka whose brokers are killed, where one is given.
mod killed_on_kafka;
