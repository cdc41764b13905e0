//! Waits for what may not be there; each can be dropped and waited for again.

use futures::future::BoxFuture;
use tokio::sync::watch;

/// Waits for what runs; for ever, where nothing does.
pub(super) async fn running<T>(running: &mut Option<BoxFuture<'static, T>>) -> T {
    match running {
        Some(running) => running.await,
        None => std::future::pending().await,
    }
}

/// Waits until the caller wants to leave, or is gone.
pub(super) async fn quits(quit: &mut watch::Receiver<bool>) {
    let _ = quit.wait_for(|quit| *quit).await;
}
