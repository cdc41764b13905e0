//! Membership in a consumer group, as every command that reads in one takes it.

use clap::{Args, ValueEnum};
use kmerge::base::units::parse_duration;
use kmerge::client::group::{Assignor, GroupOptions, GroupProtocol, Reset};
use std::time::Duration;

/// More often than this, looking for new partitions would be a load.
const LOOK_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Who we are in a group.
#[derive(Debug, Args)]
pub struct MembershipArgs {
    /// Read as a member of this consumer group: the partitions that it gives, from the offsets where it stands.
    #[arg(short, long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    group: Option<String>,

    /// A name under which this member comes back after a restart and finds its partitions, if it is quicker than its session.
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    group_instance_id: Option<String>,

    /// How the members share the partitions out, the preferred way first: range, roundrobin, sticky, cooperative-sticky. The
    /// group takes one that all its members have; range,cooperative-sticky, if absent, as Apache's clients have it.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    assignor: Vec<Assignor>,

    /// Where to begin where the group has no offset, or one that the log does not hold; fail, if absent.
    #[arg(long, value_name = "WHERE")]
    reset: Option<ResetArg>,

    /// A member that is not heard of for so long is put out of the group, and its partitions go to others; 45s, if absent. By the
    /// protocol consumer the brokers decide that.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    session_timeout: Option<Duration>,

    /// How often the member that shares out looks whether the topics have more partitions by now; 30s, if absent.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    metadata_max_age: Option<Duration>,

    /// Which protocol the group speaks: classic, if absent, or consumer, in which the brokers share out (Kafka 4, KIP-848).
    #[arg(long, value_name = "PROTOCOL")]
    group_protocol: Option<ProtocolArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ResetArg {
    /// With the first record that is there.
    Earliest,
    /// With the next one that is written.
    Latest,
    /// Not at all.
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProtocolArg {
    /// Members join, one of them shares out.
    Classic,
    /// The brokers share out.
    Consumer,
}

impl MembershipArgs {
    /// The membership, if one is wanted.
    pub fn options(&self, topics: &[String]) -> Result<Option<GroupOptions>, String> {
        match (&self.group, self.given()) {
            (Some(group), _) => self.options_in(group, topics, Reset::Fail).map(Some),
            (None, Some(flag)) => Err(format!("{flag} is about membership in a group: add --group")),
            (None, None) => Ok(None),
        }
    }

    /// What was typed about the membership, but for the group.
    fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.group_instance_id.is_some(), "--group-instance-id"),
            (!self.assignor.is_empty(), "--assignor"),
            (self.reset.is_some(), "--reset"),
            (self.session_timeout.is_some(), "--session-timeout"),
            (self.metadata_max_age.is_some(), "--metadata-max-age"),
            (self.group_protocol.is_some(), "--group-protocol"),
        ];
        flags.into_iter().find_map(|(given, flag)| given.then_some(flag))
    }

    /// The membership in a group of this name, unless another one was typed; it begins as `reset` says, unless that was.
    pub fn options_or(&self, group: &str, topics: &[String], reset: Reset) -> Result<GroupOptions, String> {
        self.options_in(self.group.as_deref().unwrap_or(group), topics, reset)
    }

    fn options_in(&self, group: &str, topics: &[String], reset: Reset) -> Result<GroupOptions, String> {
        let mut options = GroupOptions::new(group, topics);
        options.instance = self.group_instance_id.clone();
        options.reset = match self.reset {
            Some(ResetArg::Earliest) => Reset::Earliest,
            Some(ResetArg::Latest) => Reset::Latest,
            Some(ResetArg::Fail) => Reset::Fail,
            None => reset,
        };
        options.protocol = match self.group_protocol {
            Some(ProtocolArg::Consumer) => GroupProtocol::Consumer,
            Some(ProtocolArg::Classic) | None => GroupProtocol::Classic,
        };
        if let Some(timeout) = self.session_timeout {
            if options.protocol == GroupProtocol::Consumer {
                return Err(
                    "--session-timeout is for --group-protocol classic: by the other one the brokers decide".to_owned()
                );
            }
            options.session_timeout = timeout;
            // So that a heartbeat or two may get lost.
            options.heartbeat_interval = options.heartbeat_interval.min(timeout / 3);
        }
        if let Some(age) = self.metadata_max_age {
            if options.protocol == GroupProtocol::Consumer {
                return Err(
                    "--metadata-max-age is for --group-protocol classic: by the other one the brokers look".to_owned()
                );
            }
            options.look_interval = age.max(LOOK_INTERVAL_MIN);
        }
        if !self.assignor.is_empty() {
            if options.protocol == GroupProtocol::Consumer {
                return Err(
                    "--assignor is for --group-protocol classic: by the other one the brokers share out".to_owned()
                );
            }
            options.assignors = Vec::new();
            for assignor in &self.assignor {
                if options.assignors.contains(assignor) {
                    return Err(format!("--assignor names {assignor} twice"));
                }
                options.assignors.push(*assignor);
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        membership: MembershipArgs,
    }

    #[test]
    fn what_is_said_about_a_membership_needs_a_group_only_where_the_command_has_none_of_its_own() {
        let topics = ["t".to_owned()];
        for (flag, value) in [
            ("--group-instance-id", "one"),
            ("--assignor", "range"),
            ("--reset", "latest"),
            ("--session-timeout", "10s"),
            ("--metadata-max-age", "10s"),
            ("--group-protocol", "consumer"),
        ] {
            let typed = Typed::parse_from(["kmerge", flag, value]).membership;
            let refused = typed.options(&topics).unwrap_err();
            assert!(refused.starts_with(flag) && refused.ends_with("--group"), "{refused}");
            assert_eq!(&*typed.options_or("own", &topics, Reset::Fail).unwrap().group, "own");
            let typed = Typed::parse_from(["kmerge", flag, value, "--group", "g"]).membership;
            assert_eq!(&*typed.options(&topics).unwrap().unwrap().group, "g");
        }
        assert!(Typed::parse_from(["kmerge"]).membership.options(&topics).unwrap().is_none());
    }
}
