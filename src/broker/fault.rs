//! Faults that somebody asked for, to test what clients make of them: requests that are refused, late, lost, or answered
//! by the end of the connection.
//!
//! The same seed gives the same faults: whether the n-th request of an operation is hit depends on the seed and on n alone,
//! not on time or on what other operations do. A broker without faults looks at one `Option` for each read of a socket.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::handlers::Refusal;
use crate::base::units::parse_duration;
use crate::protocol::codes::{RequestCode as Code, ResponseCode};

/// Chances are counted in millionths.
const CERTAIN: u32 = 1_000_000;

/// Operations by the names people give them.
const OPERATIONS: [(&str, &[Code]); 11] = [
    (
        "send",
        &[
            Code::SEND_MESSAGE,
            Code::SEND_MESSAGE_V2,
            Code::SEND_BATCH_MESSAGE,
        ],
    ),
    ("pull", &[Code::PULL_MESSAGE, Code::LITE_PULL_MESSAGE]),
    ("pop", &[Code::POP_MESSAGE]),
    ("ack", &[Code::ACK_MESSAGE, Code::BATCH_ACK_MESSAGE]),
    ("invisible", &[Code::CHANGE_MESSAGE_INVISIBLETIME]),
    ("retry", &[Code::CONSUMER_SEND_MSG_BACK]),
    ("commit", &[Code::UPDATE_CONSUMER_OFFSET]),
    ("heartbeat", &[Code::HEART_BEAT]),
    ("lock", &[Code::LOCK_BATCH_MQ]),
    ("transaction", &[Code::END_TRANSACTION]),
    ("query", &[Code::QUERY_MESSAGE, Code::VIEW_MESSAGE_BY_ID]),
];

/// What happens to a request that is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is refused with this code.
    Refuse(ResponseCode),
    /// It is looked at later.
    Delay(Duration),
    /// It is not looked at, nor answered.
    Drop,
    /// Its connection ends.
    Close,
}

/// One `--fault`: `OPERATION:KIND[:CHANCE%][:xTIMES]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpec {
    text: String,
    /// Which requests; `None`: all of them.
    codes: Option<Vec<Code>>,
    fault: Fault,
    /// How many of a million.
    chance: u32,
    /// Only so many of the first requests can be hit.
    times: u64,
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for FaultSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let codes = operation(parts.next().unwrap_or_default())?;
        let fault = match parts.next().unwrap_or_default() {
            "busy" => Fault::Refuse(ResponseCode::SYSTEM_BUSY),
            "error" => Fault::Refuse(response(parts.next().unwrap_or_default())?),
            "delay" => {
                let delay = parse_duration(parts.next().unwrap_or_default());
                Fault::Delay(delay.map_err(|error| error.to_string())?)
            }
            "drop" => Fault::Drop,
            "close" => Fault::Close,
            other => {
                return Err(format!(
                    "{other:?} is no fault; there are busy, error:CODE, delay:TIME, drop and close"
                ));
            }
        };
        let (mut chance, mut times) = (CERTAIN, u64::MAX);
        for part in parts {
            if let Some(percent) = part.strip_suffix('%') {
                chance = chance_of(percent)?;
            } else if let Some(Ok(count)) = part.strip_prefix('x').map(str::parse) {
                times = count;
            } else {
                return Err(format!(
                    "{part:?}: write a chance (5%) or how many of the first requests (x3)"
                ));
            }
        }
        Ok(Self {
            text: text.to_owned(),
            codes,
            fault,
            chance,
            times,
        })
    }
}

fn operation(name: &str) -> Result<Option<Vec<Code>>, String> {
    if name == "all" {
        return Ok(None);
    }
    if let Ok(code) = name.parse() {
        return Ok(Some(vec![Code(code)]));
    }
    match OPERATIONS.iter().find(|(known, _)| *known == name) {
        Some((_, codes)) => Ok(Some(codes.to_vec())),
        None => Err(format!(
            "{name:?} is no operation; there are {}, all, or the number of a request",
            OPERATIONS.map(|(known, _)| known).join(", ")
        )),
    }
}

fn response(name: &str) -> Result<ResponseCode, String> {
    if let Ok(code) = name.parse() {
        return Ok(ResponseCode(code));
    }
    let named = |code: &&ResponseCode| {
        let known = code.name();
        known.is_some_and(|known| known.eq_ignore_ascii_case(name))
    };
    ResponseCode::ALL
        .iter()
        .find(named)
        .copied()
        .ok_or_else(|| format!("{name:?} is no response code; write its number or Apache's name"))
}

fn chance_of(percent: &str) -> Result<u32, String> {
    match percent.parse::<f64>() {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 100, and so from 0 to a million"
        )]
        Ok(share) if (0.0..=100.0).contains(&share) => Ok((share * 10_000.0).round() as u32),
        _ => Err(format!("{percent:?} is no chance from 0 to 100 percent")),
    }
}

/// The faults of one broker. Lock order: no lock.
#[derive(Debug)]
pub(crate) struct Faults {
    rules: Vec<Rule>,
    seed: u64,
    armed: AtomicBool,
}

