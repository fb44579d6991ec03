//! What a request that is not served is told.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// A failure by the product's own id, which its clients tell apart; the message is for people.
///
/// As a response it names no request. Behind
/// [`answering`](super::Mattermost::answering) it names the one that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The body is longer than the product reads.
    BodyTooLarge,
    /// Personal access tokens are switched off; this is no error of the client's, hence 501.
    Disabled,
    /// A deactivated token gets no new secret.
    DisabledToken,
    /// The expiry is now or was before.
    ExpiryInPast,
    /// A server that limits lifetimes issues nothing that never expires.
    ExpiryRequired,
    /// The expiry is later than the server allows.
    ExpiryTooFar {
        /// The longest lifetime.
        days: u32,
    },
    /// What a route of the host's own says, in the same envelope.
    Host {
        /// The status.
        status: StatusCode,
        /// The id, as the product has it.
        id: &'static str,
        /// What a person reads.
        message: &'static str,
    },
    /// The body cannot be read, or lacks what it names: the name is the product's, not always a
    /// key of the body.
    InvalidBody(&'static str),
    /// The new token would not be one.
    InvalidField(Field),
    /// A part of the path is not an id.
    InvalidParameter(&'static str),
    /// The host's limiter refuses, or the token was used as often as its rate allows; the one answer
    /// that is plain text.
    LimitExceeded {
        /// After how many seconds the next request is served.
        seconds: u64,
    },
    /// The server demands a second factor of this account, or of this operation.
    MfaRequired,
    /// There is no such account.
    MissingAccount,
    /// There is no such token, or it is revoked: the product deletes those.
    MissingToken,
    /// Without a limit there is nothing that breaks it.
    NoPolicy,
    /// The caller may not do this. The permission that it lacks is not said, as the product says
    /// it to developers only.
    Permissions,
    /// A token in the query is in the logs by now, so it is refused without being looked at.
    QueryToken,
    /// The account has as many tokens as the host's policy allows. The product knows no such limit,
    /// so neither does it know this id.
    QuotaReached,
    /// One answer for all that keeps a request from being somebody's.
    SessionExpired,
    /// Nobody can say now: the product would answer 401 or 500, and clients throw away tokens that
    /// they are told are invalid.
    Unavailable,
    /// The store did not do this. 503, where the product says 500, so that clients try again.
    Undone(Step),
    /// There is no such route.
    UnknownRoute,
}

/// A field of a new token, in the order in which the product judges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// Its id.
    Id,
    /// Its secret.
    Token,
    /// Its owner.
    UserId,
    /// What a person calls it.
    Description,
    /// Its end.
    ExpiresAt,
}

/// What a store was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// To count the tokens that live longer than is allowed.
    CountNonCompliant,
    /// To revoke one.
    Delete,
    /// To deactivate one.
    Disable,
    /// To reactivate one.
    Enable,
    /// To list everybody's.
    GetAll,
    /// To list one owner's, or to find one.
    GetByUser,
    /// To find those that expire soon, for a host that warns their owners.
    GetExpiring,
    /// To revoke all that live longer than is allowed; some may be revoked.
    RevokeNonCompliant,
    /// To give one a new secret.
    Rotate,
    /// To insert one.
    Save,
    /// To search.
    Search,
}

impl Failure {
    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Disabled => StatusCode::NOT_IMPLEMENTED,
            Self::DisabledToken
            | Self::ExpiryInPast
            | Self::ExpiryRequired
            | Self::ExpiryTooFar { .. }
            | Self::InvalidBody(_)
            | Self::InvalidField(_)
            | Self::InvalidParameter(_)
            | Self::NoPolicy
            | Self::QuotaReached => StatusCode::BAD_REQUEST,
            Self::Host { status, .. } => *status,
            Self::LimitExceeded { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::MfaRequired | Self::Permissions => StatusCode::FORBIDDEN,
            Self::MissingAccount | Self::MissingToken | Self::UnknownRoute => StatusCode::NOT_FOUND,
            Self::QueryToken | Self::SessionExpired => StatusCode::UNAUTHORIZED,
            Self::Unavailable | Self::Undone(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The product's id, which stays the same in every release.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::BodyTooLarge => "api.context.request_body_too_large.app_error",
            // Without the ending that all others have.
            Self::Disabled => "app.user_access_token.disabled",
            Self::DisabledToken => "api.user.rotate_user_access_token.disabled_token.app_error",
            Self::ExpiryInPast => "app.user_access_token.expires_at_in_past.app_error",
            Self::ExpiryRequired => "app.user_access_token.expires_at_required.app_error",
            Self::ExpiryTooFar { .. } => "app.user_access_token.expires_at_too_far.app_error",
            Self::Host { id, .. } => id,
            Self::InvalidBody(_) => "api.context.invalid_body_param.app_error",
            Self::InvalidField(field) => field.id(),
            Self::InvalidParameter(_) => "api.context.invalid_url_param.app_error",
            Self::LimitExceeded { .. } => "api.context.rate_limit_exceeded.app_error",
            Self::MfaRequired => "api.context.mfa_required.app_error",
            Self::MissingAccount => "app.user.missing_account.const",
            Self::MissingToken => Step::GetByUser.id(),
            Self::NoPolicy => "app.user_access_token.revoke_non_compliant.no_policy.app_error",
            Self::Permissions => "api.context.permissions.app_error",
            Self::QueryToken => "api.context.token_provided.app_error",
            Self::QuotaReached => "app.user_access_token.quota_reached.app_error",
            Self::SessionExpired => "api.context.session_expired.app_error",
            Self::Unavailable => "api.context.server_busy.app_error",
            Self::Undone(step) => step.id(),
            Self::UnknownRoute => "api.context.404.app_error",
        }
    }

