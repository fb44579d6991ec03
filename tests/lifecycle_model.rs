//! Whatever is done to tokens and owners in whatever order, a model of forty lines knows the outcome.
//!
//! A failure prints its seed and its steps; `run(seed)` in a test replays it.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails where it panics, in its helpers too"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use chrono::TimeDelta;
use keyfob::store::memory::MemoryStore;
use keyfob::testing::{ManualClock, SeededRandomness, block_on, sample};
use keyfob::{
    Access, Actor, AuthenticateError, Builder, By, Grant, IssueRequest, Kind, KindPolicy, Minting,
    Narrowing, Policy, ReadWrite, Rotation, TokenId, TokenName, Tokens,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[test]
fn every_sequence_of_operations_ends_as_the_model_says() {
    let all: u64 = if option_env!("KEYFOB_LONG").is_some() { 1_000_000 } else { SEQUENCES };
    let threads = thread::available_parallelism().map_or(1, |n| u64::try_from(n.get()).unwrap());
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                (first..all).step_by(usize::try_from(threads).unwrap()).for_each(run)
            });
        }
    });
}

/// Seconds to run, with the little optimisation that tests are built with.
const SEQUENCES: u64 = 100_000;

/// Times are seconds since the start; an instant that is a token's end is past it.
#[derive(Default)]
struct Model {
    now: i64,
    owners: [Owner; 2],
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Active,
    Blocked,
    Dead,
}

#[derive(Default)]
struct Owner {
    state: State,
    life: u32,
}

struct Token {
    owner: usize,
    life: u32,
    parent: Option<usize>,
    state: State,
    ends: i64,
    writes: bool,
    /// When each of its secrets ends, the current one last.
    secrets: Vec<i64>,
}

impl Model {
    fn verdict(&self, token: usize, secret: usize) -> Result<(), &'static str> {
        let (token, owner) = (&self.tokens[token], &self.owners[self.tokens[token].owner]);
        match (token.secrets.len() - 1 - secret, token.state, owner.state) {
            (2.., _, _) => Err("wrong_secret"),
            _ if self.now >= token.secrets[secret] => Err("superseded"),
            (_, State::Dead, _) => Err("revoked"),
            (_, State::Blocked, _) => Err("deactivated"),
            _ if self.now >= token.ends => Err("expired"),
            (.., State::Dead) => Err("owner_deleted"),
            _ if token.life != owner.life => Err("owner_deleted"),
            (.., State::Blocked) => Err("owner_deactivated"),
            _ => Ok(()),
        }
    }

    fn set(&mut self, token: usize, state: State) -> Result<(), &'static str> {
        match self.tokens[token].state {
            State::Dead if state == State::Dead => Ok(()),
            State::Dead => Err("revoked"),
            _ => {
                self.tokens[token].state = state;
                for child in 0..self.tokens.len() {
                    if state == State::Dead && self.descends(child, token) {
                        self.tokens[child].state = State::Dead;
                    }
                }
                Ok(())
            }
        }
    }

    fn descends(&self, child: usize, ancestor: usize) -> bool {
        self.tokens[child].parent.is_some_and(|p| p == ancestor || self.descends(p, ancestor))
    }

    fn kill_all_of(&mut self, owner: usize, except: Option<usize>) -> u64 {
        let mut killed = 0;
        for (number, token) in self.tokens.iter_mut().enumerate() {
            if token.owner == owner && token.state != State::Dead && Some(number) != except {
                token.state = State::Dead;
                killed += 1;
            }
        }
        killed
    }

    fn set_owner(&mut self, owner: usize, state: State) {
        if state == State::Dead {
            self.kill_all_of(owner, None);
        }
        let owner = &mut self.owners[owner];
        // Whoever leaves the grave is somebody else.
        owner.life += u32::from(owner.state == State::Dead && state != State::Dead);
        owner.state = state;
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Issue { owner: usize, lives: i64, writes: bool },
    Mint { parent: usize },
    Wait(i64),
    Deactivate(usize),
    Reactivate(usize),
    Revoke(usize),
    Rotate { token: usize, overlap: i64 },
    Narrow { token: usize, ends: i64 },
    TakeWrite(usize),
    Edit(usize),
    Owner { owner: usize, state: State },
    RevokeAll { owner: usize, except: Option<usize> },
}

