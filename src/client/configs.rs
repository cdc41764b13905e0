//! Configurations: what a topic is set to, its own settings and the defaults behind them.

use super::cluster::{Ask, Cluster, call_error, means_no_such_topic};
use super::deadline::Deadline;
use super::error::ClientError;
use crate::wire::ErrorCode;
use crate::wire::describe_configs::{
    DescribeConfigs, DescribeConfigsRequest, DescribeConfigsResource, config_source, resource_type,
};
use std::collections::BTreeMap;

impl Cluster {
    /// Every setting that holds for a topic, the brokers' defaults included. Secret ones have no value and are left out.
    pub async fn topic_configs(&self, name: &str) -> Result<BTreeMap<String, String>, ClientError> {
        Ok(self.settings(name).await?.into_iter().map(|(name, (value, _))| (name, value)).collect())
    }

    /// The settings that were made for the topic itself.
    pub async fn topic_configs_own(&self, name: &str) -> Result<BTreeMap<String, String>, ClientError> {
        let all = self.settings(name).await?;
        Ok(all.into_iter().filter(|(_, (_, own))| *own).map(|(name, (value, _))| (name, value)).collect())
    }

    async fn settings(&self, name: &str) -> Result<BTreeMap<String, (String, bool)>, ClientError> {
        let deadline = self.deadline();
        let mut retry = self.retry_until(deadline);
        loop {
            match self.settings_once(name, deadline).await {
                Ok(settings) => return Ok(settings),
                Err(error) => {
                    // A broker that says so may only be late; if the others say so too there is no such topic.
                    if error.code().is_some_and(means_no_such_topic) {
                        self.topic_until(name, deadline).await?;
                    }
                    retry.after(error).await?;
                }
            }
        }
    }

    async fn settings_once(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<BTreeMap<String, (String, bool)>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource_type::TOPIC,
                resource_name: name.to_owned(),
                configuration_keys: None,
            }],
            ..Default::default()
        };
        let answer = self.call::<DescribeConfigs>(Ask::Any, &request, deadline).await?;
        let response = answer.read().map_err(|error| call_error::<DescribeConfigs>(answer.broker(), error))?;
        let Some(result) = response.results.into_iter().find(|result| result.resource_name == name) else {
            return Err(ClientError::Protocol {
                broker: answer.broker().clone(),
                api: "DescribeConfigs",
                expected: format!("topic {name}"),
                got: "an answer without it".to_owned(),
            });
        };
        match ErrorCode::from_code(result.error_code) {
            ErrorCode::None => {}
            code => {
                return Err(ClientError::Refused {
                    broker: answer.broker().clone(),
                    api: "DescribeConfigs",
                    what: format!("topic {name}"),
                    code,
                    message: result.error_message,
                });
            }
        }
        let settings = result.configs.into_iter();
        Ok(settings
            .filter_map(|one| Some((one.name, (one.value?, one.config_source == config_source::TOPIC))))
            .collect())
    }
}
