//! The client on Apache Kafka. Runs where `KMERGE_TEST_BROKERS` names a cluster.
