//! Looks at a whole log as fast as the machine can: its files side by side.
//!
//! Each file of the log is a walk of its own, which gathers what it finds in a place of its own. Nothing is shared
//! while the walks run, so whoever asks puts the parts together afterwards, in the order of the files.

use std::ops::ControlFlow;

use crate::base::LogOffset;
use crate::store::layout::SegmentFile;
use crate::store::log::walk::{Damage, Item, Reason, Walk};
use crate::sys::worker;

/// More threads than this gain nothing: the memory is busy.
const THREADS_MAX: usize = 4;

/// How a log is surveyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Bodies are not compared with their checksums.
    pub trust_bodies: bool,
    /// One file after the other: for what must come in order.
    pub in_order: bool,
}

/// Walks all `files`, ordered by position. For each `begin` makes what `each` is called with for everything found in that
/// file; these come back in the order of the files. When `each` breaks, its file is left; it should then break for the
/// others, too.
pub fn survey<T: Send>(
    files: &[SegmentFile],
    how: Survey,
    begin: impl Fn() -> T + Sync,
    each: impl Fn(&mut T, Item<'_>) -> ControlFlow<()> + Sync,
) -> Vec<T> {
    let threads = if how.in_order {
        1
    } else {
        worker::cores().min(THREADS_MAX)
    };
    worker::side_by_side(files.len(), threads, |number| {
        let mut gathered = begin();
        let next = files.get(number + 1);
        let Some(file) = files.get(number) else {
            return gathered;
        };
        let mut file = file.clone();
        if let Some(next) = next {
            // A file reaches at most to the next one's first byte.
            file.len = file.len.min(next.base.saturating_sub(file.base));
        }
        let end = file.end();
        let mut walk = Walk::over_files(&[file]).trusting_bodies(how.trust_bodies);
        while let Some(item) = walk.next_item() {
            if each(&mut gathered, item).is_break() {
                return gathered;
            }
        }
        if let Some(next) = next.filter(|next| next.base > end) {
            // Nothing comes behind it in this walk.
            let _ = each(
                &mut gathered,
                Item::Damaged(Damage {
                    at: LogOffset::new(end),
                    until: LogOffset::new(next.base),
                    last_in_file: true,
                    reason: Reason::Missing,
                    record: None,
                    bytes: &[],
                }),
            );
        }
        gathered
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::layout::segment_name;

    #[test]
    fn parts_come_in_the_order_of_the_files_with_the_gaps_between_them() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<SegmentFile> = [0, 1000, 3000, 4000]
            .into_iter()
            .map(|base| {
                let path = dir.path().join(segment_name(base));
                std::fs::write(&path, vec![0; 1000]).unwrap();
                SegmentFile {
                    base,
                    len: 1000,
                    path,
                }
            })
            .collect();
        for in_order in [true, false] {
            let how = Survey {
                in_order,
                ..Survey::default()
            };
            let found = survey(&files, how, Vec::new, |found, item| {
                found.push(match item {
                    Item::End { at } => (at.get(), at.get()),
                    Item::Damaged(damage) => (damage.at.get(), damage.until.get()),
                    other => panic!("{other:?}"),
                });
                ControlFlow::Continue(())
            });
            let expected = [
                vec![(0, 0)],
                vec![(1000, 1000), (2000, 3000)],
                vec![(3000, 3000)],
                vec![(4000, 4000)],
            ];
            assert_eq!(found, expected);
        }
    }
}
