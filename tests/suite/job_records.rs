//! Jobs by their records, as the command line meets them: the records are written here by hand, as anybody may read them.

use crate::support::*;
use serde_json::{Value, json};

/// Three sorted numbers in each of two partitions, merged into an output whose first offset is `start`.
struct Job {
    input: String,
    output: String,
    jobs: String,
    name: String,
    plan: Value,
}

const VALUES: [i64; 6] = [1, 2, 3, 4, 5, 6];

impl Job {
    async fn new(cluster: &Cluster) -> Self {
        let (input, output) = (cluster.topic("in", 2).await, cluster.topic("out", 1).await);
        let jobs = cluster.topic_with("jobs", 1, &[("cleanup.policy", "compact")]).await;
        cluster.put(&input, 0, &[1, 3, 5].map(Rec::int)).await;
        cluster.put(&input, 1, &[2, 4, 6].map(Rec::int)).await;
        let client = cluster.client().await;
        let id = |topic: kmerge::client::TopicInfo| topic.topic_id.to_string();
        let (input_id, output_id) = (id(client.topic(&input).await.unwrap()), id(client.topic(&output).await.unwrap()));
        let one = |partition: i32| json!({"topic": input, "topic_id": input_id, "partition": partition, "start": 0, "end": 3});
        let name = format!("merge:{input}:{output}");
        let plan = json!({
            "version": 1, "job": name, "inputs": [one(0), one(1)], "key": ["value:int"], "order": "asc",
            "strategy": "merge", "planned_at_ms": 1,
            "output": {"topic": output, "topic_id": output_id, "partition": 0, "start": 0},
        });
        Self { input, output, jobs, name, plan }
    }

    /// The first `rank` records are written, and so is that they are.
    async fn reach(&self, cluster: &Cluster, rank: usize) {
        let written: Vec<Rec> = VALUES[..rank].iter().copied().map(Rec::int).collect();
        cluster.put(&self.output, 0, &written).await;
        self.record(cluster, rank).await;
    }

    async fn record(&self, cluster: &Cluster, rank: usize) {
        let written: Vec<Rec> = VALUES[..rank].iter().copied().map(Rec::int).collect();
        let (checksum, timestamps) = sums(&written);
        let progress = json!({
            "version": 1, "rank": rank, "updated_at_ms": 2, "positions": [rank.div_ceil(2), rank / 2],
            "state": if rank == VALUES.len() { "complete" } else { "running" },
            "tail": {"start": 0, "end": rank, "records": rank, "checksum": checksum, "timestamps": timestamps},
        });
        for (kind, value) in [("plan", &self.plan), ("progress", &progress)] {
            let record =
                Rec { key: Some(format!("{}/{kind}", self.name).into_bytes()), ..Rec::text(&value.to_string()) };
            cluster.put(&self.jobs, 0, &[record]).await;
        }
    }

    async fn plan(&self, cluster: &Cluster, more: &[&str]) -> Outcome {
        let args = ["merge", "--dry-run", "--delivery", "exactly-once", "--from", &self.input, "--to", &self.output];
        let json = ["--jobs-topic", &self.jobs, "--output", "json"];
        cluster.run(&[&args[..], &json, more].concat()).await
    }

    async fn verify(&self, cluster: &Cluster, more: &[&str]) -> Outcome {
        let args = ["verify", "--job", &self.name, "--jobs-topic", &self.jobs, "--output", "json"];
        cluster.run(&[&args[..], more].concat()).await
    }
}

/// FNV-1a over offsets, keys, values and the number of headers; and over timestamps: what a tail says of plain records.
fn sums(records: &[Rec]) -> (String, String) {
    let fnv = |bytes: Vec<u8>| {
        let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
    };
    let (mut contents, mut stamps) = (Vec::new(), Vec::new());
    for (offset, record) in (0_i64..).zip(records) {
        let value = record.value.as_deref().unwrap();
        for number in [offset, -1, value.len() as i64] {
            contents.extend(number.to_be_bytes());
        }
        contents.extend(value);
        contents.extend(0_i64.to_be_bytes());
        stamps.extend(record.timestamp.to_be_bytes());
    }
    (fnv(contents), fnv(stamps))
}

