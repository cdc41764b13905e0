//! Topics that are changed and described, and tables in three forms.

use crate::support::*;

on_both_brokers! {
    async fn a_topic_is_given_partitions_and_settings_and_they_are_taken_back(cluster: &Cluster) {
        let topic = cluster.topic("changes", 2).await;
        let show = async |more: &[&str]| {
            let args = [&["topic", "config", "show", &topic, "--output", "json"][..], more].concat();
            cluster.run(&args).await.ok().json()["settings"].as_array().unwrap().clone()
        };
        let find = |settings: &[serde_json::Value], name: &str| settings.iter().find(|one| one["setting"] == name).cloned();

        cluster.run(&["topic", "alter", &topic, "--partitions", "4", "--config", "max.message.bytes=7777"]).await.ok();
        let own = show(&[]).await;
        let changed = find(&own, "max.message.bytes").unwrap();
        assert_eq!((&changed["value"], &changed["default"], &changed["own"]), (&"7777".into(), &"1048588".into(), &true.into()));
        assert!(find(&own, "segment.bytes").is_none(), "{own:?}");
        let all = show(&["--all"]).await;
        assert_eq!(find(&all, "segment.bytes").unwrap()["own"], false);

        cluster.run(&["topic", "config", "set", &topic, "segment.bytes=1048577", "flush.ms=9"]).await.ok();
        cluster.run(&["topic", "config", "delete", &topic, "max.message.bytes", "flush.ms"]).await.ok();
        let own = show(&[]).await;
        assert!(find(&own, "max.message.bytes").is_none() && find(&own, "flush.ms").is_none(), "{own:?}");
        assert_eq!(find(&own, "segment.bytes").unwrap()["value"], "1048577");

        cluster.run(&["topic", "add-partitions", &topic, "--by", "1"]).await.ok();
        let told = cluster.run(&["topic", "describe", &topic, "--output", "json"]).await.ok().json();
        assert_eq!(told["partitions"].as_array().unwrap().len(), 5);
        assert_eq!(told["configs"]["segment.bytes"], "1048577");
    }

    async fn what_cannot_be_changed_is_refused_before_anything_is(cluster: &Cluster) {
        let topic = cluster.topic("refuses", 2).await;
        let topic = topic.as_str();
        cluster.run(&["topic", "alter", topic]).await.fails(2, &["--partitions", "--config"]);
        cluster.run(&["topic", "alter", topic, "--partitions", "2"]).await.fails(2, &["2 partitions", "only become more"]);
        cluster.run(&["topic", "add-partitions", topic]).await.fails(2, &["--by"]);
        cluster.run(&["topic", "alter", topic, "--partitions", "3", "--config", "retention.sm=1"]).await
            .fails(2, &["retention.sm", "did you mean retention.ms?"]);
        cluster.run(&["topic", "config", "set", topic, "max.message.bytes=many"]).await.fails(1, &["max.message.bytes"]);
        cluster.run(&["topic", "alter", topic, "--config", "flush.ms=1", "--delete-config", "flush.ms"]).await
            .fails(2, &["flush.ms is given twice"]);
        cluster.run(&["topic", "config", "show", "no-such-topic-here"]).await.fails(1, &["no topic no-such-topic-here"]);
        let told = cluster.run(&["topic", "describe", topic, "--output", "json"]).await.ok().json();
        assert_eq!(told["partitions"].as_array().unwrap().len(), 2, "nothing was changed");
    }

    async fn several_topics_are_described_at_once_and_tables_come_in_three_forms(cluster: &Cluster) {
        let (one, two) = (cluster.topic("one", 1).await, cluster.topic("two", 2).await);
        cluster.put(&two, 1, &[Rec::int(1), Rec::int(2)]).await;
        let text = cluster.run(&["topic", "describe", &one, &two]).await.ok().stdout;
        assert!(text.contains(&one) && text.contains(&two) && text.matches("PARTITION").count() == 2, "{text}");
        assert_eq!(cluster.run(&["topic", "describe", &one, &two, "--output", "table"]).await.ok().stdout, text);

        let csv = cluster.run(&["topic", "describe", "--topic", &format!("{one},{two}"), "--sizes", "--output", "csv"]).await.ok();
        let lines: Vec<&str> = csv.stdout.lines().collect();
        assert_eq!(lines[0], "TOPIC,PARTITION,LEADER,REPLICAS,ISR,EARLIEST,LAST-STABLE,LATEST,BYTES");
        assert_eq!(lines.len(), 4, "{csv:?}");
        let last: Vec<&str> = lines[3].split(',').collect();
        assert_eq!((last[0], last[1], last[last.len() - 2]), (&*two, "1", "2"));
        assert!(last[last.len() - 1].parse::<u64>().unwrap() > 60, "{last:?}");

        let json = cluster.run(&["topic", "describe", &one, &two, "--output", "json"]).await.ok().json();
        assert_eq!(json["topics"][1]["partitions"][1]["latest"], 2);
        let list = cluster.run(&["topic", "list", "--output", "csv"]).await.ok().stdout;
        assert!(list.starts_with("TOPIC,PARTITIONS,REPLICAS\n") && list.contains(&format!("{two},2,")), "{list}");
        // Without names all topics are meant.
        let all = cluster.run(&["topic", "describe", "--output", "csv"]).await.ok().stdout;
        assert!(all.contains(&one) && all.contains(&two), "{all}");
    }

    async fn csv_is_refused_before_the_work_where_the_report_is_no_table(cluster: &Cluster) {
        let topic = cluster.name("never-made");
        cluster.run(&["topic", "create", &topic, "--output", "csv"]).await.fails(2, &["no table", "--output json"]);
        cluster.run(&["topic", "describe", &topic]).await.fails(1, &["no topic"]);
    }
}