#[derive(Debug)]
struct Rule {
    spec: FaultSpec,
    /// Requests that this rule has looked at.
    seen: AtomicU64,
}

impl Faults {
    /// `None` without rules. Nothing is hit before [`Faults::arm`].
    pub(crate) fn new(specs: &[FaultSpec], seed: u64) -> Option<Self> {
        let rule = |spec: &FaultSpec| Rule {
            spec: spec.clone(),
            seen: AtomicU64::new(0),
        };
        (!specs.is_empty()).then(|| Self {
            rules: specs.iter().map(rule).collect(),
            seed,
            armed: AtomicBool::new(false),
        })
    }

    /// From now on requests are hit.
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
    }

    /// What is to happen to the next request of this code: the first rule that hits it decides.
    pub(super) fn next(&self, code: Code) -> Option<Fault> {
        if !self.armed.load(Ordering::Relaxed) {
            return None;
        }
        let mut rules = (0_u64..).zip(&self.rules);
        rules.find_map(|(index, rule)| {
            let meant = rule.spec.codes.as_ref();
            if meant.is_some_and(|codes| !codes.contains(&code)) {
                return None;
            }
            let nth = rule.seen.fetch_add(1, Ordering::Relaxed);
            let drawn = mix(mix(self.seed ^ index.rotate_left(32)) ^ nth) % u64::from(CERTAIN);
            let hit = nth < rule.spec.times && drawn < u64::from(rule.spec.chance);
            hit.then_some(rule.spec.fault)
        })
    }
}

/// The answer to a request that a fault refuses.
pub(super) fn refusal(code: ResponseCode) -> Refusal {
    Refusal::new(code, "a fault that was asked for (rmq serve --fault)")
}

/// Spreads a number over all 64 bits (the finalizer of `SplitMix64`).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(specs: &[&str], seed: u64) -> Faults {
        let specs: Vec<FaultSpec> = specs.iter().map(|spec| spec.parse().unwrap()).collect();
        let faults = Faults::new(&specs, seed).unwrap();
        faults.arm();
        faults
    }

    fn hits(faults: &Faults, code: Code, count: usize) -> Vec<bool> {
        (0..count).map(|_| faults.next(code).is_some()).collect()
    }

    #[test]
    fn a_seed_is_a_fate() {
        let send = Code::SEND_MESSAGE_V2;
        let once = hits(&faults(&["send:busy:5%"], 7), send, 10_000);
        let again = faults(&["send:busy:5%"], 7);
        let mut mixed = Vec::new();
        for _ in 0..10_000 {
            // What others do in between does not matter.
            assert_eq!(again.next(Code::PULL_MESSAGE), None);
            mixed.push(again.next(send).is_some());
        }
        assert_eq!(once, mixed);
        let hit = once.iter().filter(|hit| **hit).count();
        assert!((400..600).contains(&hit), "{hit}");
        assert_ne!(once, hits(&faults(&["send:busy:5%"], 8), send, 10_000));
    }

    #[test]
    fn the_first_rule_that_hits_decides() {
        let faults = faults(&["pull:error:14:x2", "pull:delay:200ms", "all:drop"], 1);
        let pulled: Vec<_> = (0..3).map(|_| faults.next(Code::PULL_MESSAGE)).collect();
        let refused = Some(Fault::Refuse(ResponseCode::SERVICE_NOT_AVAILABLE));
        let late = Some(Fault::Delay(Duration::from_millis(200)));
        assert_eq!(pulled, [refused, refused, late]);
        assert_eq!(faults.next(Code::HEART_BEAT), Some(Fault::Drop));
    }

    #[test]
    fn nothing_is_hit_before_it_is_armed() {
        let faults = Faults::new(&["all:close".parse().unwrap()], 1).unwrap();
        assert_eq!(faults.next(Code::HEART_BEAT), None);
        faults.arm();
        assert_eq!(faults.next(Code::HEART_BEAT), Some(Fault::Close));
        assert!(Faults::new(&[], 1).is_none());
    }

    #[test]
    fn what_is_written_wrongly_is_told() {
        for (text, what) in [
            ("", "no operation"),
            (
                "sned:busy",
                "\"sned\" is no operation; there are send, pull",
            ),
            ("send", "is no fault"),
            ("send:burn", "\"burn\" is no fault"),
            ("send:error:no", "no response code"),
            ("send:delay:soon", "not a duration"),
            ("send:busy:101%", "no chance"),
            ("send:busy:NaN%", "no chance"),
            ("send:busy:5", "write a chance"),
        ] {
            let error = text.parse::<FaultSpec>().unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
        let named: FaultSpec = "310:error:flow_control:0.5%".parse().unwrap();
        assert_eq!(named.chance, 5_000);
        assert_eq!(named.fault, Fault::Refuse(ResponseCode::FLOW_CONTROL));
        assert_eq!(named.codes, Some(vec![Code::SEND_MESSAGE_V2]));
    }
}
