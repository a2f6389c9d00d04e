//! From a send to the timer topic: when a message is to be delivered, and what is stored to remember that.

use crate::base::QueueId;
use crate::broker::options::BrokerOptions;
use crate::message::properties::write_pair;
use crate::message::{Properties, names};
use crate::protocol::codes::ResponseCode;

use crate::broker::handlers::Refusal;

/// What becomes of a message that asks for a time of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    /// It is due already, or was delivered by a timer before: it goes to its own topic.
    Now,
    /// It waits in the timer topic. The tick at which it is due begins behind this one, ms since 1970.
    Later {
        /// `TIMER_OUT_MS`.
        out_ms: i64,
    },
}

/// Reads the time a message asks for, by Apache's rules (`HookUtils.transformTimerMessage`): seconds before milliseconds
/// before a time of day. A delay level has been dealt with before.
pub(crate) fn timing(
    properties: Properties<'_>,
    options: &BrokerOptions,
    now_ms: i64,
) -> Result<Timing, Refusal> {
    if properties.get(names::TIMER_OUT_MS).is_some() {
        return Ok(Timing::Now);
    }
    // A number too large to be a time is refused like one that is only too far away.
    let number =
        |text: &str| -> Result<i64, Refusal> { text.parse().map_err(|_| illegal(options)) };
    let deliver_ms = if let Some(seconds) = properties.get(names::TIMER_DELAY_SEC) {
        now_ms.saturating_add(number(seconds)?.saturating_mul(1000))
    } else if let Some(delay_ms) = properties.get(names::TIMER_DELAY_MS) {
        now_ms.saturating_add(number(delay_ms)?)
    } else if let Some(at_ms) = properties.get(names::TIMER_DELIVER_MS) {
        number(at_ms)?
    } else {
        return Ok(Timing::Now);
    };
    if !options.timer_wheel_enable {
        return Err(Refusal::error(
            "accurate timer message is not enabled, timerWheelEnable is false",
        ));
    }
    if deliver_ms <= now_ms {
        return if properties.get(names::TIMER_DEL_UNIQKEY).is_some() {
            Err(illegal(options))
        } else {
            Ok(Timing::Now)
        };
    }
    if deliver_ms.saturating_sub(now_ms) > options.timer_max_delay_ms() {
        return Err(illegal(options));
    }
    // A message for a whole tick waits in the slot before, because a slot is delivered when it is over.
    let precision_ms = options.timer_precision_ms();
    let out_ms = (deliver_ms - 1).div_euclid(precision_ms) * precision_ms;
    Ok(Timing::Later { out_ms })
}

fn illegal(options: &BrokerOptions) -> Refusal {
    Refusal::new(
        ResponseCode::MESSAGE_ILLEGAL,
        format!(
            "timer message illegal, the delay time should not be bigger than the max delay {}ms; or if set del msg, the delay time should be bigger than the current time",
            options.timer_max_delay_ms()
        ),
    )
}

/// What a producer is told whose message is due at a tick with too many others.
pub(crate) fn congested(limit: i32) -> Refusal {
    let twice = i64::from(limit) * 2;
    Refusal::error(format!(
        "timer message is under flow control, max num limit is {twice} or the current value is greater than {limit} and less than {twice}, trigger random flow control"
    ))
}

/// Adds what a message in the timer topic must remember. It goes to queue 0 there.
pub(crate) fn remember(wire: &mut Vec<u8>, out_ms: i64, topic: &str, queue: QueueId) {
    write_pair(wire, names::TIMER_OUT_MS, &out_ms.to_string());
    write_pair(wire, names::REAL_TOPIC, topic);
    write_pair(wire, names::REAL_QID, &queue.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOptions;

    const NOW: i64 = 1_795_313_694_951;

    fn asked(pairs: &[(&str, &str)]) -> Result<Timing, ResponseCode> {
        let options = BrokerOptions::new(StoreOptions::new("store"));
        let mut wire = Vec::new();
        for (name, value) in pairs {
            write_pair(&mut wire, name, value);
        }
        timing(Properties::new(&wire), &options, NOW).map_err(|refusal| refusal.code)
    }

    #[test]
    fn times_are_cut_down_to_the_tick_before() {
        let later = |out_ms| Ok(Timing::Later { out_ms });
        assert_eq!(
            asked(&[("TIMER_DELIVER_MS", "1795313696575")]),
            later(1_795_313_696_000)
        );
        assert_eq!(
            asked(&[("TIMER_DELIVER_MS", "1795313696000")]),
            later(1_795_313_695_000)
        );
        assert_eq!(
            asked(&[("TIMER_DELAY_MS", "3000")]),
            later(1_795_313_697_000)
        );
        let several = [
            ("TIMER_DELIVER_MS", "1"),
            ("TIMER_DELAY_MS", "2"),
            ("TIMER_DELAY_SEC", "7"),
        ];
        assert_eq!(asked(&several), later(1_795_313_701_000));
    }

    #[test]
    fn what_is_past_goes_at_once_and_what_is_too_far_is_refused() {
        assert_eq!(asked(&[("TIMER_DELAY_SEC", "-5")]), Ok(Timing::Now));
        assert_eq!(asked(&[("TIMER_DELIVER_MS", "5")]), Ok(Timing::Now));
        assert_eq!(asked(&[("TIMER_DELAY_MS", "0")]), Ok(Timing::Now));
        assert_eq!(
            asked(&[("TIMER_OUT_MS", "9"), ("TIMER_DELAY_SEC", "5")]),
            Ok(Timing::Now)
        );
        let bad = Err(ResponseCode::MESSAGE_ILLEGAL);
        assert!(asked(&[("TIMER_DELAY_SEC", "259200")]).is_ok());
        for text in [
            "259201",
            "9223372036854775807",
            "9223372036854775808",
            "soon",
        ] {
            assert_eq!(asked(&[("TIMER_DELAY_SEC", text)]), bad, "{text}");
        }
        let deletion = [("TIMER_DELIVER_MS", "5"), ("TIMER_DEL_UNIQKEY", "k")];
        assert_eq!(asked(&deletion), bad);
    }
}
