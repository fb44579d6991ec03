//! The time steps around the present one.

/// Which time steps' codes are taken, of 30 seconds each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Window {
    /// How many steps before the present one.
    pub earlier: u8,
    /// How many after it.
    pub later: u8,
    /// How many steps an owner's clock may be known to be wrong: where an answer shows that it is,
    /// the window lies around that step too (RFC 6238, section 6). Zero goes by our clock alone.
    pub longest_drift: u8,
}

impl Window {
    /// The present step alone: a code lives 30 seconds at the most (OWASP ASVS 5.0, 6.5.5).
    #[must_use]
    pub const fn strict() -> Self {
        Self { earlier: 0, later: 0, longest_drift: 0 }
    }

    /// The present step and the one before it, since typing takes time (RFC 6238, section 5.2); of
    /// a clock that is wrong, up to two minutes are learnt.
    #[must_use]
    pub const fn usual() -> Self {
        Self { earlier: 1, later: 0, longest_drift: 4 }
    }

    /// The present step, the one before and the one after it, as Rocket.Chat takes them.
    #[must_use]
    pub const fn lenient() -> Self {
        Self { earlier: 1, later: 1, longest_drift: 0 }
    }

    /// The steps whose codes are taken. How many there are depends on the window alone, so that
    /// the work does not tell how wrong somebody's clock is.
    pub(super) fn steps(self, now: u64, drift: i8) -> impl Iterator<Item = u64> {
        let around = move |center: i64| {
            let (earlier, later) = (i64::from(self.earlier), i64::from(self.later));
            (earlier.saturating_neg()..=later).map(move |by| center.saturating_add(by))
        };
        let drifted = (self.longest_drift > 0).then(|| around(i64::from(drift)));
        let all = around(0).chain(drifted.into_iter().flatten());
        all.map(move |by| now.saturating_add_signed(by))
    }

    /// Somebody who has just been given a seed proves only that it arrived, so that its clock may
    /// be as wrong as is ever learnt.
    pub(super) fn at_enrolment(self) -> Self {
        let wide = |steps: u8| steps.max(self.longest_drift);
        Self { earlier: wide(self.earlier), later: wide(self.later), longest_drift: 0 }
    }

    /// The drift that an answer of this step shows. It may only have taken a while, which does no
    /// harm: the present step is always in the window too.
    pub(super) fn drift(self, now: u64, step: u64) -> i8 {
        let by = i64::try_from(step)
            .unwrap_or(i64::MAX)
            .saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
        let longest = i64::from(self.longest_drift);
        let by = by.clamp(longest.saturating_neg(), longest);
        i8::try_from(by).unwrap_or_default()
    }
}
