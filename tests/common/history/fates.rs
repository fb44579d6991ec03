//! Everything that a history says was done to each token.

use std::collections::HashMap;
use std::iter;

use super::level::{Effect, Endings, Level, Source};
use super::{Act, Broken, NEVER, Nanos, Operation, Outcome, Subject, Violation};

/// What is known of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// When it was asked for.
    pub(crate) invoked_at: Nanos,
    /// By then it had been issued: [`NEVER`] if it is not known to have been.
    pub(crate) returned_at: Nanos,
    pub(crate) expires_at: Nanos,
    owner: u32,
    parent: Option<u32>,
    /// Of its revocation, its own deactivation and its owner's those that may have happened.
    levels: [Option<u32>; 3],
}

/// Those of all tokens.
#[derive(Debug)]
pub(crate) struct Fates {
    tokens: Vec<Option<Fate>>,
    levels: Vec<Level>,
}

impl Fates {
    /// Reads it, or finds that it makes no sense.
    pub(crate) fn of(history: &[Operation], bound: Nanos) -> Result<Self, Vec<Violation>> {
        let mut tokens = Vec::new();
        let mut violations = Vec::new();
        let mut violate = |operation, broken| {
            violations.push(Violation { operation, broken, against: None });
        };
        for (place, operation) in history.iter().enumerate() {
            if is_malformed(operation) {
                violate(place, Broken::Malformed);
            }
            if !issue(&mut tokens, operation) {
                violate(place, Broken::IssuedTwice);
            }
        }
        for (place, operation) in history.iter().enumerate() {
            let known = |token: u32| tokens.get(token as usize).is_some_and(Option::is_some);
            if named(operation.act).is_some_and(|token| !known(token)) {
                violate(place, Broken::UnknownToken);
            }
        }
        if !violations.is_empty() {
            violations.sort_unstable();
            return Err(violations);
        }
        let mut fates = Self { tokens, levels: Vec::new() };
        fates.read_switches(history, bound);
        fates.read_endings(history, bound);
        Ok(fates)
    }

    /// That of a token which the history issues, as it does all that it names.
    pub(crate) fn of_token(&self, token: u32) -> &Fate {
        self.tokens.get(token as usize).and_then(Option::as_ref).expect("all tokens are known")
    }

    /// What the token hangs on, as far as it was ever touched: it is live while all of it is on.
    pub(crate) fn levels(&self, token: u32) -> impl Iterator<Item = &Level> {
        self.of_token(token).levels.into_iter().flatten().map(|at| &self.levels[at as usize])
    }

    fn read_switches(&mut self, history: &[Operation], bound: Nanos) {
        let mut effects: HashMap<Subject, [Vec<Effect>; 2]> = HashMap::new();
        for (place, operation) in history.iter().enumerate() {
            let (whom, side, fenced) = match operation.act {
                Act::Deactivate { whom, fenced } => (whom, 0, fenced),
                Act::Reactivate { whom } => (whom, 1, false),
                _ => continue,
            };
            effects.entry(whom).or_default()[side].extend(Effect::of(place, operation, fenced));
        }
        let mut switches = HashMap::new();
        for (whom, [offs, ons]) in effects {
            switches.insert(whom, keep(&mut self.levels, Level::switched(&offs, &ons, bound)));
        }
        for (token, fate) in (0..).zip(&mut self.tokens) {
            let Some(fate) = fate else { continue };
            let [_, own, owner] = &mut fate.levels;
            *own = switches.get(&Subject::Token(token)).copied();
            *owner = switches.get(&Subject::Owner(fate.owner)).copied();
        }
    }

