//! Settings: what a topic or a broker is set to, what it would be without that, and changes to it.
//!
//! A broker knows its own settings only, so it is asked itself. What is set for one topic or one broker and what is set for all
//! brokers are different things; [`Setting::own`] tells them apart.

use crate::client::cluster::{Ask, Cluster, call_error, means_no_such_topic};
use crate::client::deadline::Deadline;
use crate::client::error::ClientError;
use crate::wire::ErrorCode;
use crate::wire::describe_configs::{
    DescribeConfigs, DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, config_source,
    resource_type,
};
use crate::wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigs, IncrementalAlterConfigsRequest, config_operation,
};
use std::collections::BTreeMap;
use std::fmt;

/// Whose settings are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigOf {
    /// A topic's.
    Topic(String),
    /// One broker's.
    Broker(i32),
    /// Those that hold for all brokers, made while they run.
    Brokers,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it is secret.
    pub value: Option<String>,
    /// What holds where it is not set here; `None` where that is secret or was not told.
    pub default: Option<String>,
    /// Whether it was made for this very topic or broker.
    pub own: bool,
}

/// What is done to a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It takes this value.
    Set(String),
    /// It goes back to what holds without it.
    Delete,
}

impl ConfigOf {
    fn resource(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (resource_type::TOPIC, name.clone()),
            Self::Broker(node) => (resource_type::BROKER, node.to_string()),
            Self::Brokers => (resource_type::BROKER, String::new()),
        }
    }

    fn ask(&self) -> Ask {
        if let Self::Broker(node) = self { Ask::Node(*node) } else { Ask::Any }
    }

    /// The source of what was made for it.
    fn own(&self) -> i8 {
        match self {
            Self::Topic(_) => config_source::TOPIC,
            Self::Broker(_) => config_source::DYNAMIC_BROKER,
            Self::Brokers => config_source::DYNAMIC_DEFAULT_BROKER,
        }
    }
}

impl fmt::Display for ConfigOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {}", crate::base::text::visible(name)),
            Self::Broker(node) => write!(f, "broker {node}"),
            Self::Brokers => f.write_str("all brokers"),
        }
    }
}

impl Cluster {
    /// Every setting that holds for a topic, the brokers' defaults included. Secret ones have no value and are left out.
    pub async fn topic_configs(&self, name: &str) -> Result<BTreeMap<String, String>, ClientError> {
        let all = self.settings(&ConfigOf::Topic(name.to_owned())).await?;
        Ok(all.into_iter().filter_map(|one| Some((one.name, one.value?))).collect())
    }

    /// The settings that were made for the topic itself.
    pub async fn topic_configs_own(&self, name: &str) -> Result<BTreeMap<String, String>, ClientError> {
        let all = self.settings(&ConfigOf::Topic(name.to_owned())).await?;
        Ok(all.into_iter().filter(|one| one.own).filter_map(|one| Some((one.name, one.value?))).collect())
    }

