//! Whether the timer's slots lead to the messages they count.

use super::{Finding, Looked, Sink};
use crate::store::timer::format::{Check, KIND_DELETE};
use crate::store::{View, ViewError};

/// A slot with more messages than this is followed so far and no further.
const UNITS_MAX: usize = 1 << 20;

/// Looks at every slot that is still to come.
pub(super) fn check(
    view: &View,
    looked: &mut Looked,
    sink: &mut Sink<'_>,
) -> Result<(), ViewError> {
    let mut timer = view.timer()?;
    let Some(Check { read_ms, .. }) = timer.check() else {
        return Ok(());
    };
    let mut waiting = Vec::new();
    let mut misplaced = Vec::new();
    timer.slots(|slot, at_home| {
        if !at_home {
            misplaced.push(slot.time);
        } else if slot.last >= 0 {
            waiting.push(slot);
        }
    })?;
    for time in misplaced {
        sink.found(Finding::Timer {
            slot_ms: time,
            problem: "it lies in another slot's place".to_owned(),
        });
    }
    for slot in waiting {
        if sink.stopped {
            break;
        }
        let (units, whole) = timer.list(&slot, UNITS_MAX)?;
        // The slot's own time is divided by a precision that only the units tell.
        let slot_ms = units.first().map_or(slot.time, |(_, unit)| unit.slot_ms());
        if slot_ms < read_ms {
            continue;
        }
        looked.timer_slots += 1;
        let count: i64 = units
            .iter()
            .map(|(_, unit)| if unit.kind & KIND_DELETE == 0 { 1 } else { -1 })
            .sum();
        let full = units.len() >= UNITS_MAX;
        let problem = if !whole && !full {
            format!(
                "its list breaks off after {} of {} messages",
                units.len(),
                slot.count
            )
        } else if !full && count != i64::from(slot.count) {
            format!("it counts {} messages, its list has {count}", slot.count)
        } else {
            continue;
        };
        sink.found(Finding::Timer { slot_ms, problem });
    }
    Ok(())
}
