//! Which half messages have ended: the only thing kept in memory about transactions.
//!
//! Half messages are numbered by their place in the half queue. From the place the check service has reached ([`base`])
//! on, every half message has two bits here, so a million open ones cost 250 kB and no more whatever their size. Below
//! it nothing is open: each message there has ended, was put back under a new number, or was given up.
//!
//! A message that is put back for another check keeps its identity: [`Table::put_back`] links the old number to the new
//! one, and an answer that names any of them ends the newest. Only the last [`MOVES_MAX`] links are kept, and none over a
//! restart; therefore every copy also carries the number of the first ([`Name`]), an end is noted for that one as well,
//! and the check service drops a copy whose first has ended.
//!
//! The op queue hears of an end a moment later than its commit is stored. What was stored before this start and is open
//! may therefore be committed all the same ([`Table::is_doubtful`]).
//!
//! [`base`]: Table::base

use std::collections::{BTreeMap, VecDeque};

/// Links of messages that were put back: 16 bytes each.
const MOVES_MAX: usize = 1 << 20;
/// Rollbacks and late answers that are remembered.
const LATE_MAX: usize = 1 << 16;
/// States in one word.
const PER_WORD: u64 = 32;

/// What is known of a half message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has decided.
    Open,
    /// Its commit is being stored.
    Claimed,
    /// The commit is stored.
    Committed,
    /// Rolled back, or ended before this broker started: the op queue does not say how.
    Over,
}

impl State {
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Open,
            1 => Self::Claimed,
            2 => Self::Committed,
            _ => Self::Over,
        }
    }

    fn bits(self) -> u64 {
        match self {
            Self::Open => 0,
            Self::Claimed => 1,
            Self::Committed => 2,
            Self::Over => 3,
        }
    }

    /// Whether nobody needs to be asked any more.
    pub(super) fn is_over(self) -> bool {
        matches!(self, Self::Committed | Self::Over)
    }
}

/// What an answer, or a stored copy, names a transaction by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The number of the copy.
    pub(crate) number: u64,
    /// The number it was first stored under; the same for one that was never put back.
    pub(crate) first: u64,
}

impl Name {
    /// A message that was never put back.
    #[cfg(test)]
    pub(super) fn first(number: u64) -> Self {
        Self {
            number,
            first: number,
        }
    }
}

/// An end the op queue is to be told.
#[derive(Clone, Copy, Debug)]
struct End {
    number: u64,
    /// The op record matters until the check service has passed this number.
    until: u64,
}

/// An op record in the op queue.
#[derive(Clone, Copy, Debug)]
struct Op {
    offset: u64,
    /// The largest half number it matters for.
    last: u64,
}

/// The state of all half messages that may still be open.
#[derive(Debug, Default)]
pub(super) struct Table {
    base: u64,
    /// Two bits a number, from the word of `base` on.
    states: VecDeque<u64>,
    /// Old and new number, ascending by the old one.
    moves: VecDeque<(u64, u64)>,
    /// Rollbacks below `base`, and ends of numbers there that led nowhere; the newest [`LATE_MAX`].
    late: BTreeMap<u64, State>,
    /// Ended, but not yet said so in the op queue.
    unsaid: VecDeque<End>,
    /// What has a smaller number was stored before this start.
    start: u64,
    /// The largest number there is known to be.
    end: u64,
    /// Op records that name a number at or above `base`.
    ops: VecDeque<Op>,
    /// Where the first op record is that has not been dealt with, when `ops` is empty.
    next_op: u64,
}

impl Table {
    /// A table that begins where the consumer offsets of the half and the op queue stand; the half queue ends at `end`.
    pub(super) fn new(base: u64, op: u64, end: u64) -> Self {
        Self {
            base,
            next_op: op,
            start: end,
            end,
            ..Self::default()
        }
    }

