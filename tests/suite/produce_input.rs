//! Input that is not what it should be, and settings that cannot be meant.

use crate::produce::{Sample, produce, values};
use crate::support::*;

on_both_brokers! {
    async fn what_cannot_be_read_is_told_with_its_line_and_what_stands_before_it_is_written(cluster: &Cluster) {
        for (number, (extension, text, more, line, said)) in [
            ("csv", &b"a,b\n1,2\n3\n4,5\n"[..], &[][..], 3, "1 fields where the header has 2"),
            ("csv", b"a,b\n1,2\n3,\"4\n", &[], 3, "ends inside quotation marks"),
            ("csv", b"a\n1\n\xff\n", &[], 3, "no UTF-8"),
            ("json", b"[{\"a\":1},\n{\"a\":tru}]", &[], 2, "expected"),
            ("json", b"{\"a\":1}\n{\"a\":\xff}", &[], 2, "no UTF-8"),
            ("jsonl", b"{\"payload\":\"x\"}\n{\"payload\":\n", &["-J"], 2, "not a JSON object"),
            ("jsonl", b"{\"payload\":\"x\"}\n{\"user\":1}\n", &["-J"], 2, "no \"payload\""),
            ("jsonl", b"{\"payload\":\"x\",\"partition\":0}\n{\"payload\":\"x\",\"partition\":9}\n", &["-J", "--keep-partitions"], 2, "no partition 9"),
            ("txt", b"{\"a\":1}\n{\"b\":1}\n", &["--key", "/a"], 2, "no /a in"),
            ("txt", b"{\"a\":1}\nplain\n", &["--key", "/a"], 2, "no JSON"),
            ("txt", b"k:v\nplain\n", &["-K", ":"], 2, "part the key"),
            ("csv", b"t\n1000\nnoon\n", &["--timestamp-from", "t"], 3, "is no time"),
        ].into_iter().enumerate() {
            let topic = cluster.topic(&format!("bad-{number}"), 1).await;
            let file = Sample::new(extension, text);
            let outcome = produce(cluster, &[&[topic.as_str(), file.path()], more].concat(), "").await;
            outcome.fails(4, &[file.path(), &format!("line {line}: "), said, "1 sent, 1 acknowledged, 0 failed"]);
            assert_eq!(cluster.read(&topic, 0).await.len(), 1, "{said}");
        }
    }

    async fn a_csv_without_a_header_or_with_a_wrong_one_is_refused(cluster: &Cluster) {
        let topic = cluster.topic("header", 1).await;
        for (text, more, said) in [
            ("", &[][..], "line 1: there is no header"),
            ("a,,c\n1,2,3\n", &[], "line 1: column 2 has no name"),
            ("a,a\n1,2\n", &[], "both named"),
            ("id,b\n1,2\n", &["--key", "di"], "did you mean id?"),
        ] {
            let file = Sample::new("csv", text);
            produce(cluster, &[&[topic.as_str(), file.path()], more].concat(), "").await.fails(4, &[said]);
        }
        assert_eq!(cluster.read(&topic, 0).await, []);
    }

    async fn json_nested_ten_thousand_deep_is_a_value_like_any_other(cluster: &Cluster) {
        let topic = cluster.topic("deep", 1).await;
        let deep = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
        produce(cluster, &[&topic, "--format", "json"], format!("[{deep}]")).await.ok();
        produce(cluster, &[&topic, "-J"], format!("{{\"payload\":{deep}}}")).await.ok();
        assert_eq!(values(cluster, &topic, 0).await, [deep.clone(), deep]);
    }

    async fn what_cannot_be_meant_is_wrong_usage_and_makes_nothing(cluster: &Cluster) {
        let topic = cluster.name("usage");
        let csv = Sample::new("csv", "a\n1\n");
        let wrong = async |args: &[&str], said: &str| {
            produce(cluster, &[&[topic.as_str(), "--create", "1"], args].concat(), "x\n").await.fails(2, &[said]);
        };
        wrong(&["--rate", "0"], "above 0").await;
        wrong(&["--repeat-to", "10"], "name a file").await;
        wrong(&["--compare"], "name a file").await;
        wrong(&["--key", "a"], "no columns").await;
        wrong(&[csv.path(), "--key", "/a"], "without a slash").await;
        wrong(&["--key", "/a~2"], "~0 (a tilde)").await;
        wrong(&["--keep-partitions"], "-J").await;
        wrong(&["--format", "csb"], "csv").await;
        wrong(&["--timestamp", "soon"], "is no time").await;
        wrong(&["--memory", "1MiB"], "4MiB").await;
        wrong(&["--batch-records", "0"], "1 or more").await;
        let there = cluster.run(&["topic", "list"]).await.ok();
        assert!(!there.stdout.contains(&topic), "{there:?}");
    }

    async fn a_topic_or_a_file_that_is_not_there_is_named_with_the_way_out(cluster: &Cluster) {
        let topic = cluster.topic("orders", 1).await;
        let typo = topic.replace("orders", "ordres");
        produce(cluster, &[&typo], "x\n").await.fails(1, &["did you mean", "--create"]);
        produce(cluster, &[&topic, "no-such-file.csv"], "").await.fails(1, &["no-such-file.csv"]);
        produce(cluster, &[&topic, "-p", "3"], "x\n").await.fails(4, &["no partition 3"]);
        let empty = Sample::new("txt", "");
        produce(cluster, &[&topic, empty.path(), "--repeat-to", "3"], "").await.fails(1, &["nothing to repeat"]);
        produce(cluster, &[&topic], "").await.ok();
        assert_eq!(cluster.read(&topic, 0).await, []);
    }
}
