//! Name servers: their settings, their tables, the write permission they give brokers.
//!
//! Name servers do not talk to each other, so a change goes to each of them.

use std::collections::BTreeMap;

use crate::protocol::body::lists::KVTable;
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::NoHeader;
use crate::protocol::header::namesrv::{
    AddWritePermOfBrokerRequestHeader, AddWritePermOfBrokerResponseHeader,
    DeleteKVConfigRequestHeader, GetKVConfigRequestHeader, GetKVConfigResponseHeader,
    GetKVListByNamespaceRequestHeader, PutKVConfigRequestHeader,
    WipeWritePermOfBrokerRequestHeader, WipeWritePermOfBrokerResponseHeader,
};

use super::broker::{read_properties, write_properties};
use super::{Admin, no};
use crate::client::error::ClientError;
use crate::client::net::unreadable;

impl Admin {
    /// The name servers this client was given.
    pub fn name_servers(&self) -> &[String] {
        self.shared.routes.name_servers()
    }

    /// A name server's settings.
    pub async fn name_server_config(
        &self,
        name_server: &str,
    ) -> Result<BTreeMap<String, String>, ClientError> {
        let code = RequestCode::GET_NAMESRV_CONFIG;
        let reply = self.ask(name_server, code, &NoHeader).await?;
        Ok(read_properties(&reply.body))
    }

    /// Changes settings of one running name server.
    pub async fn set_name_server_config(
        &self,
        name_server: &str,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), ClientError> {
        let code = RequestCode::UPDATE_NAMESRV_CONFIG;
        self.tell(name_server, code, &NoHeader, write_properties(settings)?)
            .await
            .map(drop)
    }

    /// A value of a name server's tables.
    pub async fn kv_at(
        &self,
        name_server: &str,
        namespace: &str,
        key: &str,
    ) -> Result<Option<String>, ClientError> {
        let code = RequestCode::GET_KV_CONFIG;
        let header = GetKVConfigRequestHeader { namespace, key };
        let reply = self
            .call(name_server, Command::request(code, &header))
            .await?;
        match reply.code {
            ResponseCode::SUCCESS => reply
                .header::<GetKVConfigResponseHeader<'_>>()
                .map(|header| header.value.map(str::to_owned))
                .map_err(|error| unreadable(name_server, code, error)),
            ResponseCode::QUERY_NOT_FOUND => Ok(None),
            _ => Err(no(name_server, code, &reply)),
        }
    }

    /// One table of a name server, such as `ORDER_TOPIC_CONFIG`.
    pub async fn kv_table_at(
        &self,
        name_server: &str,
        namespace: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ClientError> {
        let header = GetKVListByNamespaceRequestHeader { namespace };
        let request = Command::request(RequestCode::GET_KVLIST_BY_NAMESPACE, &header);
        let table: Option<KVTable> = self
            .find(name_server, request, &[ResponseCode::QUERY_NOT_FOUND])
            .await?;
        Ok(table.map(|table| table.table))
    }

    /// Sets a value in a table of one name server.
    pub async fn put_kv_at(
        &self,
        name_server: &str,
        namespace: &str,
        key: &str,
        value: &str,
    ) -> Result<(), ClientError> {
        let code = RequestCode::PUT_KV_CONFIG;
        let header = PutKVConfigRequestHeader {
            namespace,
            key,
            value,
        };
        self.ask(name_server, code, &header).await.map(drop)
    }

    /// Removes a value from a table of one name server.
    pub async fn delete_kv_at(
        &self,
        name_server: &str,
        namespace: &str,
        key: &str,
    ) -> Result<(), ClientError> {
        let code = RequestCode::DELETE_KV_CONFIG;
        let header = DeleteKVConfigRequestHeader { namespace, key };
        self.ask(name_server, code, &header).await.map(drop)
    }

    /// Takes the write permission of a broker group out of the routes one name server gives; returns how many topics
    /// changed. The broker's next registration with a change brings it back.
    pub async fn wipe_write_perm(
        &self,
        name_server: &str,
        broker_name: &str,
    ) -> Result<i32, ClientError> {
        let code = RequestCode::WIPE_WRITE_PERM_OF_BROKER;
        let header = WipeWritePermOfBrokerRequestHeader { broker_name };
        let reply = self.ask(name_server, code, &header).await?;
        let answer: WipeWritePermOfBrokerResponseHeader = reply
            .header()
            .map_err(|error| unreadable(name_server, code, error))?;
        Ok(answer.wipe_topic_count)
    }

    /// Gives it back; returns how many topics changed.
    pub async fn add_write_perm(
        &self,
        name_server: &str,
        broker_name: &str,
    ) -> Result<i32, ClientError> {
        let code = RequestCode::ADD_WRITE_PERM_OF_BROKER;
        let header = AddWritePermOfBrokerRequestHeader { broker_name };
        let reply = self.ask(name_server, code, &header).await?;
        let answer: AddWritePermOfBrokerResponseHeader = reply
            .header()
            .map_err(|error| unreadable(name_server, code, error))?;
        Ok(answer.add_topic_count)
    }
}
