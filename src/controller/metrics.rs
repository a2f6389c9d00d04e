//! Figures for Prometheus.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Controller;

/// What a scrape of one controller gives.
pub(crate) struct ControllerMetrics(Arc<Controller>);

impl ControllerMetrics {
    /// Figures of `controller`.
    pub(crate) fn new(controller: Arc<Controller>) -> Self {
        Self(controller)
    }
}

impl fmt::Debug for ControllerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ControllerMetrics").finish_non_exhaustive()
    }
}

impl Collector for ControllerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let controller = &*self.0;
        let leadership = controller.consensus.leadership();
        let (names, masterless) = controller.consensus.look(|state| {
            let all = state.groups();
            all.fold((0_i64, 0_i64), |(all, none), (_, group)| {
                (all + 1, none + i64::from(group.master.is_none()))
            })
        });
        let alive = i64::try_from(controller.live.lock().len()).unwrap_or(i64::MAX);
        let term = i64::try_from(leadership.term).unwrap_or(i64::MAX);
        for (name, help, value) in [
            (
                "rmq_controller_leads",
                "1 if this controller leads the others",
                i64::from(leadership.is_own),
            ),
            (
                "rmq_controller_led",
                "1 if any controller is known to lead",
                i64::from(leadership.leader.is_some()),
            ),
            ("rmq_controller_term", "Raft's term", term),
            ("rmq_controller_brokers_alive", "Brokers heard from", alive),
            (
                "rmq_controller_broker_names",
                "Broker names registered",
                names,
            ),
            (
                "rmq_controller_broker_names_without_master",
                "Broker names without a master",
                masterless,
            ),
        ] {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)?;
        }
        let counters = &controller.counters;
        for (name, help, value) in [
            (
                "rmq_controller_leader_changes",
                "Times a controller became leader",
                &counters.leaders,
            ),
            (
                "rmq_controller_elections",
                "Masters elected through this controller",
                &counters.elected,
            ),
            (
                "rmq_controller_elections_failed",
                "Elections without a result",
                &counters.failed,
            ),
        ] {
            let counter = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value.load(Ordering::Relaxed)).encode(counter)?;
        }
        Ok(())
    }
}
