//! Request code to answer: what Apache's `DefaultRequestProcessor` and `ClientRequestProcessor` do.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use super::NameServer;
use super::kv::ORDER_TOPIC_CONFIG;
use super::peers::Peers;
use super::routes::{Gone, Registration, keep_zone};
use super::settings::Refused;
use crate::protocol::body::lists::{KVTable, TopicList};
use crate::protocol::body::register::{RegisterBrokerBody, RegisterError};
use crate::protocol::body::route::{
    BrokerMemberGroup, GetBrokerMemberGroupResponseBody, TopicRouteData,
};
use crate::protocol::body::topic_config::{DataVersion, TopicConfigAndMappingSerializeWrapper};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::{Command, Head};
use crate::protocol::fastjson::{self, BodyError};
use crate::protocol::header::{HeaderError, namesrv as header};
use crate::remoting::Channel;

/// Brokers of this release and later send topics and filter servers (`V3_0_11`); older ones topics only.
const VERSION_WITH_FILTER_SERVERS: i32 = 37;
/// Ext fields of clients that want brokers of their own zone.
const ZONE_MODE: &str = "__ZONE_MODE";
const ZONE_NAME: &str = "__ZONE_NAME";

/// How a request ends.
pub(super) enum Outcome {
    /// With this answer.
    Answer(Command),
    /// With this answer, once the KV table is on disk.
    AnswerWhenSaved(Command),
}

/// Why a request cannot be answered. Apache lets these escape and answers "system error" with their text.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("failed to decode RegisterBrokerBody: {0}")]
    Register(#[from] RegisterError),
}

impl From<Failed> for Command {
    fn from(failed: Failed) -> Self {
        Self::response(ResponseCode::SYSTEM_ERROR).with_remark(failed.to_string())
    }
}

/// A request and where it came from.
pub(super) struct Request<'a, 'f> {
    pub(super) head: &'a Head<'f>,
    pub(super) body: Bytes,
    pub(super) channel: &'a Arc<Channel>,
}

fn success() -> Command {
    Command::response(ResponseCode::SUCCESS)
}

fn success_with(body: &impl Serialize) -> Result<Command, Failed> {
    Ok(success().with_body(fastjson::to_wire(body)?))
}

fn not_allowed() -> Command {
    Command::response(ResponseCode::SYSTEM_ERROR).with_remark("disable")
}

impl NameServer {
    /// Answers one request.
    pub(super) fn handle(&self, request: &Request<'_, '_>) -> Result<Outcome, Failed> {
        let answer = match request.head.request_code() {
            RequestCode::GET_ROUTEINFO_BY_TOPIC => self.route(request)?,
            RequestCode::REGISTER_BROKER => self.register_broker(request)?,
            RequestCode::UNREGISTER_BROKER => self.unregister_broker(request)?,
            RequestCode::BROKER_HEARTBEAT => self.broker_heartbeat(request)?,
            RequestCode::QUERY_DATA_VERSION => self.query_data_version(request)?,
            RequestCode::GET_BROKER_CLUSTER_INFO => {
                let mut info = self.routes.lock().cluster_info();
                if let Some((peers, told)) = self.told(request) {
                    peers.rewrite(info.broker_addr_table.values_mut(), &told);
                }
                success_with(&info)?
            }
            RequestCode::GET_BROKER_MEMBER_GROUP => self.member_group(request)?,
            RequestCode::PUT_KV_CONFIG | RequestCode::DELETE_KV_CONFIG => {
                self.change_kv(request)?;
                return Ok(Outcome::AnswerWhenSaved(success()));
            }
            RequestCode::GET_KV_CONFIG => self.kv_value(request)?,
            RequestCode::GET_KVLIST_BY_NAMESPACE => self.kv_namespace(request)?,
            RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => self.all_topics()?,
            RequestCode::GET_TOPICS_BY_CLUSTER
            | RequestCode::GET_UNIT_TOPIC_LIST
            | RequestCode::GET_HAS_UNIT_SUB_TOPIC_LIST
            | RequestCode::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => self.some_topics(request)?,
            RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_NS => {
                let (topic_list, broker_addr) = self.routes.lock().system_topics();
                success_with(&TopicList {
                    broker_addr,
                    topic_list,
                })?
            }
            RequestCode::REGISTER_TOPIC_IN_NAMESRV => self.register_topic(request)?,
            RequestCode::DELETE_TOPIC_IN_NAMESRV => self.delete_topic(request)?,
            RequestCode::WIPE_WRITE_PERM_OF_BROKER | RequestCode::ADD_WRITE_PERM_OF_BROKER => {
                self.change_write_perm(request)?
            }
            RequestCode::UPDATE_NAMESRV_CONFIG => self.update_settings(request),
            RequestCode::GET_NAMESRV_CONFIG => {
                success().with_body(self.options.show(&self.settings.read()))
            }
            code => Command::response(ResponseCode::REQUEST_CODE_NOT_SUPPORTED)
                .with_remark(format!(" request type {} not supported", code.0)),
        };
        Ok(Outcome::Answer(answer))
    }

