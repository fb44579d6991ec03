//! Sending mail.

use std::fmt;

use async_trait::async_trait;

use super::store::BoxError;

/// Sends one mail to one address.
///
/// **If you lie:** a mail that was reported sent and was not leaves its owner without a code; a
/// mail to another address gives the code away. The text holds the code: it must not be logged.
#[async_trait]
pub trait Mailer: fmt::Debug + Send + Sync + 'static {
    /// Returns once the mail is handed over.
    ///
    /// # Errors
    ///
    /// [`MailError`] when it was not.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// A mail.
#[non_exhaustive]
pub struct Mail {
    /// The address.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The text, which may hold a code.
    pub text: zeroize::Zeroizing<String>,
}

impl Mail {
    /// A mail.
    #[must_use]
    pub fn new(
        to: impl Into<String>,
        subject: impl Into<String>,
        text: zeroize::Zeroizing<String>,
    ) -> Self {
        Self { to: to.into(), subject: subject.into(), text }
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("to", &self.to)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// The mail was not handed over.
#[derive(Debug, thiserror::Error)]
#[error("the mail was not sent")]
#[expect(clippy::exhaustive_structs, reason = "there is one way not to be sent")]
pub struct MailError(#[source] pub BoxError);
