//! Stretches of time, kept so that the one that matters is found by halving.

use super::Nanos;

/// Lasts from `start` to `end`, because of the operation in this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: Nanos,
    pub(crate) end: Nanos,
    pub(crate) place: usize,
}

/// Spans in the order of their starts and of their ends: none lies in an earlier one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(Vec<Span>);

impl Spans {
    pub(crate) fn new(spans: impl IntoIterator<Item = Span>) -> Self {
        let mut spans: Vec<_> = spans.into_iter().filter(|span| span.start <= span.end).collect();
        spans.sort_unstable();
        let mut end = None;
        spans.retain(|span| {
            let is_news = end.is_none_or(|end| span.end > end);
            if is_news {
                end = Some(span.end);
            }
            is_news
        });
        spans.shrink_to_fit();
        Self(spans)
    }

    /// One that contains all of this.
    pub(crate) fn around(&self, from: Nanos, to: Nanos) -> Option<&Span> {
        let begun = self.0.partition_point(|span| span.start <= from);
        self.0.get(..begun)?.last().filter(|span| span.end >= to)
    }

    /// One of which an instant lies in this, the last instant excepted.
    pub(crate) fn within(&self, from: Nanos, to: Nanos) -> Option<&Span> {
        let over = self.0.partition_point(|span| span.end < from);
        self.0.get(over).filter(|span| span.start < to && from < to)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.0.iter()
    }
}

/// What came at which time, kept so as to tell the least of all that came then or later.
#[derive(Clone, Debug, Default)]
pub(crate) struct Least<T>(Vec<(Nanos, T)>);

impl<T: Copy + Ord> Least<T> {
    pub(crate) fn new(values: impl IntoIterator<Item = (Nanos, T)>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable();
        let mut least: Option<T> = None;
        for (_, value) in values.iter_mut().rev() {
            *value = least.map_or(*value, |least| least.min(*value));
            least = Some(*value);
        }
        Self(values)
    }

    pub(crate) fn since(&self, at: Nanos) -> Option<T> {
        let earlier = self.0.partition_point(|(came_at, _)| *came_at < at);
        self.0.get(earlier).map(|(_, least)| *least)
    }
}
