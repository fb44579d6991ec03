//! What a request that is not served is told, in the envelope of whichever transport asked.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use super::code::Code;

/// A failure by the product's own id, which its clients tell apart; the message is for people.
///
/// As a response it has the envelope of the product's REST routes. Its calls have another one,
/// which the routes of this face give it themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The body is longer than is read.
    BodyTooLarge,
    /// A filter asks for nothing.
    EmptyFilter,
    /// The expiry is now or was before.
    ExpiryInPast,
    /// The host's policy wants an expiry. The product knows no such limit, so neither does it know
    /// this id.
    ExpiryRequired,
    /// The expiry is later than the host's policy allows, of which the same is true.
    ExpiryTooFar {
        /// The longest lifetime.
        days: i64,
    },
    /// What a route of the host's own says, in the same envelope.
    Host {
        /// The kind of failure.
        code: Code,
        /// The id, as the product has it; empty for none.
        id: &'static str,
        /// What a person reads.
        message: &'static str,
    },
    /// The header is there, and holds no bearer token.
    InvalidAuthorization,
    /// A field breaks a rule.
    InvalidField {
        /// The message that it is a field of.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// The filter at this place names an id that is too long.
    InvalidFilter {
        /// The place, counted from zero.
        at: usize,
    },
    /// One answer for all tokens that are not accepted.
    InvalidToken,
    /// More is asked for at once than is given.
    LimitExceeded,
    /// The body cannot be read as the message that is asked for; with what is wrong about it.
    Malformed(String),
    /// The call is in no format that is read here.
    MediaType,
    /// There is no header that says who asks.
    MissingAuthorization,
    /// The caller belongs to no organization, and names none.
    MissingOrganization,
    /// There is no such token, or it is removed, or another account's.
    MissingToken,
    /// There is no such account in the organization.
    MissingUser,
    /// Tokens are for service accounts.
    NotAMachine,
    /// The caller may not do this. Whether there is what it would have been done to is not said.
    NotPermitted,
    /// The caller may not do this to this account, as v2 says it; likewise.
    NotPermittedOnUser,
    /// There is nothing here for this method.
    OtherMethod,
    /// The account is deactivated. The product would make the token, so it has no such id.
    OwnerNotActive,
    /// The account has as many tokens as the host's policy allows, which the product knows nothing
    /// of either.
    QuotaReached,
    /// The token was used as often as its rate allows, of which the product knows nothing.
    RateLimited {
        /// After how many seconds it may be used again.
        seconds: u64,
    },
    /// There are too many tokens to be sorted by what the store cannot sort them by.
    TooManyToSort,
    /// Nobody can say now: 503, so that clients try again.
    Unavailable,
    /// There is no such organization.
    UnknownOrganization,
    /// There is no such route.
    UnknownRoute,
    /// There is no such token, as looking one up says it.
    UnknownToken,
    /// There is no such account, as v2 says it of one whose token is to be removed.
    UnknownUser,
    /// No token of this host looks like that.
    UnreadableToken,
}

/// How a request is made, which decides how a failure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// A call of a procedure: the path is its name, and the body all its parameters.
    Connect,
    /// A resource: fields are in the path too.
    Rest,
}

