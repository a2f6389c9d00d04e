//! What a pull wants: the subscription of its group, or the one it brought along, and what that takes.

use std::sync::Arc;

use super::{FAQ, FLAG_SUBSCRIPTION, PullRefusal, Refusal, forbid, forbidden};
use crate::base::ids::RETRY_PREFIX;
use crate::broker::Broker;
use crate::broker::clients::Subscription;
use crate::broker::handlers::client::no_property_filter;
use crate::broker::options::BrokerOptions;
use crate::filter::{Filter, TAG_TYPE, TagFilter, is_tag_type};
use crate::message::{Record, names};
use crate::protocol::body::heartbeat::{MessageModel, SubscriptionData};
use crate::protocol::codes::ResponseCode;
use crate::protocol::header::pull::PullMessageRequestHeader;
use crate::store::{Candidate, Verdict};

/// How much evaluation one read may cost, in the unit of [`Filter::effort`]. Reached only by expressions of many
/// kilobytes over properties as large; the consumer asks again for the rest.
pub(crate) const EFFORT_MAX: u64 = 1 << 31;
use crate::sys::Clock;

/// Which messages a pull takes.
pub(super) struct Wanted {
    subscription: Arc<Subscription>,
    /// With `filterSupportRetry`, on a retry topic: the group's subscriptions, of which that of the topic a message was
    /// first sent to decides.
    originals: Option<Vec<Arc<Subscription>>>,
}

impl Wanted {
    /// Finds the subscription of a pull and checks that it can be served.
    pub(super) fn find(
        broker: &Broker,
        header: &PullMessageRequestHeader<'_>,
        broadcast_enabled: bool,
        options: &BrokerOptions,
    ) -> Result<Self, PullRefusal> {
        let subscription = subscription(broker, header, broadcast_enabled)?;
        check_filter(
            &subscription,
            header.sys_flag,
            options.enable_property_filter,
        )?;
        let originals = header
            .topic
            .strip_prefix(RETRY_PREFIX)
            .filter(|_| options.filter_support_retry)
            .filter(|_| matches!(subscription.filter, Ok(Filter::Sql(_))))
            .map(|group| {
                let clients = broker.clients.lock();
                let group = clients.group(group);
                let all = group.map(|group| group.subscriptions.values().map(Arc::clone));
                all.into_iter().flatten().collect()
            });
        Ok(Self {
            subscription,
            originals,
        })
    }

    /// Whether a message is taken, as far as the store shows it. `effort` adds up over one read.
    pub(super) fn takes(&self, candidate: Candidate<'_>, effort: &mut u64) -> Verdict {
        // A filter that cannot be compiled was refused before.
        let Ok(filter) = &self.subscription.filter else {
            return Verdict::Pass;
        };
        let record = match (candidate, filter) {
            (Candidate::Entry(tags_code), _) => return filter.takes_code(tags_code).into(),
            (Candidate::Record(_), Filter::Tags(_)) => return Verdict::Take,
            (Candidate::Record(record), Filter::Sql(_)) => record,
        };
        let Ok(Record { properties, .. }) = Record::parse(record) else {
            return Verdict::Pass;
        };
        let filter = match &self.originals {
            None => filter,
            Some(originals) => {
                let topic = properties.get(names::RETRY_TOPIC);
                let mut originals = originals.iter();
                let original =
                    originals.find(|original| Some(original.data.topic.as_str()) == topic);
                match original.map(|original| &original.filter) {
                    Some(Ok(filter)) => filter,
                    _ => return Verdict::Take,
                }
            }
        };
        if *effort > EFFORT_MAX {
            return Verdict::Stop;
        }
        *effort = effort.saturating_add(filter.effort(properties));
        filter.takes_properties(properties).into()
    }
}

fn subscription(
    broker: &Broker,
    header: &PullMessageRequestHeader<'_>,
    broadcast_enabled: bool,
) -> Result<Arc<Subscription>, PullRefusal> {
    if header.sys_flag & FLAG_SUBSCRIPTION != 0 {
        return Ok(brought_along(broker, header));
    }
    let not_exist = |what: &str| {
        Refusal::new(
            ResponseCode::SUBSCRIPTION_NOT_EXIST,
            format!("the consumer's {what} not exist{FAQ}"),
        )
    };
    let (model, found) = {
        let clients = broker.clients.lock();
        let group = clients
            .group(header.consumer_group)
            .ok_or_else(|| not_exist("group info"))?;
        let found = group.subscriptions.get(header.topic).map(Arc::clone);
        (group.traits.message_model, found)
    };
    if !broadcast_enabled && model == MessageModel::Broadcasting {
        let remark = format!(
            "the consumer group[{}] can not consume by broadcast way",
            header.consumer_group
        );
        return Err(forbid(forbidden::BROADCASTING, remark));
    }
    if broker.is_read_forbidden(header.consumer_group, header.topic) {
        let remark = format!(
            "the consumer group[{}] is forbidden for topic[{}]",
            header.consumer_group, header.topic
        );
        return Err(forbid(forbidden::SUBSCRIPTION, remark));
    }
    let found = found.ok_or_else(|| not_exist("subscription"))?;
    if found.data.sub_version < header.sub_version {
        let kind = header.expression_type.or(Some(&found.data.expression_type));
        if is_tag_type(kind) {
            return Ok(Arc::new(unfiltered(&found, header.sub_version)));
        }
        return Err(Refusal::new(
            ResponseCode::SUBSCRIPTION_NOT_LATEST,
            "the consumer's subscription not latest",
        )
        .into());
    }
    Ok(found)
}