    /// All numbers below are dealt with.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// All op records below are dealt with.
    pub(super) fn op_base(&self) -> u64 {
        self.ops.front().map_or(self.next_op, |op| op.offset)
    }

    fn place(&self, number: u64) -> Option<(usize, u64)> {
        let word = (number / PER_WORD).checked_sub(self.base / PER_WORD)?;
        Some((usize::try_from(word).ok()?, number % PER_WORD * 2))
    }

    /// The state of one number.
    pub(super) fn state(&self, number: u64) -> State {
        if number < self.base {
            return self.late.get(&number).copied().unwrap_or(State::Open);
        }
        let word = self
            .place(number)
            .and_then(|(word, shift)| Some(*self.states.get(word)? >> shift));
        State::from_bits(word.unwrap_or(0))
    }

    /// From here on all is open.
    fn states_end(&self) -> u64 {
        let words = u64::try_from(self.states.len()).unwrap_or(u64::MAX);
        (self.base / PER_WORD)
            .saturating_add(words)
            .saturating_mul(PER_WORD)
    }

    fn set(&mut self, number: u64, state: State) {
        if number < self.base {
            self.late.insert(number, state);
            if state == State::Open {
                self.late.remove(&number);
            } else if self.late.len() > LATE_MAX {
                self.late.pop_first();
            }
            return;
        }
        let Some((word, shift)) = self.place(number) else {
            return;
        };
        if word >= self.states.len() {
            self.states.resize(word + 1, 0);
        }
        if let Some(place) = self.states.get_mut(word) {
            *place = *place & !(3 << shift) | state.bits() << shift;
        }
    }

    /// The number the message has now.
    pub(super) fn newest(&self, number: u64) -> u64 {
        let mut number = number;
        // New numbers are larger than old ones, so this ends.
        while let Ok(at) = self.moves.binary_search_by_key(&number, |&(old, _)| old) {
            match self.moves.get(at) {
                Some(&(_, new)) if new > number => number = new,
                _ => break,
            }
        }
        number
    }

    /// All numbers known to be of one transaction.
    fn aliases(&self, name: Name) -> impl Iterator<Item = u64> + use<> {
        let newest = self.newest(name.number);
        let number = (name.number != newest).then_some(name.number);
        let first = (name.first != newest && name.first != name.number).then_some(name.first);
        [Some(newest), number, first].into_iter().flatten()
    }

    /// The state of a transaction: the furthest that any of its copies has come.
    pub(super) fn state_of(&self, name: Name) -> State {
        let states = self.aliases(name).map(|number| self.state(number));
        states
            .max_by_key(|state| state.bits())
            .unwrap_or(State::Open)
    }

    /// Begins to end a transaction. Returns the state it had: only if that was [`State::Open`] it is claimed now, and
    /// [`Table::release`] or [`Table::end`] must follow.
    pub(super) fn claim(&mut self, name: Name) -> State {
        let state = self.state_of(name);
        if state == State::Open {
            for number in self.aliases(name) {
                self.set(number, State::Claimed);
            }
        }
        state
    }

    /// Whether a transaction that is open may be committed all the same: its commit was stored before this start, or the
    /// check service has dealt with it in a way that is not known any more.
    pub(super) fn is_doubtful(&self, name: Name) -> bool {
        let newest = self.newest(name.number);
        let forgotten = newest < self.base && !self.late.contains_key(&newest);
        forgotten || name.first.min(name.number) < self.start
    }

    /// Gives a claim up: the commit could not be stored.
    pub(super) fn release(&mut self, name: Name) {
        for number in self.aliases(name) {
            self.set(number, State::Open);
        }
    }

    /// Ends a transaction; the op queue is to hear of it.
    pub(super) fn end(&mut self, name: Name, state: State) {
        self.end = self.end.max(name.number);
        // A copy that is not known here may be anywhere up to the end: it is found ended by its first number.
        let until = if name.first == name.number {
            None
        } else {
            Some(self.end)
        };
        for number in self.aliases(name) {
            self.set(number, state);
            self.unsaid.push_back(End {
                number,
                until: until.unwrap_or(number),
            });
        }
    }