on_both_brokers! {
    async fn a_job_without_a_record_begins_at_the_first_record(cluster: &Cluster) {
        let job = Job::new(cluster).await;
        let plan = job.plan(cluster, &[]).await.ok().json();
        assert_eq!((&plan["records"], &plan["delivery"]), (&6.into(), &"exactly-once".into()));
        // Planning makes no topic.
        let absent = cluster.name("absent");
        let plan = job.plan(cluster, &["--job", "another"]).await.ok();
        assert_eq!(plan.json()["records"], 6);
        let args = ["merge", "--dry-run", "--delivery", "exactly-once", "--from", &job.input, "--to", &job.output];
        cluster.run(&[&args[..], &["--jobs-topic", &absent]].concat()).await.ok();
        cluster.run(&["topic", "describe", &absent]).await.fails(1, &["no topic"]);
    }

    async fn a_job_that_was_killed_goes_on_where_its_record_says(cluster: &Cluster) {
        let job = Job::new(cluster).await;
        job.reach(cluster, 3).await;
        // What is produced since then is no part of it.
        cluster.put(&job.input, 0, &[7, 8].map(Rec::int)).await;
        let planned = job.plan(cluster, &[]).await.ok();
        assert!(planned.stderr.contains("resumed at record 3 of 6"), "{planned:?}");
        let plan = planned.json();
        assert_eq!((&plan["records"], &plan["output_start"]), (&3.into(), &3.into()));
        let ranges: Vec<_> = [0, 1].iter().map(|i| (&plan["sources"][i]["start"], &plan["sources"][i]["end"])).collect();
        assert_eq!(ranges, [(&2.into(), &3.into()), (&1.into(), &3.into())]);
        job.plan(cluster, &["--order", "desc"]).await.fails(2, &["--order was asc, now it is desc"]);
        job.plan(cluster, &["--end", "2"]).await.fails(2, &["--end of", "was 3, now it is 2"]);
        job.plan(cluster, &["--restart"]).await.fails(1, &["--restart", "not empty"]);
        job.verify(cluster, &[]).await.fails(4, &["not complete: 3 of 6"]);
    }

    async fn fault_51_an_output_that_is_not_as_the_job_left_it_stops_the_job(cluster: &Cluster) {
        let job = Job::new(cluster).await;
        job.record(cluster, 3).await;
        job.plan(cluster, &[]).await.fails(4, &[&job.output, "offsets 0 to 2, is not there: the log ends at offset 0"]);
        cluster.put(&job.output, 0, &[1, 2, 4].map(Rec::int)).await;
        job.plan(cluster, &[]).await.fails(4, &["are others", "--restart"]);
        let other = Job { output: cluster.topic("out2", 1).await, ..job };
        let name = other.name.clone();
        other.plan(cluster, &["--job", &name]).await.fails(2, &["writes to"]);
    }

    async fn fault_16_somebody_else_in_the_output_stops_the_job(cluster: &Cluster) {
        let job = Job::new(cluster).await;
        job.reach(cluster, 3).await;
        cluster.put(&job.output, 0, &[Rec::int(4)]).await;
        job.plan(cluster, &[]).await.fails(4, &["somebody else", "offset 3"]);
    }

    async fn a_record_that_is_damaged_is_named_with_its_place(cluster: &Cluster) {
        let job = Job::new(cluster).await;
        let record = Rec { key: Some(format!("{}/plan", job.name).into_bytes()), ..Rec::text("{\"version\":9}") };
        cluster.put(&job.jobs, 0, &[record]).await;
        let place = format!("{} partition 0 offset 0", job.jobs);
        job.plan(cluster, &[]).await.fails(1, &[&place, "version 9", "--job"]);
        job.verify(cluster, &[]).await.fails(1, &[&place, "version 9"]);
    }

    async fn a_job_that_is_complete_is_proved_by_its_name_alone(cluster: &Cluster) {
        let job = Job::new(cluster).await;
        job.reach(cluster, 6).await;
        cluster.put(&job.input, 1, &[9].map(Rec::int)).await;
        let planned = job.plan(cluster, &[]).await.ok();
        for words in ["already complete", "6 records", "grown by 1 record since"] {
            assert!(planned.stderr.contains(words), "{words}: {planned:?}");
        }
        assert_eq!(planned.json()["records"], 0);
        // What another job adds behind it is not its.
        cluster.put(&job.output, 0, &[Rec::int(9)]).await;
        let report = job.verify(cluster, &[]).await.ok().json();
        assert_eq!((&report["ok"], &report["output_records"]), (&true.into(), &6.into()));
        job.verify(cluster, &["--from", &job.input, "--key", "value:int", "--order", "asc"]).await.ok();
        job.verify(cluster, &["--order", "desc"]).await.fails(2, &["--order desc contradicts"]);
        job.verify(cluster, &["--to", &job.input]).await.fails(2, &["--to"]);
        job.verify(cluster, &["--end", "latest"]).await.fails(2, &["--end latest"]);
        let args = ["verify", "--job", "nobody", "--jobs-topic", &job.jobs];
        cluster.run(&args).await.fails(1, &["no record of a job nobody"]);
    }

    async fn a_topic_that_would_not_keep_job_records_is_refused(cluster: &Cluster) {
        let job = Job { jobs: cluster.topic("expires", 1).await, ..Job::new(cluster).await };
        job.plan(cluster, &[]).await.fails(1, &["cleanup.policy is delete", "--jobs-topic"]);
        let job = Job { jobs: job.input.clone(), ..job };
        job.plan(cluster, &[]).await.fails(2, &["--jobs-topic"]);
    }
}

#[tokio::test]
async fn options_that_belong_together_are_held_together() {
    let merge = ["merge", "--from", "a", "--to", "b"];
    let kmerge = async |more: &[&str]| run(command("127.0.0.1:1", &[&merge[..], more].concat())).await;
    for typed in [&["--job", "x"][..], &["--restart"], &["--group", "g"], &["--commit-interval", "2s"]] {
        kmerge(&[typed, &["--delivery", "idempotent"]].concat()).await.fails(2, &[typed[0], "--delivery exactly-once"]);
    }
    kmerge(&["--delivery", "exactly-once", "--client", "rskafka"]).await.fails(2, &["rskafka", "no transactions"]);
    kmerge(&["--delivery", "exactly-once", "--restart", "--append"]).await.fails(2, &["--restart", "--append"]);
    kmerge(&["--delivery", "exactly-once", "--job", "a b"]).await.fails(2, &["no name for a job"]);
    kmerge(&["--delivery", "exactly-once", "--commit-interval", "0s"]).await.fails(2, &["1ms"]);
    run(command("127.0.0.1:1", &["verify", "--jobs-topic", "x", "--from", "a", "--to", "b"]))
        .await
        .fails(2, &["--job"]);
}
