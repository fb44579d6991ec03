//! One of the things that a token hangs on, and when it was certainly off or certainly on.

use std::collections::BTreeMap;

use super::spans::{Least, Span, Spans};
use super::{NEVER, Nanos, Operation, Outcome};

/// An operation that may have taken effect between two instants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect {
    invoked_at: Nanos,
    /// By then it had: [`NEVER`] if it is not known to, and a span that starts then contains
    /// nothing.
    done_at: Nanos,
    place: usize,
    node: u16,
    fenced: bool,
}

impl Effect {
    pub(crate) fn of(place: usize, operation: &Operation, fenced: bool) -> Option<Self> {
        let done_at = match operation.outcome {
            Outcome::Refused(_) => return None,
            Outcome::Done => operation.returned_at,
            _ => NEVER,
        };
        let Operation { invoked_at, node, .. } = *operation;
        Some(Self { invoked_at, done_at, place, node, fenced })
    }

    const fn lasts_until(&self, end: Nanos) -> Span {
        Span { start: self.done_at, end, place: self.place }
    }
}

/// The same of all narrowings, of those that were fenced, and of those of each node.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByReach<T> {
    pub(crate) everywhere: T,
    pub(crate) fenced: T,
    pub(crate) on_node: BTreeMap<u16, T>,
}

impl<T> ByReach<T> {
    fn new(effects: &[Effect], make: impl Fn(&mut dyn Iterator<Item = &Effect>) -> T) -> Self {
        let mut nodes: BTreeMap<u16, Vec<&Effect>> = BTreeMap::new();
        for effect in effects {
            nodes.entry(effect.node).or_default().push(effect);
        }
        Self {
            everywhere: make(&mut effects.iter()),
            fenced: make(&mut effects.iter().filter(|effect| effect.fenced)),
            on_node: nodes
                .into_iter()
                .map(|(node, effects)| (node, make(&mut effects.into_iter())))
                .collect(),
        }
    }
}

/// A span ends where the first operation was invoked that may have ended it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) off: ByReach<Spans>,
    /// When it had been off everywhere for longer than the bound.
    pub(crate) overdue: Spans,
    pub(crate) on: Spans,
}

impl Level {
    /// It begins on, is turned off and on again.
    pub(crate) fn switched(offs: &[Effect], ons: &[Effect], bound: Nanos) -> Self {
        let (next_on, next_off) = (invocations(ons), invocations(offs));
        // What was done when this was invoked came before it.
        let end = |next: &Least<Nanos>, effect: &Effect| {
            next.since(effect.invoked_at.saturating_add(1)).unwrap_or(NEVER)
        };
        let off = ByReach::new(offs, |offs| {
            Spans::new(offs.map(|off| off.lasts_until(end(&next_on, off))))
        });
        let again = ons.iter().map(|on| on.lasts_until(end(&next_off, on)));
        let first = initially_until(next_off.since(0).unwrap_or(NEVER));
        Self { overdue: overdue(&off.everywhere, bound), off, on: Spans::new(again.chain([first])) }
    }

    /// It begins on and may be ended for good by any of these: `None` if none can have done it.
    pub(crate) fn ended(sources: &[Source<'_>], bound: Nanos) -> Option<Self> {
        let possible = |source: &Source<'_>| source.endings.possible.since(source.returned_from);
        let may_end_at = sources.iter().filter_map(possible).min()?;
        let first = |pick: &dyn Fn(&Certain) -> Option<&Least<Span>>| {
            Spans::new(
                sources
                    .iter()
                    .filter_map(|source| pick(&source.endings.certain)?.since(source.invoked_from)),
            )
        };
        let nodes = sources.iter().flat_map(|source| source.endings.certain.on_node.keys());
        let off = ByReach {
            everywhere: first(&|certain| Some(&certain.everywhere)),
            fenced: first(&|certain| Some(&certain.fenced)),
            on_node: nodes
                .map(|node| (*node, first(&|certain| certain.on_node.get(node))))
                .collect(),
        };
        let on = Spans::new([initially_until(may_end_at)]);
        Some(Self { overdue: overdue(&off.everywhere, bound), off, on })
    }
}

type Certain = ByReach<Least<Span>>;

/// What may end tokens for good.
#[derive(Clone, Debug)]
pub(crate) struct Endings {
    /// By invocation.
    certain: Certain,
    /// Invocations, by return.
    possible: Least<Nanos>,
}

impl Endings {
    pub(crate) fn new(effects: &[Effect]) -> Self {
        let certain = ByReach::new(effects, |effects| {
            Least::new(effects.map(|effect| (effect.invoked_at, effect.lasts_until(NEVER))))
        });
        Self { certain, possible: invocations(effects) }
    }
}

/// Those of the endings that concern a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) endings: &'a Endings,
    /// What returned from then on may have ended it.
    pub(crate) returned_from: Nanos,
    /// What was invoked from then on certainly did, once it was done.
    pub(crate) invoked_from: Nanos,
}

fn invocations(effects: &[Effect]) -> Least<Nanos> {
    Least::new(effects.iter().map(|effect| (effect.done_at, effect.invoked_at)))
}

const fn initially_until(end: Nanos) -> Span {
    Span { start: 0, end, place: 0 }
}

fn overdue(off: &Spans, bound: Nanos) -> Spans {
    Spans::new(off.iter().map(|span| Span { start: span.start.saturating_add(bound), ..*span }))
}
