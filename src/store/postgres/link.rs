//! Making one connection, with or without TLS.

use async_trait::async_trait;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, Client, Config, Error, Socket};

/// How connections are made; forgets which TLS it is.
#[async_trait]
pub(super) trait Link: Send + Sync {
    /// Connects, and leaves a task behind that carries messages until the client is dropped.
    async fn connect(&self, config: &Config) -> Result<Client, Error>;

    /// Asks the server to stop what a connection is doing.
    async fn cancel(&self, token: CancelToken) -> Result<(), Error>;
}

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
    async fn connect(&self, config: &Config) -> Result<Client, Error> {
        let (client, connection) = config.connect(self.0.clone()).await?;
        // How it ends is told to whoever waits for an answer; notices are nobody's business here.
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    async fn cancel(&self, token: CancelToken) -> Result<(), Error> {
        token.cancel_query(self.0.clone()).await
    }
}