    fn message(&self) -> Cow<'static, str> {
        match self {
            Self::BodyTooLarge => "Request body too large.",
            Self::Disabled => {
                "Personal access tokens are disabled on this server. Please contact your system \
                 administrator for details."
            }
            Self::DisabledToken => "A disabled personal access token cannot be rotated.",
            Self::ExpiryInPast => "The provided expires_at is in the past.",
            Self::ExpiryRequired => {
                "Personal access tokens must include an expiry date because the server enforces a \
                 maximum token lifetime."
            }
            Self::ExpiryTooFar { days } => {
                return format!(
                    "The provided expires_at exceeds the configured maximum personal access token \
                     lifetime ({days} days)."
                )
                .into();
            }
            Self::Host { message, .. } => message,
            Self::InvalidBody(name) => {
                return format!("Invalid or missing {name} in request body.").into();
            }
            Self::InvalidField(field) => field.message(),
            Self::InvalidParameter(name) => {
                return format!("Invalid or missing {name} parameter in request URL.").into();
            }
            Self::LimitExceeded { .. } => "limit exceeded",
            Self::MfaRequired => "Multi-factor authentication is required on this server.",
            Self::MissingAccount => "Unable to find the user.",
            Self::MissingToken => Step::GetByUser.message(),
            Self::NoPolicy => {
                "No maximum personal access token lifetime is configured, so there are no \
                 non-compliant tokens to revoke."
            }
            Self::Permissions => "You do not have the appropriate permissions.",
            Self::QueryToken => "Session is not OAuth but token was provided in the query string.",
            Self::QuotaReached => "The user has as many personal access tokens as it may have.",
            Self::SessionExpired => "Invalid or expired session, please login again.",
            Self::Unavailable => {
                "Server is busy, non-critical services are temporarily unavailable."
            }
            Self::Undone(step) => step.message(),
            Self::UnknownRoute => "Sorry, we could not find the page.",
        }
        .into()
    }

    /// The answer to the request of this id.
    pub(super) fn response(&self, request_id: &str) -> Response {
        let status = self.status();
        if let Self::LimitExceeded { seconds } = self {
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            let headers = [(CONTENT_TYPE, text), (RETRY_AFTER, (*seconds).into())];
            return (status, headers, self.message()).into_response();
        }
        let envelope = Envelope {
            id: self.id(),
            message: self.message(),
            detailed_error: "",
            request_id,
            status_code: status.as_u16(),
        };
        // Texts and a number under fixed keys: nothing that could fail to be written.
        let body = serde_json::to_string(&envelope).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, "application/json")], body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.response("");
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    id: &'a str,
    message: Cow<'a, str>,
    detailed_error: &'a str,
    request_id: &'a str,
    status_code: u16,
}

impl Field {
    const fn id(self) -> &'static str {
        match self {
            Self::Id => "model.user_access_token.is_valid.id.app_error",
            Self::Token => "model.user_access_token.is_valid.token.app_error",
            Self::UserId => "model.user_access_token.is_valid.user_id.app_error",
            Self::Description => "model.user_access_token.is_valid.description.app_error",
            Self::ExpiresAt => "model.user_access_token.is_valid.expires_at.app_error",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Id => "Invalid value for id.",
            Self::Token => "Invalid access token.",
            Self::UserId => "Invalid user id.",
            Self::Description => "Invalid description, must be 255 or less characters.",
            Self::ExpiresAt => "Invalid value for expires_at.",
        }
    }
}

impl Step {
    const fn id(self) -> &'static str {
        match self {
            Self::CountNonCompliant => "app.user_access_token.count_non_compliant.app_error",
            Self::Delete => "app.user_access_token.delete.app_error",
            Self::Disable => "app.user_access_token.update_token_disable.app_error",
            Self::Enable => "app.user_access_token.update_token_enable.app_error",
            Self::GetAll => "app.user_access_token.get_all.app_error",
            Self::GetByUser => "app.user_access_token.get_by_user.app_error",
            Self::GetExpiring => "app.user_access_token.get_expiring.app_error",
            Self::RevokeNonCompliant => {
                "app.user_access_token.revoke_non_compliant.partial.app_error"
            }
            Self::Rotate => "app.user_access_token.rotate.app_error",
            Self::Save => "app.user_access_token.save.app_error",
            Self::Search => "app.user_access_token.search.app_error",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::CountNonCompliant => "Unable to count the non-compliant personal access tokens.",
            Self::Delete => "Unable to delete the personal access token.",
            Self::Disable => "Unable to disable the personal access token.",
            Self::Enable => "Unable to enable the personal access token.",
            Self::GetAll => "Unable to get all personal access tokens.",
            Self::GetByUser => "Unable to get the personal access tokens by user.",
            Self::GetExpiring => "Unable to get the expiring personal access tokens.",
            Self::RevokeNonCompliant => {
                "Unable to revoke all non-compliant personal access tokens. Some may be revoked."
            }
            Self::Rotate => "Unable to rotate the personal access token.",
            Self::Save => "Unable to save the personal access token.",
            Self::Search => "Unable to search the personal access tokens.",
        }
    }
}
