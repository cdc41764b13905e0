//! The crash sweep: the job is stopped before and after every request it makes, started again, and what readers of committed
//! records see is compared with the oracle at every boundary.

use super::world::World;
use crate::base::kind::Kind;
use crate::broker::{ApiLevel, BrokerConfig, Fault, Rule};
use crate::wire::ApiKey;
use futures::StreamExt as _;
use std::collections::BTreeMap;

/// So many worlds live at a time: they mostly wait.
const WORLDS: usize = 16;

/// What becomes of the request at which the job is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It never arrives.
    Lost,
    /// It was carried out, nobody hears of it.
    Done,
    /// It arrives when the next run has begun.
    Late,
}

const FATES: [Fate; 3] = [Fate::Lost, Fate::Done, Fate::Late];

fn implicit() -> BrokerConfig {
    BrokerConfig::default()
}

fn explicit(version: i16) -> BrokerConfig {
    BrokerConfig { transaction_version: version, api_versions: ApiLevel::V3_9, ..BrokerConfig::default() }
}

/// How many requests of each API an undisturbed run makes.
async fn requests(config: BrokerConfig) -> BTreeMap<i16, (ApiKey, u64)> {
    let world = World::on(config).await;
    world.start().ended().await.unwrap();
    assert!(world.is_whole().await, "without a crash");
    let mut requests = BTreeMap::new();
    for seen in world.broker.faults().seen() {
        requests.entry(seen.api.code()).or_insert((seen.api, 0)).1 += 1;
    }
    // What looking at the result has asked.
    requests
}

/// Kills the job at one request, starts it again, and checks.
async fn crash(config: BrokerConfig, api: ApiKey, request: u64, fate: Fate) {
    let when = format!("killed at {api} {request}, {fate:?}");
    let world = World::on(config).await;
    // What is held stays held: whoever would hear the answer is gone.
    let fault = if fate == Fate::Done { Fault::HoldAnswer } else { Fault::Hold };
    let faults = world.broker.faults();
    let rule = faults.add(Rule::on(api).after(request), fault);
    let run = world.start();
    while rule.hits() == 0 {
        if run.is_over() {
            // This run needed fewer requests of that kind.
            run.ended().await.unwrap();
            assert!(world.is_whole().await, "{when}");
            return;
        }
        // The run is on a thread of its own, so there is nothing to wait for that both know.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    run.kill().await;
    world.check_prefix(&when).await;
    let next = world.start();
    if fate == Fate::Late {
        let inits = faults.count(ApiKey::InitProducerId);
        faults.arrived(ApiKey::InitProducerId, inits + 1).await;
        faults.remove(&rule);
    }
    match next.ended().await {
        Ok(_) => {}
        // What arrives so late takes the id from the run that is there: that one gives way, as to any other.
        Err(error) if api == ApiKey::InitProducerId && error.kind() == Kind::Fenced => {
            assert_eq!(fate, Fate::Late, "{when}: {error}");
            world.check_prefix(&when).await;
            world.start().ended().await.unwrap_or_else(|error| panic!("{when}: {error}"));
        }
        Err(error) => panic!("{when}: {error}"),
    }
    assert!(world.is_whole().await, "{when}");
    // And nothing is left to do.
    let again = world.start().ended().await.unwrap();
    assert_eq!((again.records, again.resumed_at), (0, world.oracle.len() as u64), "{when}");
}

/// Every request of an undisturbed run, each with each fate, several worlds at a time.
async fn sweep(config: BrokerConfig) {
    let mut crashes = Vec::new();
    for (api, count) in requests(config.clone()).await.into_values() {
        crashes.extend((0..count).flat_map(|request| FATES.map(|fate| (api, request, fate))));
    }
    assert!(crashes.len() > 100, "{}", crashes.len());
    let crashes = futures::stream::iter(crashes).map(|(api, request, fate)| {
        let config = config.clone();
        tokio::spawn(crash(config, api, request, fate))
    });
    let mut crashes = crashes.buffer_unordered(WORLDS);
    while let Some(crash) = crashes.next().await {
        if let Err(died) = crash {
            std::panic::resume_unwind(died.into_panic());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_killed_at_every_request_and_started_again_the_output_is_the_merge() {
    sweep(implicit()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_the_same_on_the_explicit_way_of_transaction_version_1() {
    sweep(explicit(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_the_same_on_the_explicit_way_of_transaction_version_0() {
    sweep(explicit(0)).await;
}
