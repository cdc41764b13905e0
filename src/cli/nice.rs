//! Who carries data beside the broker gives way to it.
//!
//! Where a broker runs on this machine, both want the same cores, and what holds a merge up is the broker: a partition's
//! batches are stored one after the other, so whenever its thread has to wait until ours has used up its turn, everything
//! waits. With a niceness the broker's threads come first, and we work in the gaps, of which there are enough. Beside Kafka 4.2 on
//! two cores a merge was 1.25 times as fast with a niceness of 5 at 118 bytes a record (medians of six runs each, in turns), 1.15 times
//! with small integers; 10 and 19 gained no more.
//!
//! A niceness decides who gets how much, but not how soon: whoever is woken on a busy core waits until the turn of the one that
//! has it is over. So the merge also lets go of its core every millisecond or so, for whoever waits for it
//! (`JobContext::give_way`): with small integers 1.11 times as fast again (medians of four runs each, in turns); at 118 bytes a
//! record no difference was seen.
//!
//! Non-obvious: the niceness is set before the first thread of the runtime is started, because each thread has its own and
//! takes it from the one that starts it.

use kmerge::client::address::Address;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

/// What we step back by. More gains nothing, and would starve us beside other people's work.
const STEP: i32 = 5;

/// Gives way by as much as was asked for; without that, who carries data does so where one of these addresses is on this machine,
/// unless whoever started us has decided already. Tells by how much.
pub fn give_way(brokers: &[String], carries_data: bool, asked: Option<u8>) -> Option<i32> {
    let is_free = |now: i32| carries_data && now == 0 && brokers.iter().any(|address| is_here(address));
    raise(|now| asked.map(i32::from).or_else(|| is_free(now).then_some(STEP)))
}

/// Whether others come first by now, whoever decided it.
#[cfg(unix)]
pub fn others_come_first() -> bool {
    rustix::process::getpriority_process(None).is_ok_and(|niceness| niceness > 0)
}

/// Elsewhere nobody gives way.
#[cfg(not(unix))]
pub fn others_come_first() -> bool {
    false
}

/// Raises the niceness to what `wanted` makes of the present one. Lower it only administrators can, who have other means.
#[cfg(unix)]
fn raise(wanted: impl FnOnce(i32) -> Option<i32>) -> Option<i32> {
    use rustix::process::{getpriority_process, setpriority_process};
    let now = getpriority_process(None).ok()?;
    let by = wanted(now).filter(|wanted| *wanted > now)?;
    setpriority_process(None, by).ok().map(|()| by)
}

/// Elsewhere nobody gives way.
#[cfg(not(unix))]
fn raise(_wanted: impl FnOnce(i32) -> Option<i32>) -> Option<i32> {
    None
}

/// Whether a broker's address is one of this machine. Names are not looked up for it, except the one that says so.
fn is_here(address: &str) -> bool {
    let Ok(Address { host, .. }) = Address::parse(address) else { return false };
    let Some(ip) = ip_of(&host) else { return false };
    ip.is_loopback() || is_own(ip).unwrap_or(false)
}

fn ip_of(host: &str) -> Option<IpAddr> {
    match host.eq_ignore_ascii_case("localhost") {
        true => Some(Ipv4Addr::LOCALHOST.into()),
        false => host.parse().ok(),
    }
}

/// Only to oneself one comes from the address one goes to. Nothing is sent.
fn is_own(ip: IpAddr) -> std::io::Result<bool> {
    let socket = UdpSocket::bind(match ip {
        IpAddr::V4(_) => "0.0.0.0:0",
        IpAddr::V6(_) => "[::]:0",
    })?;
    socket.connect((ip, 9))?;
    Ok(socket.local_addr()?.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_told_from_one_that_is_elsewhere_or_a_name() {
        for here in
            ["localhost", "LOCALHOST:9092", "127.0.0.1:9092", "127.0.0.2", "[::1]:9092", "PLAINTEXT://127.0.0.1:1"]
        {
            assert!(is_here(here), "{here}");
        }
        // The last three are reserved for examples: nobody has them.
        for elsewhere in ["kafka:9092", "", "1:2:3", "192.0.2.1:9092", "198.51.100.7", "[2001:db8::1]:9092"] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