    /// A message was stored again as `new` because its producer is asked. Says whether it is still open: it may have
    /// been ended while it was being stored.
    pub(super) fn put_back(&mut self, old: u64, new: u64) -> bool {
        let state = self.state(old);
        match self.moves.back() {
            // The check service walks upwards; anything else would break the search.
            Some(&(last, _)) if last >= old => {}
            _ => self.moves.push_back((old, new)),
        }
        if self.moves.len() > MOVES_MAX {
            self.moves.pop_front();
        }
        self.end = self.end.max(new);
        match state {
            State::Open => true,
            State::Claimed => {
                self.set(new, State::Claimed);
                false
            }
            State::Committed | State::Over => {
                self.set(new, state);
                self.unsaid.push_back(End {
                    number: new,
                    until: new,
                });
                false
            }
        }
    }

    /// The check service has dealt with everything below `base`.
    pub(super) fn advance(&mut self, base: u64) {
        if base <= self.base {
            return;
        }
        // A commit after a rollback is refused for longer than the question is open.
        for number in self.base..base.min(self.states_end()) {
            if self.state(number) == State::Over {
                self.late.insert(number, State::Over);
            }
        }
        while self.late.len() > LATE_MAX {
            self.late.pop_first();
        }
        let words = (base / PER_WORD).saturating_sub(self.base / PER_WORD);
        let words = usize::try_from(words).unwrap_or(usize::MAX);
        self.states.drain(..words.min(self.states.len()));
        self.base = base;
        while self.ops.front().is_some_and(|op| op.last < base) {
            self.ops.pop_front();
        }
    }

    /// Numbers the op queue has not heard of, for one record of at most about `bytes_max` bytes; they stay until
    /// [`Table::said`].
    pub(super) fn unsaid(&self, bytes_max: usize) -> Vec<u64> {
        let mut bytes = 0;
        let fits = |number: &u64| {
            let goes_on = bytes < bytes_max;
            bytes += digits(*number) + 1;
            goes_on
        };
        let numbers = self.unsaid.iter().map(|end| end.number);
        numbers.take_while(fits).collect()
    }

    /// How many numbers the op queue has not heard of.
    pub(super) fn unsaid_len(&self) -> usize {
        self.unsaid.len()
    }

    /// The op queue has the first `count` of them, in the record at `offset`.
    pub(super) fn said(&mut self, count: usize, offset: u64) {
        let said = self.unsaid.drain(..count.min(self.unsaid.len()));
        let last = said.map(|end| end.until).max();
        self.note_op(offset, last.unwrap_or(0));
    }

    /// An op record found at start.
    pub(super) fn restore_op(&mut self, offset: u64, numbers: impl Iterator<Item = u64>) {
        let mut last = 0;
        for number in numbers {
            // The first number of a message whose copies are still ahead; see [`Table::end`].
            last = last.max(if number < self.base { self.end } else { number });
            self.set(number, State::Over);
        }
        self.note_op(offset, last);
    }

    fn note_op(&mut self, offset: u64, last: u64) {
        self.next_op = self.next_op.max(offset.saturating_add(1));
        if last >= self.base || !self.ops.is_empty() {
            self.ops.push_back(Op { offset, last });
        }
    }
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_known_until_the_check_has_passed_it() {
        let mut table = Table::new(100, 0, 100);
        assert_eq!(table.claim(Name::first(130)), State::Open);
        assert_eq!(table.claim(Name::first(130)), State::Claimed);
        table.release(Name::first(130));
        assert_eq!(table.claim(Name::first(130)), State::Open);
        table.end(Name::first(130), State::Committed);
        assert_eq!(table.state(130), State::Committed);
        assert_eq!(table.state(129), State::Open);
        assert_eq!(table.state(131), State::Open);
        table.advance(131);
        assert_eq!(table.state(130), State::Open);
        assert!(table.states.len() <= 1);
        assert_eq!(table.claim(Name::first(131)), State::Open);
    }

