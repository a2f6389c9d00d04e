//! Users and rules of Apache's access control 2.0. `rmq` brokers have none and answer that they do not know the request.

use crate::protocol::body::auth::{AclInfo, UserInfo};
use crate::protocol::codes::{RequestCode, ResponseCode};
use crate::protocol::command::Command;
use crate::protocol::header::auth::{
    AclListRequestHeader, AclRequestHeader, DeleteAclRequestHeader, UserListRequestHeader,
    UserRequestHeader,
};

use super::{Admin, written};
use crate::client::error::ClientError;

impl Admin {
    /// The users a broker knows whose names hold `filter`.
    pub async fn users_at(&self, broker: &str, filter: &str) -> Result<Vec<UserInfo>, ClientError> {
        let header = UserListRequestHeader { filter };
        self.list(
            broker,
            Command::request(RequestCode::AUTH_LIST_USER, &header),
        )
        .await
    }

    /// One user.
    pub async fn user_at(&self, broker: &str, name: &str) -> Result<Option<UserInfo>, ClientError> {
        let header = UserRequestHeader { username: name };
        let request = Command::request(RequestCode::AUTH_GET_USER, &header);
        self.find_or_nothing(broker, request, ResponseCode::USER_NOT_EXIST)
            .await
    }

    /// Creates a user.
    pub async fn create_user_at(&self, broker: &str, user: &UserInfo) -> Result<(), ClientError> {
        self.put_user(broker, RequestCode::AUTH_CREATE_USER, user)
            .await
    }

    /// Changes what is given of a user.
    pub async fn update_user_at(&self, broker: &str, user: &UserInfo) -> Result<(), ClientError> {
        self.put_user(broker, RequestCode::AUTH_UPDATE_USER, user)
            .await
    }

    async fn put_user(
        &self,
        broker: &str,
        code: RequestCode,
        user: &UserInfo,
    ) -> Result<(), ClientError> {
        let username = user.username.as_deref().unwrap_or_default();
        let header = UserRequestHeader { username };
        self.tell(broker, code, &header, written(user)?)
            .await
            .map(drop)
    }

    /// Deletes a user.
    pub async fn delete_user_at(&self, broker: &str, name: &str) -> Result<(), ClientError> {
        let header = UserRequestHeader { username: name };
        let code = RequestCode::AUTH_DELETE_USER;
        self.ask(broker, code, &header).await.map(drop)
    }

    /// The rules of a broker, for subjects and resources that hold the texts given.
    pub async fn acls_at(
        &self,
        broker: &str,
        subject: &str,
        resource: &str,
    ) -> Result<Vec<AclInfo>, ClientError> {
        let header = AclListRequestHeader {
            subject_filter: subject,
            resource_filter: resource,
        };
        self.list(
            broker,
            Command::request(RequestCode::AUTH_LIST_ACL, &header),
        )
        .await
    }

    /// The rules of one subject, such as `User:alice`.
    pub async fn acl_at(
        &self,
        broker: &str,
        subject: &str,
    ) -> Result<Option<AclInfo>, ClientError> {
        let header = AclRequestHeader { subject };
        let request = Command::request(RequestCode::AUTH_GET_ACL, &header);
        self.find_or_nothing(broker, request, ResponseCode::POLICY_NOT_EXIST)
            .await
    }

    /// Adds rules to a subject that has none on these resources.
    pub async fn create_acl_at(&self, broker: &str, acl: &AclInfo) -> Result<(), ClientError> {
        self.put_acl(broker, RequestCode::AUTH_CREATE_ACL, acl)
            .await
    }

    /// Replaces the rules of a subject on the resources given.
    pub async fn update_acl_at(&self, broker: &str, acl: &AclInfo) -> Result<(), ClientError> {
        self.put_acl(broker, RequestCode::AUTH_UPDATE_ACL, acl)
            .await
    }

    async fn put_acl(
        &self,
        broker: &str,
        code: RequestCode,
        acl: &AclInfo,
    ) -> Result<(), ClientError> {
        let subject = acl.subject.as_deref().unwrap_or_default();
        let header = AclRequestHeader { subject };
        self.tell(broker, code, &header, written(acl)?)
            .await
            .map(drop)
    }

    /// Deletes the rules of a subject: all of them, or those on one resource.
    pub async fn delete_acl_at(
        &self,
        broker: &str,
        subject: &str,
        policy_type: Option<&str>,
        resource: Option<&str>,
    ) -> Result<(), ClientError> {
        let header = DeleteAclRequestHeader {
            subject,
            policy_type,
            resource,
        };
        let code = RequestCode::AUTH_DELETE_ACL;
        self.ask(broker, code, &header).await.map(drop)
    }

    /// A list; Apache leaves the body out where there is nothing.
    async fn list<T: serde::de::DeserializeOwned>(
        &self,
        broker: &str,
        request: Command,
    ) -> Result<Vec<T>, ClientError> {
        let code = RequestCode(request.code);
        let timeout = self.shared.timeout();
        let reply = self.shared.net.call_ok(broker, request, timeout).await?;
        if reply.body.is_empty() {
            return Ok(Vec::new());
        }
        super::body(broker, code, &reply)
    }

    async fn find_or_nothing<T: serde::de::DeserializeOwned>(
        &self,
        broker: &str,
        request: Command,
        none: ResponseCode,
    ) -> Result<Option<T>, ClientError> {
        let code = RequestCode(request.code);
        let reply = self.call(broker, request).await?;
        match reply.code {
            ResponseCode::SUCCESS if reply.body.is_empty() => Ok(None),
            ResponseCode::SUCCESS => super::body(broker, code, &reply).map(Some),
            answer if answer == none => Ok(None),
            _ => Err(super::no(broker, code, &reply)),
        }
    }
}
