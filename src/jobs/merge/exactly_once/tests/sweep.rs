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
    let mut world = World::on(config).await;
    // Sometimes several batches are a transaction.
    if request % 2 == 1 {
        world.settings.progressing.commit_interval = std::time::Duration::from_millis(2);
    }
    // What is held stays held: whoever would hear the answer is gone.
    let fault = if fate == Fate::Done { Fault::HoldAnswer } else { Fault::Hold };
    let faults = world.broker.faults();
    let rule = faults.add(Rule::on(api).after(request), fault);
    let run = world.start_until(&rule).await;
    if rule.hits() == 0 {
        // This run needed fewer requests of that kind.
        run.ended().await.unwrap();
        assert!(world.is_whole().await, "{when}");
        return;
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

/// Stops the job at one request while a second one runs to its end, lets it go on, and checks that it has changed nothing.
async fn wake(config: BrokerConfig, api: ApiKey, request: u64) {
    let when = format!("stopped at {api} {request} until its successor has finished");
    let world = World::on(config).await;
    let rule = world.broker.faults().add(Rule::on(api).after(request), Fault::Hold);
    let first = world.start_until(&rule).await;
    let second = match world.start().ended().await {
        Ok(second) => second,
        // Who connects does not wait for one address alone: where the second one takes its time, the first goes on by the
        // other address and is the later one.
        Err(error) if error.kind() == Kind::Fenced && matches!(api, ApiKey::ApiVersions | ApiKey::Metadata) => {
            first.ended().await.unwrap_or_else(|error| panic!("{when}, then woken by itself: {error}"));
            assert!(world.is_whole().await, "{when}: the first, woken by itself");
            return;
        }
        Err(error) => panic!("{when}: {error}"),
    };
    assert!(world.is_whole().await, "{when}: the second");
    world.broker.faults().remove(&rule);
    match first.ended().await {
        // It had not begun, or was done with everything but looking.
        Ok(report) => assert!(report.records == 0 || second.records == 0, "{when}: both have written"),
        Err(error) => assert_eq!(error.kind(), Kind::Fenced, "{when}: {error}"),
    }
    assert!(world.is_whole().await, "{when}: after it woke");
}

/// Does `each` for every request of an undisturbed run, several worlds at a time.
async fn sweep<F, W>(config: BrokerConfig, least: usize, each: F)
where
    F: Fn(BrokerConfig, ApiKey, u64) -> Vec<W>,
    W: Future<Output = ()> + Send + 'static,
{
    let requests = requests(config.clone()).await.into_values();
    let all = requests.flat_map(|(api, count)| (0..count).map(move |request| (api, request)));
    let all: Vec<W> = all.flat_map(|(api, request)| each(config.clone(), api, request)).collect();
    assert!(all.len() > least, "{}", all.len());
    let mut all = futures::stream::iter(all).map(tokio::spawn).buffer_unordered(WORLDS);
    while let Some(done) = all.next().await {
        if let Err(died) = done {
            std::panic::resume_unwind(died.into_panic());
        }
    }
}

async fn crashes(config: BrokerConfig) {
    sweep(config, 150, |config, api, request| FATES.map(|fate| crash(config.clone(), api, request, fate)).into()).await;
}

async fn wakings(config: BrokerConfig) {
    sweep(config, 50, |config, api, request| vec![wake(config, api, request)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_20_47_and_67_killed_at_every_request_among_equal_keys_and_records_it_goes_on_to_the_whole_merge() {
    crashes(implicit()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_the_same_on_the_explicit_way_of_transaction_version_1() {
    crashes(explicit(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_the_same_on_the_explicit_way_of_transaction_version_0() {
    crashes(explicit(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_19_stopped_at_every_request_until_its_successor_has_finished_it_changes_nothing() {
    wakings(implicit()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_19_the_same_on_the_explicit_way() {
    wakings(explicit(1)).await;
}
