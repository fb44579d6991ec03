//! A process with a service in it: verifies, changes, and keeps connections open.

use std::sync::Arc;
use std::time::Duration;

use keyfob::core::issue::Lifetime;
use keyfob::core::policy::Minting;
use keyfob::service::error::{ChangeFailure, IssueFailure};
use keyfob::service::live::EndReason;
use keyfob::testing::{SeededRandomness, sample};
use keyfob::{
    Access, Actor, AuthenticateError, Builder, By, Expiry, Grant, IssueRequest, Kind, KindPolicy,
    Policy, ReadWrite, Refusal, Rules, StoreError, Tokens, Verified,
};

use crate::book::{Book, Known, owner};
use crate::history::{Act, NEVER, Nanos, Outcome, Reason, Subject};
use crate::machine::{Machine, date, nanos};
use crate::store::Way;
use crate::world::World;

static HOST: Actor = Actor::host();
const BY: By<'static> = By::Host(&HOST);

#[derive(Clone, Debug)]
pub(crate) struct Node {
    world: World,
    machine: Machine,
    book: Book,
    bound: Nanos,
    number: u16,
    tokens: Tokens<ReadWrite>,
}

impl Node {
    pub(crate) fn new(
        world: &World,
        machine: &Machine,
        way: Way,
        book: &Book,
        bound: Nanos,
        number: u16,
    ) -> Self {
        let randomness = SeededRandomness::new(world.between(0..u64::MAX));
        let builder = Builder::new(way, rules(), machine.clone(), randomness)
            .bound(Duration::from_nanos(bound));
        Self {
            world: world.clone(),
            machine: machine.clone(),
            book: book.clone(),
            bound,
            number,
            tokens: builder.build(),
        }
    }

    /// Has it do all that it does, as one process.
    pub(crate) fn start(&self, process: usize) {
        let upkeep = self.tokens.clone().upkeep(Arc::new(self.machine.clone()));
        self.world.spawn(process, upkeep);
        for _ in 0..2 {
            self.world.spawn(process, self.clone().verify());
        }
        for _ in 0..2 {
            self.world.spawn(process, self.clone().change());
        }
        self.world.spawn(process, self.clone().connect());
    }

    async fn rest(&self, parts: u64) {
        self.world.sleep(self.world.between(1..self.bound / parts)).await;
    }

    async fn verify(self) {
        loop {
            self.rest(10).await;
            if let Some(known) = self.book.any() {
                let is_strict = self.world.percent(10);
                self.verify_once(&known, is_strict).await;
            }
        }
    }

    pub(crate) async fn verify_all(self) {
        for known in self.book.all() {
            self.verify_once(&known, false).await;
        }
    }

    async fn verify_once(&self, known: &Known, strict: bool) -> Option<Verified> {
        let access = Access::any();
        let place = self.book.begin(self.number, Act::Verify { token: known.number, strict });
        let verdict = if strict {
            self.tokens.authenticate_strict(&known.text, &access).await
        } else {
            match self.tokens.authenticate_now(&known.text, &access) {
                Some(verdict) => verdict,
                None => self.tokens.authenticate(&known.text, &access).await,
            }
        };
        let (outcome, verified) = match verdict {
            Ok(verified) => (Outcome::Accepted, Some(verified)),
            Err(AuthenticateError::Refused(refusal)) => (Outcome::Refused(why(refusal)), None),
            Err(AuthenticateError::Unavailable(_)) => (Outcome::Unavailable, None),
            Err(AuthenticateError::NotOurs | AuthenticateError::RateLimited { .. }) => {
                (Outcome::Refused(Reason::Unsaid), None)
            }
        };
        self.book.end(place, outcome);
        verified
    }

    async fn connect(self) {
        loop {
            self.rest(4).await;
            let Some(known) = self.book.any() else { continue };
            let Some(verified) = self.verify_once(&known, false).await else { continue };
            let standstills = self.book.standstills(self.number);
            let Ok(live) = self.tokens.live(&verified).await else { continue };
            // What was found out before may be of no use any more, which is seen a moment later.
            if self.book.standstills(self.number) > standstills {
                continue;
            }
            let place = self.book.begin(self.number, Act::Connect { token: known.number });
            let patience = self.world.between(1..4 * self.bound);
            let outcome = match self.world.within(patience, live.ended()).await {
                None => Outcome::Accepted,
                Some(EndReason::Unavailable) => Outcome::Unavailable,
                Some(EndReason::Revoked) => Outcome::Refused(Reason::Revoked),
                Some(_) => Outcome::Refused(Reason::Unsaid),
            };
            self.book.close(place, outcome);
        }
    }