    #[test]
    fn an_answer_to_an_old_copy_ends_the_newest() {
        let mut table = Table::new(0, 0, 0);
        assert!(table.put_back(3, 7));
        table.advance(4);
        assert!(table.put_back(7, 9));
        table.advance(8);
        assert_eq!(table.newest(3), 9);
        assert_eq!(table.claim(Name::first(3)), State::Open);
        table.end(Name::first(3), State::Over);
        assert_eq!(table.state(9), State::Over);
        assert_eq!(table.claim(Name::first(7)), State::Over);
        assert_eq!(table.unsaid(100), [9, 3]);
    }

    #[test]
    fn an_end_during_a_check_ends_the_copy_too() {
        let mut table = Table::new(0, 0, 0);
        table.claim(Name::first(0));
        assert!(!table.put_back(0, 5));
        table.end(Name::first(0), State::Committed);
        assert_eq!(table.state(5), State::Committed);
        table.end(Name::first(1), State::Over);
        assert!(!table.put_back(1, 6));
        assert_eq!(table.state(6), State::Over);
    }

    #[test]
    fn op_records_are_done_when_all_they_name_is_passed() {
        let mut table = Table::new(0, 4, 0);
        for number in [0, 1, 2, 6, 9] {
            table.end(Name::first(number), State::Committed);
        }
        assert_eq!(table.unsaid(5), [0, 1, 2]);
        table.said(3, 4);
        assert_eq!(table.unsaid(100), [6, 9]);
        table.said(2, 5);
        assert_eq!(table.op_base(), 4);
        table.advance(3);
        assert_eq!(table.op_base(), 5);
        table.advance(9);
        assert_eq!(table.op_base(), 5);
        table.advance(10);
        assert_eq!(table.op_base(), 6);
        assert!(table.is_doubtful(Name::first(9)));
        assert_eq!(table.unsaid_len(), 0);
    }

    #[test]
    fn a_copy_ends_with_its_first_number() {
        // Numbers 0 to 8 were stored in an earlier life; 3 was put back as 7, and nobody knows any more.
        let mut table = Table::new(4, 0, 9);
        let copy = Name {
            number: 7,
            first: 3,
        };
        assert!(table.is_doubtful(copy));
        assert_eq!(table.claim(Name::first(3)), State::Open);
        table.end(Name::first(3), State::Over);
        assert_eq!(table.state_of(copy), State::Over);
        assert_eq!(table.claim(copy), State::Over);
        // The other way round: the copy's end is noted for the first number, and said for as long as copies may come.
        let mut table = Table::new(4, 0, 9);
        table.claim(copy);
        table.end(copy, State::Committed);
        assert_eq!(table.state(3), State::Committed);
        assert_eq!(table.unsaid(100), [7, 3]);
        table.said(2, 0);
        table.advance(9);
        assert_eq!(table.op_base(), 0);
        table.advance(10);
        assert_eq!(table.op_base(), 1);
        assert!(!table.is_doubtful(Name::first(10)));
    }

    #[test]
    fn a_rollback_is_remembered() {
        let mut table = Table::new(0, 0, 0);
        table.end(Name::first(5), State::Over);
        table.end(Name::first(6), State::Committed);
        table.advance(1_000_000);
        assert_eq!(table.claim(Name::first(5)), State::Over);
        assert!(table.is_doubtful(Name::first(6)) && !table.is_doubtful(Name::first(5)));
    }

    #[test]
    fn a_million_open_messages_are_a_quarter_megabyte() {
        let mut table = Table::new(0, 0, 0);
        table.end(Name::first(1_000_000), State::Committed);
        assert!(table.states.len() * 8 <= 250_016);
    }
}
