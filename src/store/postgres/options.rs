//! Where the server is, and how it is spoken to.

use std::fmt;
use std::time::Duration;

use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Config, NoTls, Socket};

use super::link::{Link, Secured};
use crate::ports::store::StoreError;

/// Where a PostgreSQL server is, and how a [`PostgresStore`](super::PostgresStore) speaks to it.
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) config: Config,
    pub(super) mode: Mode,
    pub(super) patience: Duration,
    pub(super) link: std::sync::Arc<dyn Link>,
}

/// Whether a connection is to one server process or to whichever is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Direct,
    Pooled,
}

impl PostgresOptions {
    /// How long an operation may take in all before it is given up, unless set otherwise: two of
    /// them, one after the other, still answer a client that waits for ten seconds.
    pub const PATIENCE: Duration = Duration::from_secs(3);

    /// A server at a URL such as `postgres://user@host:5432/database`,
    /// `postgres://user@%2Frun%2Fpostgresql/database` or `postgres:///database?host=/run/postgresql`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] for a text that is no such URL. The error never holds the URL,
    /// which may hold a password.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        // The parser's own error repeats an option that it does not know, which is what follows a
        // question mark in a password.
        let unreadable = "a PostgreSQL URL of another form, or with an unknown option or value";
        let config = url.parse::<Config>().map_err(|_| StoreError::unavailable(unreadable))?;
        Ok(Self::new(config))
    }

    /// A server as `tokio-postgres` describes it.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            mode: Mode::Direct,
            patience: Self::PATIENCE,
            link: std::sync::Arc::new(Secured(NoTls)),
        }
    }

    /// The same server behind a pooler that gives each transaction another connection, such as
    /// PgBouncer's transaction mode: nothing is prepared and nothing is set for a session.
    #[must_use]
    pub const fn pooled(mut self) -> Self {
        self.mode = Mode::Pooled;
        self
    }

    /// The same server, given up on after this long. At least 10 ms.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience.max(Duration::from_millis(10));
        self
    }

    /// The same server over TLS, if a root certificate of the system's vouches for it and for the
    /// host name in the URL, which should say `sslmode=require`: otherwise a server that offers no
    /// TLS is spoken to without. A Unix socket is always spoken to without.
    ///
    /// `SSL_CERT_FILE` names other roots than the system's. For anything else, client certificates
    /// for one, there is [`tls`](PostgresOptions::tls).
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when no root certificate can be read.
    #[cfg(feature = "postgres-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres-tls")))]
    pub fn with_system_roots(self) -> Result<Self, StoreError> {
        let roots = tokio_postgres_rustls::MakeRustlsConnect::with_native_certs();
        let (tls, _unread) = roots.map_err(|errors| {
            let reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
            StoreError::unavailable(format!("no root certificate: {}", reasons.join("; ")))
        })?;
        Ok(self.tls(tls))
    }

    /// The same server, spoken to through this TLS implementation, where the URL's `sslmode` asks
    /// for it.
    #[must_use]
    pub fn tls<T>(mut self, tls: T) -> Self
    where
        T: tokio_postgres::tls::MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
    {
        self.link = std::sync::Arc::new(Secured(tls));
        self
    }

    /// How a connection is made, with what every one of them must have.
    pub(super) fn connection(&self) -> Config {
        let mut config = self.config.clone();
        // A standby answers with rows that were true a while ago, and takes no changes.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        // Whoever meets an attempt that nobody will answer has time for the next one.
        config.connect_timeout(self.patience.checked_div(2).unwrap_or(self.patience));
        // A server that is gone without a word is noticed by the kernel as early as by us.
        config.tcp_user_timeout(self.patience);
        if config.get_application_name().is_none() {
            config.application_name("keyfob");
        }
        if self.mode == Mode::Direct {
            let given = config.get_options().unwrap_or_default();
            // A statement ends before its caller gives it up, so that the answer is known.
            let statement = self.patience.as_millis().saturating_mul(3).saturating_div(4);
            config.options(format!(
                "{given} -c statement_timeout={statement} \
                 -c default_transaction_isolation=read\\ committed"
            ));
        }
        config
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .field("mode", &self.mode)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
