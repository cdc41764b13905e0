//! Writes the lines of a file to a topic with librdkafka through rust-rdkafka, idempotent.
//!
//! ```text
//! rdkafka-produce BROKERS TOPIC FILE
//! ```
//!
//! What it took is one JSON object on stdout.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ANSWER: Duration = Duration::from_secs(30);
const LAST_ACKNOWLEDGEMENT: Duration = Duration::from_secs(120);
/// How long a full queue is left alone.
const FULL: Duration = Duration::from_millis(1);

/// Counts what could not be stored.
#[derive(Default)]
struct Reports {
    failed: AtomicU64,
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, path] = &arguments[..] else { return Err("rdkafka-produce BROKERS TOPIC FILE".into()) };
    // Its own thread hears out what became of the records.
    let producer: ThreadedProducer<Reports> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "100000")
        .set("queue.buffering.max.messages", "500000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("delivery.report.only.error", "true")
        .create_with_context(Reports::default())?;
    producer.client().fetch_metadata(Some(topic), ANSWER)?;
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);

    let began = Instant::now();
    let mut records = 0_u64;
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        let value = line.strip_suffix(b"\n").unwrap_or(&line);
        let mut record = BaseRecord::<(), [u8]>::to(topic).payload(value);
        while let Err((error, unsent)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            // The queue has no room that one could wait for, only this.
            std::thread::sleep(FULL);
            record = unsent;
        }
        records += 1;
        line.clear();
    }
    producer.flush(LAST_ACKNOWLEDGEMENT)?;
    let seconds = began.elapsed().as_secs_f64();

    let failed = producer.context().failed.load(Ordering::Relaxed);
    println!(
        "{{\"client\":\"rdkafka\",\"records\":{},\"failed\":{failed},\"seconds\":{seconds:.3},\"cpu_seconds\":{:.3},\
         \"peak_memory_bytes\":{}}}",
        records - failed,
        cpu_seconds()?,
        peak_memory_bytes()?,
    );
    if failed > 0 { Err(format!("{failed} records could not be stored").into()) } else { Ok(()) }
}

/// Linux only, as all of this comparison: user and system time stand behind the name, in hundredths of a second.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = behind_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(ticks as f64 / 100.0)
}

fn peak_memory_bytes() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10)
}
