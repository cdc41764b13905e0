//! Consumer groups as who administers them sees them: listed, described, behind, set back, deleted. A member of the tests' own
//! joins where one is needed.

use crate::support::*;
use kmerge::wire::consumer_protocol::{Assignment, PartitionsOfTopic, Subscription};
use kmerge::wire::find_coordinator::{FindCoordinator, FindCoordinatorRequest, key_type};
use kmerge::wire::join_group::{JoinGroup, JoinGroupRequest, JoinGroupRequestProtocol};
use kmerge::wire::leave_group::{LeaveGroup, LeaveGroupRequest, MemberIdentity};
use kmerge::wire::sync_group::{SyncGroup, SyncGroupRequest, SyncGroupRequestAssignment};
use kmerge::wire::{Api, ErrorCode, frame};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SETTLE: Duration = Duration::from_secs(20);

/// The only member of a group, in the words of the protocol.
struct Member {
    stream: TcpStream,
    group: String,
    id: String,
}

async fn call<A: Api, T>(
    stream: &mut TcpStream,
    version: i16,
    request: &A::Request<'_>,
    read: impl FnOnce(&A::Response<'_>) -> T,
) -> T {
    let mut out = Vec::new();
    frame::write_request::<A>(&mut out, version, 1, Some("the-tests"), request).unwrap();
    stream.write_all(&out).await.unwrap();
    let length = stream.read_i32().await.unwrap() as usize;
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    read(&frame::read_response::<A>(&bytes, version).unwrap().1)
}

impl Member {
    /// Joins a group and is given partition 0 of a topic.
    async fn join(brokers: &str, group: &str, topic: &str) -> Self {
        let mut stream = TcpStream::connect(brokers.split(',').next().unwrap()).await.unwrap();
        let began = Instant::now();
        let address = loop {
            let request = FindCoordinatorRequest { key: group.into(), key_type: key_type::GROUP, ..Default::default() };
            let found = call::<FindCoordinator, _>(&mut stream, 3, &request, |r| {
                (r.error_code == 0).then(|| format!("{}:{}", r.host, r.port))
            });
            match found.await {
                Some(address) => break address,
                None => assert!(began.elapsed() < SETTLE, "no coordinator"),
            }
            // A pause between two looks, inside the deadline above.
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let mut stream = TcpStream::connect(address).await.unwrap();
        let subscription = Subscription { topics: vec![topic.into()], ..Default::default() }.write_last().unwrap();
        let mut id = String::new();
        let generation = loop {
            let request = JoinGroupRequest {
                group_id: group.into(),
                session_timeout_ms: 30_000,
                rebalance_timeout_ms: 30_000,
                member_id: id.clone(),
                protocol_type: "consumer".into(),
                protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: &subscription }],
                ..Default::default()
            };
            let (code, generation, given) = call::<JoinGroup, _>(&mut stream, 5, &request, |r| {
                (ErrorCode::from_code(r.error_code), r.generation_id, r.member_id.clone())
            })
            .await;
            id = given;
            match code {
                ErrorCode::None => break generation,
                ErrorCode::MemberIdRequired => {}
                code => {
                    assert!(began.elapsed() < SETTLE, "{code}");
                    // It is still loading its groups; a pause inside the deadline above.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let assigned = vec![PartitionsOfTopic { topic: topic.into(), partitions: vec![0] }];
        let assignment = Assignment { assigned_partitions: assigned, user_data: None }.write_as(0).unwrap();
        let request = SyncGroupRequest {
            group_id: group.into(),
            generation_id: generation,
            member_id: id.clone(),
            assignments: vec![SyncGroupRequestAssignment { member_id: id.clone(), assignment: &assignment }],
            ..Default::default()
        };
        assert_eq!(call::<SyncGroup, _>(&mut stream, 3, &request, |r| r.error_code).await, 0);
        Self { stream, group: group.into(), id }
    }

    async fn leave(mut self) {
        let members = vec![MemberIdentity { member_id: self.id.clone(), ..Default::default() }];
        let request = LeaveGroupRequest { group_id: self.group.clone(), members, ..Default::default() };
        assert_eq!(call::<LeaveGroup, _>(&mut self.stream, 3, &request, |r| r.error_code).await, 0);
    }
}

fn ints(numbers: std::ops::Range<i64>) -> Vec<Rec> {
    numbers.map(|number| Rec::int(number).stamped(1_700_000_000_000 + 1_000 * number)).collect()
}

/// The new offsets that a report tells, by partition.
fn new_offsets(report: &serde_json::Value) -> Vec<i64> {
    report["partitions"].as_array().unwrap().iter().map(|one| one["new_offset"].as_i64().unwrap()).collect()
}

on_both_brokers! {
    async fn a_group_is_set_described_and_told_how_far_it_is_behind(cluster: &Cluster) {
        let (topic, group) = (cluster.topic("read", 2).await, cluster.group("readers"));
        let (topic, group) = (topic.as_str(), group.as_str());
        cluster.put(topic, 0, &ints(0..10)).await;
        cluster.put(topic, 1, &ints(0..4)).await;
        let reset = async |more: &[&str]| {
            let args = [&["group", "reset", group, "--output", "json"][..], more].concat();
            cluster.run(&args).await.ok().json()
        };
        // A dry run makes no group.
        assert_eq!(new_offsets(&reset(&["--topic", topic, "--to-earliest"]).await), [0, 0]);
        cluster.run(&["group", "describe", group]).await.fails(1, &["no group"]);

        let set = reset(&["--topic", &format!("{topic}:0"), "--to-offset", "3", "--execute"]).await;
        assert_eq!((new_offsets(&set), &set["executed"]), (vec![3], &true.into()));
        let told = cluster.run(&["group", "describe", group, "--output", "csv"]).await.ok().stdout;
        let expected = format!("GROUP,TOPIC,PARTITION,CURRENT-OFFSET,LOG-END-OFFSET,LAG,CONSUMER-ID,HOST,CLIENT-ID\n{group},{topic},0,3,10,7,-,-,-\n");
        assert_eq!(told, expected);
        let lag = cluster.run(&["group", "lag", group, "--output", "json"]).await.ok().json();
        assert_eq!((&lag["groups"][0]["lag"], &lag["groups"][0]["state"]), (&7.into(), &"Empty".into()));
        cluster.run(&["group", "lag", group, "--at-most", "7"]).await.ok();
        cluster.run(&["group", "lag", group, "--at-most", "6"]).await.fails(4, &["7 offsets behind"]);
        let listed = cluster.run(&["group", "list", "--state", "empty"]).await.ok().stdout;
        assert!(listed.lines().any(|line| line.starts_with(group) && line.ends_with("Empty")), "{listed}");

        // Every target, from offset 3 of partition 0.
        for (target, expected) in [
            (&["--to-earliest"][..], 0),
            (&["--to-latest"], 10),
            (&["--to-current"], 3),
            (&["--shift-by", "2"], 5),
            (&["--shift-by", "-2"], 1),
            (&["--shift-by", "-200"], 0),
            (&["--to-offset", "200"], 10),
            (&["--to-datetime", "2023-11-14T22:13:26Z"], 6),
            (&["--to-datetime", "2023-11-14T22:13:25.001"], 6),
            (&["--to-datetime", "2099-01-01T00:00:00Z"], 10),
            (&["--by-duration", "P1D"], 10),
        ] {
            let report = reset(&[&["--all-topics"][..], target].concat()).await;
            assert_eq!(new_offsets(&report), [expected], "{target:?}");
        }
        let clamped = cluster.run(&["group", "reset", group, "--all-topics", "--to-offset", "200"]).await.ok();
        assert!(clamped.stderr.contains("does not have offset 200, 10 is taken"), "{clamped:?}");
        assert!(clamped.stderr.contains("nothing was changed"), "{clamped:?}");
        cluster.run(&["group", "reset", group, "--topic", &format!("{topic}:1"), "--shift-by", "1"]).await
            .fails(1, &["partition 1", "no offset to shift from"]);
        cluster.run(&["group", "reset", group, "--topic", &format!("{topic}:7"), "--to-latest"]).await
            .fails(1, &["partition 7 does not exist"]);
        cluster.run(&["group", "reset", group, "--all-topics"]).await.fails(2, &["--to-earliest"]);
        let told = cluster.run(&["group", "describe", group, "--output", "csv"]).await.ok().stdout;
        assert_eq!(told, expected, "only --execute changes anything");
    }

    async fn a_group_with_a_member_is_neither_set_nor_deleted(cluster: &Cluster) {
        let (topic, group) = (cluster.topic("live", 1).await, cluster.group("live-readers"));
        let (topic, group) = (topic.as_str(), group.as_str());
        cluster.put(topic, 0, &ints(0..5)).await;
        cluster.run(&["group", "reset", group, "--topic", topic, "--to-offset", "2", "--execute"]).await.ok();
        let member = Member::join(&cluster.brokers, group, topic).await;

        let told = cluster.run(&["group", "describe", group, "--output", "json"]).await.ok().json();
        let (told, row) = (&told["groups"][0], &told["groups"][0]["partitions"][0]);
        assert_eq!((&told["state"], &told["assignment_strategy"]), (&"Stable".into(), &"range".into()));
        assert_eq!((&row["consumer_id"], &row["client_id"], &row["lag"]), (&member.id.clone().into(), &"the-tests".into(), &3.into()));
        let told = cluster.run(&["group", "describe", group, "--members", "--output", "csv"]).await.ok().stdout;
        assert!(told.lines().nth(1).unwrap().ends_with(",the-tests,-,1"), "{told}");
        let told = cluster.run(&["group", "describe", group, "--state", "--output", "csv"]).await.ok().stdout;
        assert!(told.lines().nth(1).unwrap().ends_with(",classic,range,Stable,1"), "{told}");

        for args in [&["--execute"][..], &[]] {
            let args = [&["group", "reset", group, "--all-topics", "--to-latest"][..], args].concat();
            cluster.run(&args).await.fails(1, &["is Stable with 1 member(s)", "Nothing was changed"]);
        }
        cluster.run(&["group", "delete", group]).await.fails(1, &["has members", "--members"]);
        cluster.run(&["group", "delete", group, "--topic", topic]).await.fails(1, &["reads that topic"]);
        member.leave().await;
        cluster.run(&["group", "reset", group, "--all-topics", "--to-latest", "--execute"]).await.ok();
        let told = cluster.run(&["group", "lag", group, "--output", "json"]).await.ok().json();
        assert_eq!((&told["groups"][0]["lag"], &told["groups"][0]["members"]), (&0.into(), &0.into()));
    }

    async fn offsets_and_groups_are_deleted_and_what_is_not_there_is_said(cluster: &Cluster) {
        let (one, two) = (cluster.topic("one", 1).await, cluster.topic("two", 1).await);
        let group = cluster.group("gone-readers");
        let group = group.as_str();
        cluster.put(&one, 0, &ints(0..3)).await;
        let args = ["group", "reset", group, "--topic", &one, "--topic", &two, "--to-latest", "--execute"];
        cluster.run(&args).await.ok();
        let deleted = cluster.run(&["group", "delete", group, "--topic", &two, "--output", "json"]).await.ok().json();
        assert_eq!(deleted["deleted_offsets"].as_array().unwrap().len(), 1);
        let told = cluster.run(&["group", "describe", group, "--output", "csv"]).await.ok().stdout;
        assert_eq!((told.lines().count(), told.contains(&one)), (2, true), "{told}");
        // A topic that is gone leaves its offsets no end to be measured by, or takes them along.
        cluster.run(&["group", "delete", group]).await.ok();
        cluster.run(&["group", "delete", group, "--if-exists"]).await.ok();
        cluster.run(&["group", "delete", group]).await.fails(1, &["no group"]);
        cluster.run(&["group", "describe"]).await.fails(2, &["--all"]);
    }
}

#[test]
fn a_coordinator_that_moves_or_loses_its_answer_is_asked_again() {
    use kmerge::broker::{Fault, Rule};
    use kmerge::wire::ApiKey;
    run_embedded("moved", async |cluster| {
        let topic = cluster.topic("t", 1).await;
        let faults = cluster.embedded.as_ref().unwrap().faults();
        for api in [ApiKey::OffsetCommit, ApiKey::OffsetFetch, ApiKey::DescribeGroups, ApiKey::ListGroups] {
            faults.add(Rule::on(api), Fault::Error(ErrorCode::NotCoordinator));
            faults.add(Rule::on(api).after(1), Fault::DropAfter);
        }
        faults.add(Rule::on(ApiKey::FindCoordinator).times(2), Fault::Error(ErrorCode::CoordinatorNotAvailable));
        cluster.run(&["group", "reset", "g", "--topic", &topic, "--to-latest", "--execute"]).await.ok();
        cluster.run(&["group", "describe", "--all"]).await.ok();
        // Deleted, and the answer is lost: that it is not there the second time is no error.
        faults.add(Rule::on(ApiKey::DeleteGroups), Fault::DropAfter);
        cluster.run(&["group", "delete", "g"]).await.ok();
        cluster.run(&["group", "describe", "g"]).await.fails(1, &["no group g"]);
        faults.add(Rule::on(ApiKey::ListGroups).always(), Fault::Error(ErrorCode::ClusterAuthorizationFailed));
        cluster.run(&["group", "list"]).await.fails(3, &["CLUSTER_AUTHORIZATION_FAILED"]);
    });
}
