//! Making one connection, with or without TLS.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Error, Socket};

use super::trouble::Trouble;

/// How connections are made; forgets which TLS it is.
#[async_trait]
pub(super) trait Link: Send + Sync {
    /// Connects, and leaves a task behind that carries messages until the client is dropped, and
    /// notifications to who wants to hear of them.
    async fn connect(&self, config: &Config, heard: Option<Heard>) -> Result<Client, Trouble>;

    /// Asks the server to stop what a connection is doing.
    async fn cancel(&self, token: CancelToken) -> Result<(), Error>;
}

/// Hears the text of each notification, and `None` when the connection has ended.
pub(super) type Heard = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// A connection through this kind of TLS.
pub(super) struct Secured<T>(pub(super) T);

#[async_trait]
impl<T> Link for Secured<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    async fn connect(&self, config: &Config, heard: Option<Heard>) -> Result<Client, Trouble> {
        // The driver's own limit is on reaching the server, and not on its first words.
        let limit = config.get_connect_timeout().copied().unwrap_or(Duration::MAX);
        let connected = timeout(limit, config.connect(self.0.clone())).await;
        let (client, mut connection) = connected
            .map_err(|_| Trouble::Unasked("no connection in time".into()))?
            .map_err(Trouble::unasked)?;
        // How it ends is told to whoever waits for an answer; notices are nobody's business here.
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let (AsyncMessage::Notification(said), Some(heard)) = (message, &heard) {
                    heard(Some(said.payload()));
                }
            }
            if let Some(heard) = heard {
                heard(None);
            }
        });
        Ok(client)
    }

    async fn cancel(&self, token: CancelToken) -> Result<(), Error> {
        token.cancel_query(self.0.clone()).await
    }
}
