//! The nodes as listeners: each serves until it is stopped, and can be stopped, restarted and killed by tests.
//!
//! A node that is down keeps its port: the socket is bound again without listening, so that connections are refused and
//! nobody else is given the port meanwhile.

use super::cluster::{Cluster, lock};
use super::{Broker, BrokerError, connection};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How many connections wait to be accepted.
const BACKLOG: u32 = 1024;

#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Serving {
        task: JoinHandle<()>,
        stop: watch::Sender<bool>,
    },
    /// It keeps the port; nothing where the system did not let us.
    Down(Option<TcpSocket>),
}

/// The listeners by their nodes' ids. Dropping them ends them and their connections.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    by_node: Mutex<BTreeMap<i32, Listener>>,
}

impl Listeners {
    /// Serves a node's clients.
    pub(crate) fn serve(&self, node: i32, listener: TcpListener, cluster: &Arc<Cluster>) -> Result<(), BrokerError> {
        let address = listener
            .local_addr()
            .map_err(|source| BrokerError::Bind { address: SocketAddr::from(([0, 0, 0, 0], 0)), source })?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(connection::accept(listener, cluster.clone(), node, stopped));
        lock(&self.by_node).insert(node, Listener { address, role: Role::Serving { task, stop } });
        Ok(())
    }

    /// Closes a node's listener and its connections, and keeps its port; `false` where it was closed before.
    async fn stop(&self, node: i32) -> Result<bool, BrokerError> {
        let serving = {
            let mut by_node = lock(&self.by_node);
            let listener = by_node.get_mut(&node).ok_or(BrokerError::UnknownNode(node))?;
            match std::mem::replace(&mut listener.role, Role::Down(None)) {
                Role::Serving { task, stop } => Some((task, stop, listener.address)),
                down => {
                    listener.role = down;
                    None
                }
            }
        };
        let Some((task, stop, address)) = serving else { return Ok(false) };
        stop.send_replace(true);
        // It ends by itself, or was aborted by somebody else; either way it is gone.
        let _ = task.await;
        let kept = keep(address).ok();
        if let Some(listener) = lock(&self.by_node).get_mut(&node) {
            listener.role = Role::Down(kept);
        }
        Ok(true)
    }

    /// Listens again at a node's address.
    fn start(&self, node: i32, cluster: &Arc<Cluster>) -> Result<(), BrokerError> {
        let (address, socket) = {
            let mut by_node = lock(&self.by_node);
            let listener = by_node.get_mut(&node).ok_or(BrokerError::UnknownNode(node))?;
            match &mut listener.role {
                Role::Serving { .. } => return Ok(()),
                Role::Down(socket) => (listener.address, socket.take()),
            }
        };
        let bound = socket.map_or_else(|| keep(address), Ok);
        let listener = bound.and_then(|socket| socket.listen(BACKLOG));
        self.serve(node, listener.map_err(|source| BrokerError::Bind { address, source })?, cluster)
    }

    /// Stops all of them and waits until they are gone.
    pub(crate) async fn stop_all(&self) {
        let nodes: Vec<i32> = lock(&self.by_node).keys().copied().collect();
        for node in nodes {
            // They are there, their keys were just read.
            let _ = self.stop(node).await;
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for listener in lock(&self.by_node).values() {
            if let Role::Serving { task, .. } = &listener.role {
                task.abort();
            }
        }
    }
}

fn keep(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of before may linger; on Windows the option means something else.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Broker {
    /// A node is gone, as after kill -9, and the cluster knows it: connections are refused and broken off, it is not told
    /// to clients any more, what it led is led by another replica, or by none where there is no other.
    pub async fn stop_node(&self, node: i32) -> Result<(), BrokerError> {
        self.kill_node(node).await?;
        self.cluster.bury(node);
        Ok(())
    }

    /// A node is gone and nobody has noticed: connections are refused and broken off, but clients are told that it is there
    /// and leads what it led, as for the 9 seconds that a real cluster waits. [`Self::stop_node`] makes the cluster notice.
    pub async fn kill_node(&self, node: i32) -> Result<(), BrokerError> {
        if self.doors.listeners.stop(node).await? {
            self.cluster.set_reachable(node, false);
            self.cluster.reload(node);
        }
        Ok(())
    }

    /// A stopped node is back at its address. It leads what nobody else could lead, follows elsewhere, and knows of
    /// producers what it finds in its logs: the last batch of each from before it was stopped.
    pub async fn start_node(&self, node: i32) -> Result<(), BrokerError> {
        self.doors.listeners.start(node, &self.cluster)?;
        self.cluster.set_reachable(node, true);
        self.cluster.welcome(node);
        Ok(())
    }

    /// A node is stopped and started at once.
    pub async fn restart_node(&self, node: i32) -> Result<(), BrokerError> {
        self.stop_node(node).await?;
        self.start_node(node).await
    }
}
