//! No more than so many messages a second.

use std::time::Duration;

use tokio::time::Instant;

/// A number of messages and the time they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    count: u32,
    per: Duration,
}

impl Rate {
    /// Reads `200/s`, `5/m`, `1/h` or `200` (a second).
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let per = match unit.trim() {
            "s" | "sec" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            _ => return Err("after / comes s, m or h".to_owned()),
        };
        match count.trim().parse() {
            Ok(count) if count > 0 => Ok(Self {
                count,
                per: Duration::from_secs(per),
            }),
            _ => Err("write a number of messages, like 200/s".to_owned()),
        }
    }

    /// When message number `nth`, counted from 0, may leave after the start.
    pub(crate) fn due(self, nth: u64) -> Duration {
        let nanos = u128::from(nth) * self.per.as_nanos() / u128::from(self.count);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// Keeps to a rate, or to none. Time that was not used is not made up for: after a pause messages leave at the rate,
/// not all at once.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: Option<Rate>,
    /// When the count began.
    began: Instant,
    sent: u64,
}

/// How many messages may leave at once to catch up with a clock that ticks in milliseconds.
const SLACK: Duration = Duration::from_millis(100);

impl Pace {
    pub(crate) fn new(rate: Option<Rate>, now: Instant) -> Self {
        Self {
            rate,
            began: now,
            sent: 0,
        }
    }

    /// How many messages may leave now, at most `wanted`.
    pub(crate) fn allowed(&mut self, wanted: usize, now: Instant) -> usize {
        let Some(rate) = self.rate else { return wanted };
        let elapsed = now.saturating_duration_since(self.began);
        if rate.due(self.sent) + SLACK < elapsed {
            self.began = now;
            self.sent = 0;
        }
        let elapsed = now.saturating_duration_since(self.began);
        let mut allowed = 0;
        while allowed < wanted && rate.due(self.sent + allowed as u64) <= elapsed {
            allowed += 1;
        }
        allowed
    }

    /// So many have left.
    pub(crate) fn left(&mut self, count: usize) {
        self.sent += count as u64;
    }

    /// When the next one may leave, if there is a rate.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.rate.map(|rate| self.began + rate.due(self.sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let due = |text: &str, nth| Rate::parse(text).unwrap().due(nth);
        assert_eq!(due("200/s", 1), Duration::from_millis(5));
        assert_eq!(due("200", 200), Duration::from_secs(1));
        assert_eq!(due("1/m", 2), Duration::from_mins(2));
        for bad in ["", "0/s", "x", "5/y", "-1/s", "1.5/s"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(Some(Rate::parse("100/s").unwrap()), start);
        assert_eq!(pace.allowed(50, at(0)), 1);
        pace.left(1);
        assert_eq!(pace.allowed(50, at(5)), 0);
        assert_eq!(pace.next_at(), Some(at(10)));
        assert_eq!(pace.allowed(50, at(30)), 3);
        pace.left(3);
        assert_eq!(pace.allowed(50, at(10_000)), 1);
        let mut free = Pace::new(None, start);
        assert_eq!(free.allowed(50, start), 50);
        assert_eq!(free.next_at(), None);
    }
}