    fn route(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::GetRouteInfoRequestHeader<'_> = request.head.header()?;
        if self.still_waits() {
            return Ok(
                Command::response(ResponseCode::SYSTEM_ERROR).with_remark("name server not ready")
            );
        }
        let zone = request.zone();
        let told = self.told(request);
        let route = if zone.is_none() && told.is_none() {
            self.encoded_route(header.topic)?
        } else if let Some(mut route) = self.fresh_route(header.topic) {
            if let Some(zone) = zone {
                keep_zone(&mut route, zone);
            }
            if let Some((peers, told)) = told {
                peers.rewrite(&mut route.broker_datas, &told);
            }
            Some(Bytes::from(fastjson::to_wire(&route)?))
        } else {
            None
        };
        Ok(match route {
            Some(route) => success().with_body(route),
            None => Command::response(ResponseCode::TOPIC_NOT_EXIST).with_remark(format!(
                "No topic route info in name server for the topic: {}\n\
                 See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.",
                header.topic
            )),
        })
    }

    /// What this client is told in place of an address that was registered, if it is told something else.
    fn told(&self, request: &Request<'_, '_>) -> Option<(&Peers, String)> {
        let peers = self.options.peers.as_ref()?;
        let (peer, local) = (request.channel.peer(), request.channel.local());
        Some((peers, peers.address(peer, local)?))
    }

    /// The route as it is now, with the order conf if that is wanted.
    pub(super) fn fresh_route(&self, topic: &str) -> Option<TopicRouteData> {
        let mut route = self.routes.lock().route(topic)?;
        if self.settings.read().order_message_enable {
            route.order_topic_conf = self.kv.get(ORDER_TOPIC_CONFIG, topic);
        }
        Some(route)
    }

    fn register_broker(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::RegisterBrokerRequestHeader<'_> = request.head.header()?;
        let crc = header.body_crc32;
        if crc != 0 && crc != RegisterBrokerBody::crc(&request.body) {
            tracing::warn!(peer = %request.channel.peer(), "a registration whose checksum is wrong");
            return Ok(Command::response(ResponseCode::SYSTEM_ERROR).with_remark("crc32 not match"));
        }
        let (topics, filter_servers) = registered_body(request, header.compressed)?;
        let broker = Registration {
            cluster: header.cluster_name.to_owned(),
            name: header.broker_name.to_owned(),
            addr: header.broker_addr.to_owned(),
            id: header.broker_id,
            ha_addr: header.ha_server_addr.to_owned(),
            zone: header.zone_name.map(str::to_owned),
            timeout_ms: header.heartbeat_timeout_millis,
            enable_acting_master: header.enable_acting_master,
            topics,
            filter_servers,
            channel: request.channel.id(),
        };
        let registered = self.routes.lock().register(&broker, self.clock.now_ms());
        self.tell_minimums();
        let Ok(master) = registered else {
            return Ok(
                Command::response(ResponseCode::SYSTEM_ERROR).with_remark("register broker failed")
            );
        };
        let mut answer = success().with_header(&header::RegisterBrokerResponseHeader {
            ha_server_addr: master.as_ref().map(|master| master.ha_addr.as_str()),
            master_addr: master.as_ref().map(|master| master.addr.as_str()),
        });
        if self.settings.read().return_order_topic_config_to_broker
            && let Some(table) = self.kv.namespace(ORDER_TOPIC_CONFIG)
        {
            answer = answer.with_body(fastjson::to_wire(&KVTable { table })?);
        }
        Ok(answer)
    }