fn draw(rng: &mut StdRng, tokens: usize) -> Step {
    let owner = rng.random_range(0..2);
    if tokens == 0 {
        return Step::Issue { owner, lives: rng.random_range(1..100), writes: rng.random() };
    }
    let token = rng.random_range(0..tokens);
    match rng.random_range(0..24) {
        0..3 => Step::Issue { owner, lives: rng.random_range(1..100), writes: rng.random() },
        3..5 => Step::Mint { parent: token },
        5..9 => Step::Wait(rng.random_range(0..30)),
        9..11 => Step::Deactivate(token),
        11..13 => Step::Reactivate(token),
        13 => Step::Revoke(token),
        14..18 => Step::Rotate { token, overlap: rng.random_range(0..40) },
        18 => Step::Narrow { token, ends: rng.random_range(0..120) },
        19 => Step::TakeWrite(token),
        20 => Step::Edit(token),
        21 => Step::RevokeAll { owner, except: rng.random::<bool>().then_some(token) },
        _ => {
            let state = [State::Active, State::Active, State::Blocked, State::Dead];
            Step::Owner { owner, state: state[rng.random_range(0..4)] }
        }
    }
}

/// The service and the model, and for each token its id and its texts, as the model counts them.
struct Run {
    model: Model,
    tokens: Tokens<ReadWrite>,
    clock: ManualClock,
    issued: Vec<(TokenId, Vec<String>)>,
}

fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut steps = Vec::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut run = Run::new(seed);
        for _ in 0..rng.random_range(2..12) {
            let step = draw(&mut rng, run.issued.len());
            steps.push(step);
            run.take(step);
            run.compare();
        }
    }));
    if outcome.is_err() {
        panic!("seed {seed}: {steps:#?}");
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut personal = KindPolicy::personal();
        personal.minting = Minting::Within;
        let policy = Policy::default().with_kind(Kind::personal(), personal);
        let clock = ManualClock::new(sample::start());
        let randomness = SeededRandomness::new(seed);
        let rules = sample::rules().with_policy(policy);
        let tokens = Builder::new(MemoryStore::default(), rules, clock.clone(), randomness).build();
        Self { model: Model::default(), tokens, clock, issued: Vec::new() }
    }

    /// Takes a step on both sides; both must do it, or refuse it for the same reason.
    fn take(&mut self, step: Step) {
        let host = Actor::host();
        let by = By::Host(&host);
        let (model, tokens) = (&mut self.model, &self.tokens);
        let now = model.now;
        let id = |token: usize| self.issued[token].0;
        match step {
            Step::Issue { owner, lives, writes } => {
                let scope = if writes { ReadWrite::Write } else { ReadWrite::Read };
                let grant = Grant::only([scope]).unwrap();
                let request =
                    IssueRequest::new(owner_id(owner), grant).expires_in(TimeDelta::seconds(lives));
                let issued = block_on(tokens.issue(request, by));
                let Owner { state, life } = model.owners[owner];
                assert_eq!(issued.is_ok(), state == State::Active);
                if let Ok((secret, row)) = issued {
                    let (ends, secrets) = (now + lives, vec![i64::MAX]);
                    model.tokens.push(Token {
                        owner,
                        life,
                        parent: None,
                        state,
                        ends,
                        writes,
                        secrets,
                    });
                    self.issued.push((row.id, vec![secret.expose_secret().to_owned()]));
                }
            }
            Step::Mint { parent } => {
                let of = &model.tokens[parent];
                let grant = Grant::only([ReadWrite::Read]).unwrap();
                let current = self.issued[parent].1.last().unwrap();
                let verified = block_on(tokens.authenticate(current, &Access::any()));
                assert_eq!(verified.is_ok(), model.verdict(parent, of.secrets.len() - 1).is_ok());
                if let Ok(verified) = verified {
                    let request = IssueRequest::new(owner_id(of.owner), grant);
                    let minted = block_on(tokens.issue(request, By::token(&verified)));
                    let (secret, row) = minted.unwrap();
                    let minted = Token {
                        owner: of.owner,
                        life: of.life,
                        parent: Some(parent),
                        state: State::Active,
                        ends: of.ends,
                        writes: false,
                        secrets: vec![i64::MAX],
                    };
                    model.tokens.push(minted);
                    self.issued.push((row.id, vec![secret.expose_secret().to_owned()]));
                }
            }
            Step::Wait(seconds) => {
                model.now += seconds;
                self.clock.advance(TimeDelta::seconds(seconds));
            }
            Step::Deactivate(token) => {
                let done = block_on(tokens.deactivate(id(token), by, None));
                let expected = model.set(token, State::Blocked);
                assert_eq!(done.map(drop).map_err(|error| error.code()), expected);
            }
            Step::Reactivate(token) => {
                let done = block_on(tokens.reactivate(id(token), by));
                let expected = model.set(token, State::Active);
                assert_eq!(done.map(drop).map_err(|error| error.code()), expected);
            }
            Step::Revoke(token) => {
                block_on(tokens.revoke(id(token), by, None)).unwrap();
                model.set(token, State::Dead).unwrap();
            }
            Step::Rotate { token, overlap } => {
                let rotation = Rotation::with_overlap(TimeDelta::seconds(overlap));
                let done = block_on(tokens.rotate(id(token), rotation, by));
                let of = &mut model.tokens[token];
                let expected = match of.state {
                    State::Dead => Err("revoked"),
                    State::Blocked => Err("deactivated"),
                    State::Active if now >= of.ends => Err("expiry_not_in_future"),
                    State::Active => Ok(()),
                };
                assert_eq!(done.as_ref().map(drop).map_err(|error| error.code()), expected);
                if let Ok((secret, _)) = done {
                    *of.secrets.last_mut().unwrap() = of.ends.min(now + overlap);
                    of.secrets.push(i64::MAX);
                    self.issued[token].1.push(secret.expose_secret().to_owned());
                }
            }
            Step::Narrow { token, ends } => {
                let mut narrowing = Narrowing::default();
                narrowing.expires_at = Some(sample::after(ends));
                let done = block_on(tokens.narrow(id(token), &narrowing, by));
                let of = &mut model.tokens[token];
                let expected = match of.state {
                    State::Dead => Err("revoked"),
                    _ if ends > of.ends => Err("wider"),
                    // An end in the past is an end now.
                    _ => {
                        of.ends = ends.max(now).min(of.ends);
                        Ok(())
                    }
                };
                assert_eq!(done.map(drop).map_err(|error| error.code()), expected);
            }
            Step::TakeWrite(token) => {
                let narrowing = Narrowing::to_grant(Grant::only([ReadWrite::Read]).unwrap());
                let done = block_on(tokens.narrow(id(token), &narrowing, by));
                let of = &mut model.tokens[token];
                let dead = of.state == State::Dead;
                of.writes &= dead;
                assert_eq!(done.map_err(|error| error.code()).err(), dead.then_some("revoked"));
            }
            Step::Edit(token) => {
                let name = TokenName::new("edited").unwrap();
                let done = block_on(tokens.edit(id(token), Some(name), None, by));
                let dead = model.tokens[token].state == State::Dead;
                assert_eq!(done.map_err(|error| error.code()).err(), dead.then_some("revoked"));
            }
            Step::Owner { owner, state } => {
                let owner_id = owner_id(owner);
                block_on(async {
                    match state {
                        State::Active => tokens.reactivate_owner(&owner_id, by).await,
                        State::Blocked => tokens.deactivate_owner(&owner_id, by, None).await,
                        State::Dead => tokens.delete_owner(&owner_id, by, None).await,
                    }
                })
                .unwrap();
                model.set_owner(owner, state);
            }
            Step::RevokeAll { owner, except } => {
                let kept = except.map(id);
                let killed = block_on(tokens.revoke_all_of(&owner_id(owner), kept, by, None));
                assert_eq!(killed.unwrap(), model.kill_all_of(owner, except));
            }
        }
    }

    /// Every secret that was ever shown gets the model's verdict, and so does every need to write.
    fn compare(&self) {
        for (token, (id, texts)) in self.issued.iter().enumerate() {
            for (secret, text) in texts.iter().enumerate() {
                let verdict = block_on(self.tokens.authenticate(text, &Access::any()));
                let expected = self.model.verdict(token, secret);
                assert_eq!(class(&verdict), expected, "token {token}, secret {secret}");
                if expected.is_ok() {
                    let access = Access::needing(&ReadWrite::Write);
                    let may_write = block_on(self.tokens.authenticate(text, &access)).is_ok();
                    assert_eq!(may_write, self.model.tokens[token].writes, "token {token}");
                    assert_eq!(verdict.unwrap().id(), *id);
                }
            }
        }
    }
}

fn class<T>(verdict: &Result<T, AuthenticateError>) -> Result<(), &'static str> {
    verdict.as_ref().map(drop).map_err(AuthenticateError::code)
}

fn owner_id(owner: usize) -> keyfob::OwnerId {
    sample::owner(u32::try_from(owner).unwrap())
}