impl Failure {
    /// The kind of failure.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.told().0
    }

    /// The product's id, where it has one.
    #[must_use]
    pub fn id(&self) -> Option<&'static str> {
        Some(self.told().1).filter(|id| !id.is_empty())
    }

    const fn told(&self) -> (Code, &'static str) {
        match self {
            Self::BodyTooLarge => (Code::ResourceExhausted, ""),
            Self::EmptyFilter => (Code::InvalidArgument, "GRPC-vR9nC"),
            Self::ExpiryInPast => (Code::InvalidArgument, "DOMAIN-dv3t5"),
            Self::ExpiryRequired => (Code::InvalidArgument, "DOMAIN-expiryRequired"),
            Self::ExpiryTooFar { .. } => (Code::InvalidArgument, "DOMAIN-expiryTooFar"),
            Self::Host { code, id, .. } => (*code, id),
            Self::InvalidAuthorization => (Code::Unauthenticated, "AUTH-7fs1e"),
            Self::InvalidField { .. } | Self::InvalidFilter { .. } | Self::Malformed(_) => {
                (Code::InvalidArgument, "")
            }
            Self::InvalidToken => (Code::Unauthenticated, "APP-BxUSiL"),
            Self::LimitExceeded => (Code::InvalidArgument, "QUERY-4M0fs"),
            Self::MediaType => (Code::Unimplemented, ""),
            Self::MissingAuthorization => (Code::Unauthenticated, ""),
            Self::MissingOrganization => (Code::InvalidArgument, "COMMAND-xs0k2n"),
            Self::MissingToken => (Code::NotFound, "COMMAND-4m77G"),
            Self::MissingUser => (Code::FailedPrecondition, "COMMAND-Dggw2"),
            Self::NotAMachine => (Code::FailedPrecondition, "COMMAND-Df2f1"),
            Self::NotPermitted => (Code::PermissionDenied, "AUTH-5mWD2"),
            Self::NotPermittedOnUser => (Code::PermissionDenied, "AUTH-AWfge"),
            Self::OtherMethod => (Code::Unimplemented, ""),
            Self::OwnerNotActive => (Code::FailedPrecondition, "COMMAND-notActive"),
            Self::QuotaReached => (Code::ResourceExhausted, "COMMAND-quotaReached"),
            Self::RateLimited { .. } => (Code::ResourceExhausted, ""),
            Self::TooManyToSort => (Code::ResourceExhausted, "QUERY-tooMany"),
            Self::Unavailable => (Code::Unavailable, ""),
            Self::UnknownOrganization => (Code::PermissionDenied, "AUTH-Bs7Ds"),
            Self::UnknownRoute => (Code::NotFound, ""),
            Self::UnknownToken => (Code::NotFound, "QUERY-fRunu"),
            Self::UnknownUser => (Code::NotFound, "COMMAND-4g3xq"),
            Self::UnreadableToken => (Code::Unauthenticated, "APP-Reb32"),
        }
    }

    /// What a person reads, in the product's English. Some are names of texts that it has lost.
    #[must_use]
    pub fn message(&self) -> Cow<'_, str> {
        match self {
            Self::BodyTooLarge => "received message larger than max",
            Self::EmptyFilter => "List.Query.Invalid",
            Self::ExpiryInPast => "Errors.AuthNKey.ExpireBeforeNow",
            Self::ExpiryRequired => "Expiration date missing",
            Self::ExpiryTooFar { days } => {
                return format!("Expiration date more than {days} days ahead").into();
            }
            Self::Host { message, .. } => message,
            Self::InvalidAuthorization => "invalid auth header",
            Self::InvalidField { message, field, rule } => {
                return format!("invalid {message}.{field}: {rule}").into();
            }
            Self::InvalidFilter { at } => {
                return format!(
                    "invalid ListPersonalAccessTokensRequest.Filters[{at}]: embedded message \
                     failed validation | caused by: value length must be at most 200 runes"
                )
                .into();
            }
            Self::InvalidToken | Self::UnreadableToken => "invalid token",
            Self::LimitExceeded => "Limit exceeded",
            Self::Malformed(what) => return format!("proto: {what}").into(),
            Self::MediaType => "unsupported content type",
            Self::MissingAuthorization => "auth header missing",
            Self::MissingOrganization => "Resource Owner Organisation missing",
            Self::MissingToken => "Personal Access Token not found",
            Self::MissingUser => "User could not be found",
            Self::NotAMachine => "Not allowed for this user type",
            Self::NotPermitted | Self::NotPermittedOnUser => "No matching permissions found",
            Self::OtherMethod => "Method Not Allowed",
            Self::OwnerNotActive => "User is not active",
            Self::QuotaReached => "The user has as many Personal Access Tokens as it may have",
            Self::RateLimited { .. } => "token used too often",
            Self::TooManyToSort => "Too many results to be sorted by this",
            Self::Unavailable => "temporarily unavailable",
            Self::UnknownOrganization => "Organisation doesn't exist",
            Self::UnknownRoute => "Not Found",
            Self::UnknownToken => "Errors.PersonalAccessToken.NotFound",
            Self::UnknownUser => "Errors.NotFound",
        }
        .into()
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::OtherMethod => StatusCode::METHOD_NOT_ALLOWED,
            _ => self.code().status(),
        }
    }

    /// The answer to a request that was made like this.
    pub(super) fn response(&self, dialect: Dialect) -> Response {
        let status = self.status();
        let mut response = match (dialect, self) {
            // The protocol of calls answers these by their statuses alone.
            (Dialect::Connect, Self::MediaType | Self::OtherMethod) => status.into_response(),
            _ => (status, [(CONTENT_TYPE, "application/json")], self.body(dialect)).into_response(),
        };
        let headers = response.headers_mut();
        if let Self::RateLimited { seconds } = self {
            headers.insert(RETRY_AFTER, (*seconds).into());
        }
        match status {
            // A 401 names what would be accepted (RFC 9110, section 15.5.2).
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                let accepted = HeaderValue::from_static("application/json");
                headers.insert(HeaderName::from_static("accept-post"), accepted);
            }
            StatusCode::METHOD_NOT_ALLOWED if dialect == Dialect::Connect => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            _ => {}
        }
        response
    }

    fn body(&self, dialect: Dialect) -> String {
        let (code, text) = (self.code(), self.message());
        let message = match self.id() {
            Some(id) => format!("{text} ({id})"),
            None => text.to_string(),
        };
        let told = self.id().map(|id| Told { id, message: &text });
        let body = match dialect {
            Dialect::Rest => {
                let kind = "type.googleapis.com/zitadel.v1.ErrorDetail";
                let detail = told.map(|told| RestDetail { kind, told });
                serde_json::to_string(&Envelope {
                    code: code.number(),
                    message,
                    details: detail.as_slice(),
                })
            }
            Dialect::Connect => {
                let detail = told.map(|told| ConnectDetail {
                    kind: "zitadel.v1.ErrorDetail",
                    value: STANDARD_NO_PAD.encode(told.encoded()),
                    debug: told,
                });
                serde_json::to_string(&Envelope {
                    code: code.name(),
                    message,
                    details: detail.as_slice(),
                })
            }
        };
        // Texts and numbers under fixed keys: nothing that could fail to be written.
        body.unwrap_or_default()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.response(Dialect::Rest)
    }
}

#[derive(Serialize)]
struct Envelope<'a, C, D> {
    code: C,
    message: String,
    #[serde(skip_serializing_if = "<[D]>::is_empty")]
    details: &'a [D],
}

#[derive(Serialize)]
struct RestDetail<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    #[serde(flatten)]
    told: Told<'a>,
}

#[derive(Serialize)]
struct ConnectDetail<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
    debug: Told<'a>,
}

/// The product's `ErrorDetail`.
#[derive(Serialize)]
struct Told<'a> {
    id: &'static str,
    message: &'a str,
}

impl Told<'_> {
    /// In protocol buffers: two texts, under the numbers 1 and 2.
    fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, text) in [(0x0a, self.id), (0x12, self.message)] {
            bytes.push(tag);
            let mut length = text.len();
            while length >= 0x80 {
                bytes.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
                length >>= 7;
            }
            bytes.push(u8::try_from(length).unwrap_or_default());
            bytes.extend(text.bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests;