    fn unregister_broker(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::UnRegisterBrokerRequestHeader<'_> = request.head.header()?;
        self.routes.lock().unregister(&Gone {
            cluster: header.cluster_name.to_owned(),
            name: header.broker_name.to_owned(),
            addr: header.broker_addr.to_owned(),
        });
        self.tell_minimums();
        Ok(success())
    }

    fn broker_heartbeat(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::BrokerHeartbeatRequestHeader<'_> = request.head.header()?;
        let now_ms = self.clock.now_ms();
        let mut routes = self.routes.lock();
        routes.heartbeat(header.cluster_name, header.broker_addr, now_ms);
        Ok(success())
    }

    fn query_data_version(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::QueryDataVersionRequestHeader<'_> = request.head.header()?;
        let asked: DataVersion = fastjson::from_slice(&request.body)?;
        let (cluster, addr) = (header.cluster_name, header.broker_addr);
        let mut routes = self.routes.lock();
        let known = routes.topics_version(cluster, addr);
        routes.heartbeat(cluster, addr, self.clock.now_ms());
        drop(routes);
        let answer = success().with_header(&header::QueryDataVersionResponseHeader {
            changed: known != Some(asked),
        });
        Ok(match known {
            Some(known) => answer.with_body(fastjson::to_wire(&known)?),
            None => answer,
        })
    }

    fn member_group(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::GetBrokerMemberGroupRequestHeader<'_> = request.head.header()?;
        success_with(&GetBrokerMemberGroupResponseBody {
            broker_member_group: BrokerMemberGroup {
                broker_addrs: self.routes.lock().members(header.broker_name),
                broker_name: header.broker_name.to_owned(),
                cluster: header.cluster_name.to_owned(),
            },
        })
    }

    fn change_kv(&self, request: &Request<'_, '_>) -> Result<(), Failed> {
        if request.head.request_code() == RequestCode::PUT_KV_CONFIG {
            let header: header::PutKVConfigRequestHeader<'_> = request.head.header()?;
            self.kv.put(header.namespace, header.key, header.value);
        } else {
            let header: header::DeleteKVConfigRequestHeader<'_> = request.head.header()?;
            self.kv.delete(header.namespace, header.key);
        }
        // Routes may carry order confs.
        self.routes.lock().touch();
        Ok(())
    }

    fn kv_value(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::GetKVConfigRequestHeader<'_> = request.head.header()?;
        let value = self.kv.get(header.namespace, header.key);
        Ok(match value.as_deref() {
            value @ Some(_) => success().with_header(&header::GetKVConfigResponseHeader { value }),
            None => Command::response(ResponseCode::QUERY_NOT_FOUND).with_remark(format!(
                "No config item, Namespace: {} Key: {}",
                header.namespace, header.key
            )),
        })
    }

    fn kv_namespace(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::GetKVListByNamespaceRequestHeader<'_> = request.head.header()?;
        match self.kv.namespace(header.namespace) {
            Some(table) => success_with(&KVTable { table }),
            None => Ok(Command::response(ResponseCode::QUERY_NOT_FOUND)
                .with_remark(format!("No config item, Namespace: {}", header.namespace))),
        }
    }

    fn all_topics(&self) -> Result<Command, Failed> {
        if !self.settings.read().enable_all_topic_list {
            return Ok(not_allowed());
        }
        topic_list(self.routes.lock().topic_names())
    }

    fn some_topics(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        if !self.settings.read().enable_topic_list {
            return Ok(not_allowed());
        }
        let routes = self.routes.lock();
        topic_list(match request.head.request_code() {
            RequestCode::GET_UNIT_TOPIC_LIST => routes.unit_topics(),
            RequestCode::GET_HAS_UNIT_SUB_TOPIC_LIST => routes.unit_sub_topics(),
            RequestCode::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => routes.unit_sub_ununit_topics(),
            _ => {
                let header: header::GetTopicsByClusterRequestHeader<'_> = request.head.header()?;
                routes.topics_of_cluster(header.cluster)
            }
        })
    }

