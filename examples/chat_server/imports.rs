//! Taking over the tokens of the products that this server takes the place of.

use std::fs;
use std::path::Path;

use keyfob::import::{self, Row};
use keyfob::{Grant, OwnerId, ReadWrite, Shape, Tokens};

use crate::accounts::Accounts;
use crate::arguments::Arguments;

/// The tokens of each export that the command line names.
pub(crate) struct Imports(Vec<(Shape, Vec<Row>)>);

impl Imports {
    /// # Errors
    ///
    /// A sentence that names the file that cannot be read.
    pub(crate) fn read(arguments: &Arguments) -> Result<Self, String> {
        let text = |name: &str, path: &Path| {
            fs::read_to_string(path).map_err(|error| format!("{name} {}: {error}", path.display()))
        };
        let mut exports = Vec::new();
        if let Some(path) = &arguments.import_awx {
            let export = text("--import-awx", path)?;
            let rows = import::awx::read(&export, |scope: ReadWrite| Grant::only([scope]));
            exports.push((Shape::AWX, rows));
        }
        if let Some(path) = &arguments.import_mattermost {
            let rows = import::mattermost::read(&text("--import-mattermost", path)?);
            exports.push((Shape::MATTERMOST, rows));
        }
        if let Some(path) = &arguments.import_rocketchat {
            let rows = import::rocketchat::read(&text("--import-rocketchat", path)?);
            exports.push((Shape::ROCKET_CHAT, rows));
        }
        Ok(Self(exports))
    }

    /// What texts there look like.
    pub(crate) fn shapes(&self) -> impl Iterator<Item = Shape> {
        self.0.iter().map(|(shape, _)| *shape)
    }

    /// Takes them over for the accounts of the same ids, or numbers where a product has those; the
    /// report is in the log.
    ///
    /// # Errors
    ///
    /// A sentence, when the store could not be asked.
    pub(crate) async fn take_over(
        self,
        tokens: &Tokens<ReadWrite>,
        accounts: &Accounts,
    ) -> Result<(), String> {
        for (shape, rows) in self.0 {
            let account = |owner: &OwnerId| {
                let found = if shape == Shape::AWX {
                    let number: u64 = owner.as_str().parse().ok()?;
                    accounts.all().find(|entry| entry.account.number == number)
                } else {
                    accounts.of(owner)
                };
                found.map(|entry| entry.account.id.clone())
            };
            let report = import::import(tokens, rows, account, &Grant::Full).await;
            for line in report.to_string().lines() {
                tracing::info!("import of {}'s tokens: {line}", shape.name());
            }
            if report.interrupted.is_some() {
                return Err(format!("the import of {}'s tokens was interrupted", shape.name()));
            }
        }
        Ok(())
    }
}