    fn read_endings(&mut self, history: &[Operation], bound: Nanos) {
        let [mut tokens, mut descendants, mut owners] = [const { Vec::new() }; 3];
        for (place, operation) in history.iter().enumerate() {
            match operation.act {
                Act::Revoke { token, cascades, fenced } => {
                    let effect = Effect::of(place, operation, fenced).map(|effect| (token, effect));
                    tokens.extend(effect);
                    descendants.extend(effect.filter(|_| cascades));
                }
                Act::RevokeAll { owner, fenced } => owners
                    .extend(Effect::of(place, operation, fenced).map(|effect| (owner, effect))),
                _ => {}
            }
        }
        let [tokens, descendants, owners] = [tokens, descendants, owners].map(endings);
        for token in 0..self.tokens.len() {
            let Some(fate) = self.tokens[token] else { continue };
            // What is meant is what exists at the time.
            let meant = |endings| Source {
                endings,
                returned_from: fate.invoked_at.saturating_add(1),
                invoked_from: fate.returned_at,
            };
            // Who revokes a token by its number means it, whatever is known of its issue.
            let own = tokens.get(&(token as u32)).map(|endings| Source {
                endings,
                returned_from: 0,
                invoked_from: 0,
            });
            let cascading = self.ancestors(&fate).filter_map(|token| descendants.get(&token));
            let sources: Vec<_> = own
                .into_iter()
                .chain(cascading.chain(owners.get(&fate.owner)).map(meant))
                .collect();
            if let Some(level) = Level::ended(&sources, bound) {
                let level = keep(&mut self.levels, level);
                self.tokens[token] =
                    Some(Fate { levels: [Some(level), fate.levels[1], fate.levels[2]], ..fate });
            }
        }
    }

    /// As many as there are tokens at most, should the history lead in a circle.
    fn ancestors(&self, fate: &Fate) -> impl Iterator<Item = u32> {
        iter::successors(fate.parent, |token| self.of_token(*token).parent).take(self.tokens.len())
    }
}

fn keep(levels: &mut Vec<Level>, level: Level) -> u32 {
    levels.push(level);
    u32::try_from(levels.len() - 1).expect("there are fewer levels than operations")
}

fn endings(mut effects: Vec<(u32, Effect)>) -> HashMap<u32, Endings> {
    effects.sort_by_key(|(subject, _)| *subject);
    effects
        .chunk_by(|(one, _), (other, _)| one == other)
        .map(|chunk| {
            let effects: Vec<_> = chunk.iter().map(|(_, effect)| *effect).collect();
            (chunk[0].0, Endings::new(&effects))
        })
        .collect()
}

/// Notes what is issued; `false` if that had been issued before.
fn issue(tokens: &mut Vec<Option<Fate>>, operation: &Operation) -> bool {
    let Act::Issue { token, owner, parent, expires_at } = operation.act else { return true };
    let (invoked_at, returned_at) = match operation.outcome {
        // It is known, but nobody can have it. Another attempt may go better.
        Outcome::Refused(_) => (NEVER, NEVER),
        Outcome::Done => (operation.invoked_at, operation.returned_at),
        _ => (operation.invoked_at, NEVER),
    };
    let place = token as usize;
    if place >= tokens.len() {
        tokens.resize(place + 1, None);
    }
    let known = tokens[place].is_some_and(|fate| fate.invoked_at < NEVER);
    if invoked_at == NEVER && known {
        return true;
    }
    let levels = [None; 3];
    tokens[place] = Some(Fate { invoked_at, returned_at, expires_at, owner, parent, levels });
    !known
}

/// The token that is spoken of, other than one that is issued.
const fn named(act: Act) -> Option<u32> {
    match act {
        Act::Connect { token }
        | Act::Deactivate { whom: Subject::Token(token), .. }
        | Act::Reactivate { whom: Subject::Token(token) }
        | Act::Revoke { token, .. }
        | Act::Verify { token, .. } => Some(token),
        Act::Issue { parent, .. } => parent,
        Act::Deactivate { .. } | Act::Reactivate { .. } | Act::RevokeAll { .. } => None,
    }
}

fn is_malformed(operation: &Operation) -> bool {
    let has_returned = operation.returned_at < NEVER;
    let fits = match (operation.act, operation.outcome) {
        (_, Outcome::Indeterminate) | (Act::Connect { .. }, Outcome::Accepted) => true,
        (Act::Connect { .. } | Act::Verify { .. }, Outcome::Done) => false,
        (act, Outcome::Accepted) => has_returned && matches!(act, Act::Verify { .. }),
        _ => has_returned,
    };
    !fits || operation.returned_at < operation.invoked_at
}