    async fn change(self) {
        loop {
            self.rest(2).await;
            let known = self.book.any();
            match (self.world.between(0..100), known) {
                (0..30, _) | (_, None) => {
                    self.issue(self.world.between(0..3) as u32, None).await;
                }
                (30..45, Some(known)) => {
                    if let Some(verified) = self.verify_once(&known, false).await {
                        self.issue(known.owner, Some((&known, &verified))).await;
                    }
                }
                (45..60, Some(known)) => self.revoke(&known, false).await,
                (60..70, Some(known)) => self.revoke(&known, true).await,
                (70..75, Some(known)) => self.revoke_all(known.owner).await,
                (75..90, Some(known)) => self.switch(Subject::Token(known.number), &known).await,
                (_, Some(known)) => self.switch(Subject::Owner(known.owner), &known).await,
            }
        }
    }

    pub(crate) async fn issue(&self, of: u32, by: Option<(&Known, &Verified)>) {
        let number = self.book.number();
        let mut request = IssueRequest::new(owner(of), Grant::Full);
        if self.world.percent(30) {
            let lifetime = self.world.between(self.bound..8 * self.bound);
            request.lifetime = Lifetime::Until(date(self.world.now() + lifetime));
        }
        let parent = by.map(|(parent, _)| parent.number);
        let act = Act::Issue { token: number, owner: of, parent, expires_at: NEVER };
        let place = self.book.begin(self.number, act);
        let by = by.map_or(BY, |(_, verified)| By::token(verified));
        let issued = self.tokens.issue(request, by).await;
        let outcome = match &issued {
            Ok(_) => Outcome::Done,
            Err(IssueFailure::Unavailable(error)) => untold(error),
            Err(IssueFailure::Presenter(refusal)) => Outcome::Refused(why(*refusal)),
            Err(_) => Outcome::Refused(Reason::Unsaid),
        };
        self.book.end(place, outcome);
        if let Ok((secret, row)) = issued {
            // A parent may have made it shorter.
            if let Expiry::At(at) = row.validity.expires_at {
                self.book.set_expiry(place, nanos(at));
            }
            let text = secret.expose_secret().to_owned();
            self.book.know(Known { number, owner: of, id: row.id, text });
        }
    }

    async fn revoke(&self, known: &Known, fenced: bool) {
        let act = Act::Revoke { token: known.number, cascades: true, fenced };
        let place = self.book.begin(self.number, act);
        let revoked = if fenced {
            self.tokens.revoke_fenced(known.id, BY, None, &self.machine).await
        } else {
            self.tokens.revoke(known.id, BY, None).await
        };
        self.book.end(place, changed(revoked.map(drop)));
    }

    async fn revoke_all(&self, of: u32) {
        let fenced = self.world.percent(30);
        let place = self.book.begin(self.number, Act::RevokeAll { owner: of, fenced });
        let revoked = self.tokens.revoke_all_of(&owner(of), None, BY, None).await;
        if fenced && revoked.is_ok() {
            self.tokens.fence(&self.machine).await;
        }
        self.book.end(place, changed(revoked.map(drop)));
    }

    /// Off, or on again.
    async fn switch(&self, whom: Subject, known: &Known) {
        let tokens = &self.tokens;
        let is_off = self.world.percent(50);
        let act =
            if is_off { Act::Deactivate { whom, fenced: false } } else { Act::Reactivate { whom } };
        let place = self.book.begin(self.number, act);
        let done = match (whom, is_off) {
            (Subject::Token(_), true) => tokens.deactivate(known.id, BY, None).await.map(drop),
            (Subject::Token(_), false) => tokens.reactivate(known.id, BY).await.map(drop),
            (Subject::Owner(of), true) => {
                tokens.deactivate_owner(&owner(of), BY, None).await.map(drop)
            }
            (Subject::Owner(of), false) => tokens.reactivate_owner(&owner(of), BY).await.map(drop),
        };
        self.book.end(place, changed(done));
    }
}

/// Tokens mint tokens, and many of them.
fn rules() -> Rules {
    let mut kind = KindPolicy::personal();
    kind.minting = Minting::Within;
    kind.quota = None;
    sample::rules().with_policy(Policy::default().with_kind(Kind::personal(), kind))
}

fn changed(done: Result<(), ChangeFailure>) -> Outcome {
    match done {
        Ok(()) => Outcome::Done,
        Err(ChangeFailure::Unavailable(error)) => untold(&error),
        Err(_) => Outcome::Refused(Reason::Unsaid),
    }
}

fn untold(error: &StoreError) -> Outcome {
    match error {
        StoreError::Indeterminate(_) => Outcome::Indeterminate,
        _ => Outcome::Unavailable,
    }
}

const fn why(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::Revoked => Reason::Revoked,
        _ => Reason::Unsaid,
    }
}
