//! Headers of access control 2.0. The rest is in the bodies.

use super::headers;

headers! {
    /// `AUTH_CREATE_USER`, `AUTH_UPDATE_USER`, `AUTH_DELETE_USER`, `AUTH_GET_USER` (3001 to 3004).
    UserRequestHeader<'f> {
        username: &'f str = "username", required;
    }

    /// `AUTH_LIST_USER` (3005).
    UserListRequestHeader<'f> {
        filter: &'f str = "filter", required;
    }

    /// `AUTH_CREATE_ACL`, `AUTH_UPDATE_ACL`, `AUTH_GET_ACL` (3006, 3007, 3009).
    AclRequestHeader<'f> {
        subject: &'f str = "subject", required;
    }

    /// `AUTH_DELETE_ACL` (3008).
    DeleteAclRequestHeader<'f> {
        subject: &'f str = "subject", required;
        policy_type: &'f str = "policyType", optional;
        resource: &'f str = "resource", optional;
    }

    /// `AUTH_LIST_ACL` (3010).
    AclListRequestHeader<'f> {
        subject_filter: &'f str = "subjectFilter", required;
        resource_filter: &'f str = "resourceFilter", required;
    }
}
