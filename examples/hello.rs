//! A token's life in ten lines.
#![expect(clippy::disallowed_macros, reason = "an example shows what it did")]

use keyfob::store::memory::MemoryStore;
use keyfob::{
    Access, Actor, By, Format, Grant, IssueRequest, Keyring, OwnerId, ReadWrite, Rules, Tokens,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rules = Rules::new(Format::new("hello")?, Keyring::unkeyed());
    let tokens = Tokens::<ReadWrite>::new(MemoryStore::default(), rules);
    let host = Actor::host();

    let request = IssueRequest::new(OwnerId::new("alice")?, Grant::Full);
    let (secret, token) = tokens.issue(request, By::Host(&host)).await?;
    let verified =
        tokens.authenticate(secret.expose_secret(), &Access::needing(&ReadWrite::Read)).await?;
    let owner = tokens.owner_of(&verified).map_or("nobody", OwnerId::as_str);
    println!("{owner} may read with token {}", verified.id());

    tokens.revoke(token.id, By::Host(&host), None).await?;
    assert!(tokens.authenticate(secret.expose_secret(), &Access::any()).await.is_err());
    Ok(())
}
