//! Where the nodes listen, and which address clients are told.
//!
//! The two differ where the broker listens on every interface: `0.0.0.0` is no address a client can connect to, so the
//! machine's name is told instead, unless the caller says which name is right.

use super::BrokerError;
use super::membership::Node;
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpListener;

/// Binds `count` listeners on consecutive ports from `port` on, or on free ones where `port` is 0. Node ids begin at 1.
pub(crate) fn bind(
    listen: IpAddr,
    port: u16,
    count: u16,
    advertise: Option<&str>,
) -> Result<Vec<(Node, TcpListener)>, BrokerError> {
    let mut bound = Vec::with_capacity(count.into());
    for index in 0..count {
        let wanted = match port {
            0 => 0,
            first => first.checked_add(index).ok_or(BrokerError::Ports { first, count })?,
        };
        let (host, port, listener) = bind_one(listen, wanted, advertise)?;
        bound.push((Node { id: i32::from(index) + 1, host, port }, listener));
    }
    Ok(bound)
}

/// Binds one listener; gives where clients reach it. It takes no time, so nobody need wait for it.
pub(crate) fn bind_one(
    listen: IpAddr,
    port: u16,
    advertise: Option<&str>,
) -> Result<(String, u16, TcpListener), BrokerError> {
    let address = SocketAddr::new(listen, port);
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok((listener.local_addr()?.port(), listener))
    };
    let (port, listener) = bind().map_err(|source| BrokerError::Bind { address, source })?;
    Ok((advertise.map_or_else(|| reachable_name(listen), str::to_owned), port, listener))
}

/// `host:port,host:port`, an IPv6 address in brackets.
pub(crate) fn bootstrap(nodes: &[Node]) -> String {
    let show = |node: &Node| match node.host.contains(':') {
        true => format!("[{}]:{}", node.host, node.port),
        false => format!("{}:{}", node.host, node.port),
    };
    nodes.iter().map(show).collect::<Vec<_>>().join(",")
}

fn reachable_name(listen: IpAddr) -> String {
    if !listen.is_unspecified() {
        return listen.to_string();
    }
    let from_environment = || ["HOSTNAME", "COMPUTERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    std::fs::read_to_string("/etc/hostname")
        .ok()
        .or_else(from_environment)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn free_ports_are_told_as_they_were_given() {
        let bound = bind(Ipv4Addr::LOCALHOST.into(), 0, 2, None).unwrap();
        let nodes: Vec<Node> = bound.iter().map(|(node, _)| node.clone()).collect();
        assert_eq!(nodes.iter().map(|n| n.id).collect::<Vec<_>>(), [1, 2]);
        assert_ne!(nodes[0].port, nodes[1].port);
        assert_eq!(bootstrap(&nodes), format!("127.0.0.1:{},127.0.0.1:{}", nodes[0].port, nodes[1].port));
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_names_it() {
        let held = bind(Ipv4Addr::LOCALHOST.into(), 0, 1, None).unwrap();
        let port = held[0].0.port;
        let error = bind(Ipv4Addr::LOCALHOST.into(), port, 1, None).unwrap_err();
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }

    #[tokio::test]
    async fn ports_past_the_last_are_refused() {
        let error = bind(Ipv4Addr::LOCALHOST.into(), 65535, 2, None).unwrap_err();
        assert!(matches!(error, BrokerError::Ports { .. } | BrokerError::Bind { .. }), "{error}");
    }

    #[test]
    fn an_address_nobody_can_connect_to_is_not_told() {
        assert_eq!(reachable_name(Ipv4Addr::LOCALHOST.into()), "127.0.0.1");
        assert!(!reachable_name(Ipv4Addr::UNSPECIFIED.into()).starts_with("0."));
        let node = Node { id: 1, host: "::1".into(), port: 9092 };
        assert_eq!(bootstrap(&[node]), "[::1]:9092");
    }
}