    /// Every setting that holds for a topic or a broker, by name.
    pub async fn settings(&self, of: &ConfigOf) -> Result<Vec<Setting>, ClientError> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        loop {
            match self.settings_once(of, deadline).await {
                Ok(settings) => return Ok(settings),
                Err(error) => {
                    // A broker that says so may only be late; if the others say so too there is no such topic.
                    if let ConfigOf::Topic(name) = of
                        && error.code().is_some_and(means_no_such_topic)
                    {
                        self.topic_until(name, deadline).await?;
                    }
                    retry.after(error).await?;
                }
            }
        }
    }

    async fn settings_once(&self, of: &ConfigOf, deadline: Deadline) -> Result<Vec<Setting>, ClientError> {
        let (resource_type, resource_name) = of.resource();
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource { resource_type, resource_name, configuration_keys: None }],
            include_synonyms: true,
            ..Default::default()
        };
        let answer = self.call::<DescribeConfigs>(of.ask(), &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<DescribeConfigs>(answer.broker(), error))?;
        // One was asked for.
        let Some(result) = response.results.into_iter().next() else {
            return Err(ClientError::Protocol {
                broker: answer.broker().clone(),
                api: "DescribeConfigs",
                expected: of.to_string(),
                got: "an answer without it".to_owned(),
            });
        };
        match ErrorCode::from_code(result.error_code) {
            ErrorCode::None => {}
            code => {
                let (broker, message) = (answer.broker().clone(), result.error_message);
                return Err(ClientError::Refused {
                    broker,
                    api: "DescribeConfigs",
                    what: of.to_string(),
                    code,
                    message,
                });
            }
        }
        let mut settings: Vec<Setting> = result.configs.into_iter().map(|one| setting(one, of.own())).collect();
        settings.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(settings)
    }

    /// Changes settings of a topic or of brokers, all of them or none.
    pub async fn alter_configs(&self, of: &ConfigOf, changes: &[(String, Change)]) -> Result<(), ClientError> {
        let deadline = self.deadline();
        let (resource_type, resource_name) = of.resource();
        let configs = changes.iter().map(|(name, change)| AlterableConfig {
            name: name.clone(),
            config_operation: match change {
                Change::Set(_) => config_operation::SET,
                Change::Delete => config_operation::DELETE,
            },
            value: match change {
                Change::Set(value) => Some(value.clone()),
                Change::Delete => None,
            },
        });
        let resource = AlterConfigsResource { resource_type, resource_name, configs: configs.collect() };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        // Twice the same change is the same change, so a lost answer is asked for again.
        let mut retry = self.retry_until(deadline);
        loop {
            match self.alter_once(of, &request, deadline).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    if let ConfigOf::Topic(name) = of
                        && error.code() == Some(ErrorCode::UnknownTopicOrPartition)
                    {
                        return Err(self.unknown_topic(name).await);
                    }
                    retry.after(error).await?;
                }
            }
        }
    }

    async fn alter_once(
        &self,
        of: &ConfigOf,
        request: &IncrementalAlterConfigsRequest,
        deadline: Deadline,
    ) -> Result<(), ClientError> {
        let api = "IncrementalAlterConfigs";
        let answer = self.call::<IncrementalAlterConfigs>(of.ask(), request, deadline).await?;
        let broker = answer.broker().clone();
        let response = answer.read().map_err(|error| call_error::<IncrementalAlterConfigs>(&broker, error))?;
        let Some(result) = response.responses.into_iter().next() else {
            let got = "an answer without it".to_owned();
            return Err(ClientError::Protocol { broker, api, expected: of.to_string(), got });
        };
        match ErrorCode::from_code(result.error_code) {
            ErrorCode::None => Ok(()),
            code => {
                let message = result.error_message;
                Err(ClientError::Refused { broker, api, what: of.to_string(), code, message })
            }
        }
    }
}

fn setting(one: DescribeConfigsResourceResult, own: i8) -> Setting {
    let is_own = one.config_source == own;
    // The nearest source comes first; what is behind our own is what holds without it.
    let behind = one.synonyms.into_iter().find(|synonym| synonym.source != own).and_then(|synonym| synonym.value);
    let default = if is_own { behind } else { one.value.clone() };
    Setting { name: one.name, default, value: one.value, own: is_own }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::describe_configs::DescribeConfigsSynonym;

    #[test]
    fn what_holds_without_a_setting_is_the_next_source_behind_it() {
        let synonym =
            |value: &str, source| DescribeConfigsSynonym { name: "n".into(), value: Some(value.into()), source };
        let told = |config_source, synonyms: Vec<DescribeConfigsSynonym>| DescribeConfigsResourceResult {
            name: "n".into(),
            value: Some("1".into()),
            config_source,
            synonyms,
            ..Default::default()
        };
        let own = told(
            config_source::TOPIC,
            vec![
                synonym("1", config_source::TOPIC),
                synonym("2", config_source::STATIC_BROKER),
                synonym("3", config_source::DEFAULT),
            ],
        );
        let found = setting(own, config_source::TOPIC);
        assert_eq!((found.own, found.value.as_deref(), found.default.as_deref()), (true, Some("1"), Some("2")));
        let found = setting(told(config_source::DEFAULT, vec![]), config_source::TOPIC);
        assert_eq!((found.own, found.default.as_deref()), (false, Some("1")));
    }
}