    fn register_topic(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::RegisterTopicRequestHeader<'_> = request.head.header()?;
        if !request.body.is_empty() {
            let route: TopicRouteData = fastjson::from_slice(&request.body)?;
            let mut routes = self.routes.lock();
            routes.register_topic(header.topic, route.queue_datas);
        }
        Ok(success())
    }

    fn delete_topic(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let header: header::DeleteTopicFromNamesrvRequestHeader<'_> = request.head.header()?;
        let cluster = header.cluster_name.filter(|cluster| !cluster.is_empty());
        self.routes.lock().delete_topic(header.topic, cluster);
        Ok(success())
    }

    fn change_write_perm(&self, request: &Request<'_, '_>) -> Result<Command, Failed> {
        let wipe = request.head.request_code() == RequestCode::WIPE_WRITE_PERM_OF_BROKER;
        // Both headers are the same.
        let header: header::WipeWritePermOfBrokerRequestHeader<'_> = request.head.header()?;
        let broker = header.broker_name;
        let (answer, topics) = if wipe {
            let wipe_topic_count = self.routes.lock().wipe_write_perm(broker);
            let header = header::WipeWritePermOfBrokerResponseHeader { wipe_topic_count };
            (success().with_header(&header), wipe_topic_count)
        } else {
            let add_topic_count = self.routes.lock().add_write_perm(broker);
            let header = header::AddWritePermOfBrokerResponseHeader { add_topic_count };
            (success().with_header(&header), add_topic_count)
        };
        tracing::info!(broker, wipe, topics, peer = %request.channel.peer(), "write permission changed");
        Ok(answer)
    }

    fn update_settings(&self, request: &Request<'_, '_>) -> Command {
        let text = String::from_utf8_lossy(&request.body);
        let mut settings = self.settings.write();
        match settings.changed_by(&text) {
            Ok(changed) => {
                tracing::info!(peer = %request.channel.peer(), "settings changed");
                *settings = changed;
                self.routes.lock().set_rules(settings.rules());
                success()
            }
            Err(Refused::Black) => Command::response(ResponseCode::NO_PERMISSION)
                .with_remark("Can not update config in black list."),
            Err(Refused::Bad { key, wanted }) => Command::response(ResponseCode::SYSTEM_ERROR)
                .with_remark(format!("bad value for {key}: {wanted}")),
        }
    }
}

impl Request<'_, '_> {
    /// The zone this client wants to stay in.
    fn zone(&self) -> Option<&str> {
        let fields = &self.head.fields;
        let wanted = fields.get(ZONE_MODE)?.eq_ignore_ascii_case("true");
        let zone = fields.get(ZONE_NAME)?.trim();
        (wanted && !zone.is_empty()).then_some(zone)
    }
}

fn topic_list(topic_list: Vec<String>) -> Result<Command, Failed> {
    success_with(&TopicList {
        broker_addr: None,
        topic_list,
    })
}

type Topics = TopicConfigAndMappingSerializeWrapper;

fn registered_body(
    request: &Request<'_, '_>,
    compressed: bool,
) -> Result<(Topics, Option<Vec<String>>), Failed> {
    let (body, version) = (&request.body, request.head.version);
    if version < VERSION_WITH_FILTER_SERVERS {
        let topics = if body.is_empty() {
            Topics::default()
        } else {
            fastjson::from_slice(body)?
        };
        return Ok((topics, None));
    }
    let body = if body.is_empty() {
        RegisterBrokerBody::default()
    } else if compressed || is_zlib(body) {
        RegisterBrokerBody::decode_compressed(body, version)?
    } else {
        fastjson::from_slice(body)?
    };
    Ok((
        body.topic_config_serialize_wrapper,
        Some(body.filter_server_list),
    ))
}

/// Apache 5.5.0 with `compressedRegister=true` compresses the body and says `compressed=false`, so that its own
/// name server refuses it. JSON never begins with this byte.
fn is_zlib(body: &[u8]) -> bool {
    body.first() == Some(&0x78)
}