/// Everything, for a consumer whose newer subscription is still on its way.
///
/// Apache refuses (25) until the next heartbeat, up to half a minute later. The Java client of 5.5.0 gets there often: it
/// raises the version when it was given queues, and its heartbeat of that moment is left out when the regular one, one
/// second after the start like the first assignment, is under way (`sendHeartbeatToAllBrokerWithLockV2`). Clients compare
/// tags themselves, because the broker compares hashes only, so they take too much in their stride.
fn unfiltered(known: &Subscription, sub_version: i64) -> Subscription {
    Subscription {
        data: SubscriptionData {
            sub_version,
            expression_type: TAG_TYPE.to_owned(),
            ..known.data.clone()
        },
        filter: Ok(Filter::Tags(TagFilter::all())),
    }
}

/// Whether messages can be filtered by the subscription's expression. A wrong one is told apart by who brought it: a
/// heartbeat is not answered, so its consumer hears of it here, with a code of its own.
fn check_filter(
    subscription: &Subscription,
    sys_flag: i32,
    property_filter: bool,
) -> Result<(), Refusal> {
    let kind = &subscription.data.expression_type;
    let brought_along = sys_flag & FLAG_SUBSCRIPTION != 0;
    match &subscription.filter {
        Err(error) if !brought_along => Err(Refusal::new(
            ResponseCode::FILTER_DATA_NOT_EXIST,
            format!(
                "The broker's consumer filter data is not exist!Your expression may be wrong! ({error})"
            ),
        )),
        _ if !is_tag_type(Some(kind)) && !property_filter => Err(no_property_filter(kind)),
        Err(error) => Err(Refusal::new(
            ResponseCode::SUBSCRIPTION_PARSE_FAILED,
            format!("parse the consumer's subscription failed: {error}"),
        )),
        Ok(_) => Ok(()),
    }
}

/// A pull consumer sends no heartbeat with subscriptions; the expression is in the header.
pub(crate) fn brought_along(
    broker: &Broker,
    header: &PullMessageRequestHeader<'_>,
) -> Arc<Subscription> {
    let expression = header.subscription.unwrap_or_default();
    let mut clients = broker.clients.lock();
    if let Some(known) = clients.pulled(header.consumer_group, header.topic) {
        let same_kind = match header.expression_type {
            None => is_tag_type(Some(&known.data.expression_type)),
            Some(kind) => known.data.expression_type == kind,
        };
        let shown = if expression.is_empty() && is_tag_type(header.expression_type) {
            "*"
        } else {
            expression
        };
        if same_kind && known.data.sub_string == shown {
            let now_ms = Clock::machine_ms();
            clients.note_pull(
                header.consumer_group,
                header.topic,
                Arc::clone(&known),
                now_ms,
            );
            return known;
        }
    }
    let by_tags = is_tag_type(header.expression_type);
    let filter = Filter::parse(header.expression_type, expression);
    let (tags, codes) = match &filter {
        Ok(Filter::Tags(filter)) => (filter.tags(), filter.codes()),
        _ => (&[][..], &[][..]),
    };
    let data = SubscriptionData {
        topic: header.topic.to_owned(),
        sub_string: if by_tags && expression.is_empty() {
            "*".to_owned()
        } else {
            expression.to_owned()
        },
        tags_set: tags.to_vec(),
        code_set: codes.to_vec(),
        sub_version: header.sub_version,
        expression_type: header.expression_type.unwrap_or(TAG_TYPE).to_owned(),
        ..SubscriptionData::default()
    };
    let made = Arc::new(Subscription { data, filter });
    if made.filter.is_ok() {
        let now_ms = Clock::machine_ms();
        clients.note_pull(
            header.consumer_group,
            header.topic,
            Arc::clone(&made),
            now_ms,
        );
    }
    made
}
