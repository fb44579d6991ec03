//! What a request presents: the `Authorization` header, read strictly.
//!
//! The header holds `auth-scheme 1*SP ( token68 / #auth-param )` ([RFC 9110] §11.4 and §11.6.2);
//! a bearer token is `"Bearer" 1*SP b64token` ([RFC 6750] §2.1). The scheme is read in any case,
//! and one or more spaces follow it, since both documents say `1*SP`. All else is exact: what is
//! not read one way by every reader is refused, not guessed at.
//!
//! Lengths are checked before characters and nothing is allocated, so what a header costs is
//! bounded. No error holds any of the request's text, so errors are safe to log.
//!
//! A server trims the blanks around a header's value (RFC 9110 §5.5) before this module sees it;
//! blanks that are still there are refused.
//!
//! [RFC 6750]: https://www.rfc-editor.org/rfc/rfc6750
//! [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110

use std::{fmt, str};

use http::{HeaderMap, header};
use thiserror::Error;

use crate::http::query::has_access_token;

/// What the `Authorization` header of a request presents.
///
/// A request that cannot be read one way is none of these; it is a [`BearerError`]. In particular
/// an empty header is not an absent one.
///
/// ```
/// use http::{HeaderMap, HeaderValue, Uri, header::AUTHORIZATION};
/// use keyfob::http::{BearerError, Presented};
///
/// let uri = Uri::from_static("/channels?page=2");
/// let mut headers = HeaderMap::new();
/// assert!(matches!(Presented::read(&headers, uri.query()), Ok(Presented::Absent)));
///
/// headers.insert(AUTHORIZATION, HeaderValue::from_static("bearer kf_example"));
/// let Presented::Bearer(text) = Presented::read(&headers, uri.query())? else { unreachable!() };
/// assert_eq!(text.expose_secret(), "kf_example");
///
/// headers.append(AUTHORIZATION, HeaderValue::from_static(""));
/// let refused = Presented::read(&headers, uri.query());
/// assert!(matches!(refused, Err(BearerError::TwoHeaders)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a request is let in for what it presents, not for having been read"]
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a header is absent, another scheme's or a bearer's")]
pub enum Presented<'a> {
    /// There is no `Authorization` header.
    Absent,
    /// A bearer token's text; whether it is one of ours is for the registry of prefixes to say.
    Bearer(BearerText<'a>),
    /// Well-formed credentials of another scheme, for the host's own authentication to read.
    OtherScheme,
}

impl<'a> Presented<'a> {
    /// Reads the headers of a request and the query of its URI (`uri.query()`).
    ///
    /// The query is read only to refuse `access_token` in it, however it is percent-encoded and
    /// whatever the header holds: a URI is written to logs, histories and `Referer` headers, which
    /// is why RFC 6750 §2.3 says that tokens should not be sent there and RFC 9700 §4.3.2 that
    /// they must not. Such a token is never hashed, since accepting it would keep the client doing
    /// it. Request bodies are not read.
    ///
    /// # Errors
    ///
    /// [`QueryToken`](BearerError::QueryToken) before all others,
    /// [`TwoHeaders`](BearerError::TwoHeaders), [`TooLong`](BearerError::TooLong) and
    /// [`Malformed`](BearerError::Malformed).
    pub fn read(headers: &'a HeaderMap, query: Option<&str>) -> Result<Self, BearerError> {
        if query.is_some_and(has_access_token) {
            return Err(BearerError::QueryToken);
        }
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self::Absent),
            (Some(value), None) => credentials(value.as_bytes()),
            (Some(_), Some(_)) => Err(BearerError::TwoHeaders),
        }
    }

    /// Refuses a bearer token next to a credential that the host found elsewhere.
    ///
    /// A host that accepts tokens in another place too, such as an `X-Auth-Token` header or a
    /// cookie, says here whether this request has one. Two that name different owners would let
    /// whoever reads first decide, so the request is refused whether or not they agree (RFC 6750
    /// §2). A cookie that the host ignores wherever there is a token is no second credential.
    ///
    /// # Errors
    ///
    /// [`TwoTransports`](BearerError::TwoTransports).
    pub fn sole(self, elsewhere: bool) -> Result<Self, BearerError> {
        match self {
            Self::Bearer(_) if elsewhere => Err(BearerError::TwoTransports),
            Self::Absent | Self::Bearer(_) | Self::OtherScheme => Ok(self),
        }
    }
}

/// The text of a bearer token, unproven: a `b64token` of 1 to [`MAX_TOKEN_LENGTH`] bytes.
///
/// Only reading a request makes one. It can be shown and nothing else; `Debug` says that
/// something is hidden.
///
/// ```compile_fail,E0599
/// fn twice(text: keyfob::http::BearerText<'_>) { let _ = text.clone(); }
/// ```
/// ```compile_fail,E0277
/// fn shown(text: keyfob::http::BearerText<'_>) { let _ = format!("{text}"); }
/// ```
/// ```compile_fail,E0369
/// use keyfob::http::BearerText;
/// fn compared(a: BearerText<'_>, b: BearerText<'_>) { let _ = a == b; }
/// ```
pub struct BearerText<'a>(&'a str);

impl<'a> BearerText<'a> {
    /// The text as the client sent it, to be looked up.
    #[must_use]
    pub fn expose_secret(&self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for BearerText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerText(hidden)")
    }
}

/// Why a request's credentials cannot be read.
///
/// To a client each of them is `400 invalid_request` (RFC 6750 §3.1), never an absent token: a
/// request that meant to authenticate must not go on as somebody else, or as nobody.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum BearerError {
    /// The header is not exactly one scheme and its credentials.
    #[error("the authorization header is not one scheme and its credentials")]
    Malformed,
    /// The query of the URI has an `access_token`: whatever token it holds is in the logs by now.
    #[error("the query has an access token")]
    QueryToken,
    /// The bearer token is longer than [`MAX_TOKEN_LENGTH`], or the header than 64 KiB.
    #[error("the authorization header is too long")]
    TooLong,
    /// There are several `Authorization` headers, be they equal or empty.
    #[error("there are several authorization headers")]
    TwoHeaders,
    /// A bearer token stands next to a credential in another place.
    #[error("there are credentials in more than one place")]
    TwoTransports,
}

impl BearerError {
    /// The error's name, which stays the same in every release.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::QueryToken => "query_token",
            Self::TooLong => "too_long",
            Self::TwoHeaders => "two_headers",
            Self::TwoTransports => "two_transports",
        }
    }
}

/// Reads the value of one `Authorization` header.
fn credentials(value: &[u8]) -> Result<Presented<'_>, BearerError> {
    if value.len() > MAX_VALUE_LENGTH {
        return Err(BearerError::TooLong);
    }
    if let Some(offered) = offered(value) {
        return bearer(offered).map(Presented::Bearer);
    }
    if is_other_scheme(value) { Ok(Presented::OtherScheme) } else { Err(BearerError::Malformed) }
}

/// What the value of an `Authorization` header offers as a bearer token, whatever it is.
#[inline]
pub(super) fn offered(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_first_chunk::<6>()?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer") && rest.starts_with(b" ");
    is_bearer.then(|| after(rest, is_space))
}

fn bearer(offered: &[u8]) -> Result<BearerText<'_>, BearerError> {
    if offered.len() > MAX_TOKEN_LENGTH {
        return Err(BearerError::TooLong);
    }
    if !is_token68(offered) {
        return Err(BearerError::Malformed);
    }
    str::from_utf8(offered).map(BearerText).map_err(|_| BearerError::Malformed)
}

/// Whether the value is a scheme and its credentials.
///
/// A scheme without credentials is refused: it authenticates nothing, and a token that was sent
/// without its scheme looks like one, and would be handed to code that may log it.
fn is_other_scheme(value: &[u8]) -> bool {
    let Some(rest @ [b' ', ..]) = after_some(value, is_token) else { return false };
    let offered = after(rest, is_space);
    let trimmed = !matches!(offered, [b'\t', ..] | [.., b' ' | b'\t']);
    trimmed && (is_token68(offered) || is_parameters(offered))
}

/// `token68`, of which `b64token` is the older name.
///
/// Every byte is looked at, also behind a wrong one: without an early exit the compiler takes
/// many bytes at a time, and this is on the path of every request.
fn is_token68(bytes: &[u8]) -> bool {
    let mut body = bytes;
    while let [start @ .., b'='] = body {
        body = start;
    }
    !body.is_empty()
        && body.iter().fold(true, |all, byte| {
            all & (byte.is_ascii_alphanumeric()
                | matches!(byte, b'-' | b'.' | b'/')
                | matches!(byte, b'+' | b'_' | b'~'))
        })
}

/// `#auth-param` with at least one parameter; empty places in the list are skipped, as RFC 9110
/// §5.6.1.2 asks.
fn is_parameters(list: &[u8]) -> bool {
    let mut found = false;
    let mut rest = list;
    loop {
        rest = match after(rest, is_blank) {
            [] => return found,
            [b',', next @ ..] => next,
            parameter => match after_parameter(parameter) {
                Some(next) => {
                    found = true;
                    next
                }
                None => return false,
            },
        };
    }
}

/// What follows `token BWS "=" BWS ( token / quoted-string )`, if a comma or the end does.
///
/// A value without quotes may hold any visible character but the quote and the comma, since
/// schemes that sign requests write paths and lists there. Without blanks and commas it cannot
/// hide a second scheme.
fn after_parameter(list: &[u8]) -> Option<&[u8]> {
    let name_end = after_some(list, is_token)?;
    let value = after(after(name_end, is_blank).strip_prefix(b"=")?, is_blank);
    let value_end = match value {
        [b'"', quoted @ ..] => after_quoted(quoted)?,
        _ => after_some(value, |byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b','))?,
    };
    let rest = after(value_end, is_blank);
    matches!(rest, [] | [b',', ..]).then_some(rest)
}

/// What follows a `quoted-string` whose first quote is behind us.
fn after_quoted(quoted: &[u8]) -> Option<&[u8]> {
    let mut rest = quoted;
    loop {
        rest = match rest {
            [b'"', next @ ..] => return Some(next),
            [b'\\', escaped, next @ ..] if is_text(escaped) => next,
            [byte, next @ ..] if is_text(byte) => next,
            _ => return None,
        };
    }
}

/// What follows the leading bytes that are accepted.
fn after(bytes: &[u8], accepts: impl Fn(&u8) -> bool) -> &[u8] {
    let mut rest = bytes;
    while let [first, next @ ..] = rest
        && accepts(first)
    {
        rest = next;
    }
    rest
}

/// What follows the leading bytes that are accepted, if there are any.
fn after_some(bytes: &[u8], accepts: impl Fn(&u8) -> bool) -> Option<&[u8]> {
    let rest = after(bytes, accepts);
    (rest.len() < bytes.len()).then_some(rest)
}

/// `OWS` and `BWS`.
fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_space(byte: &u8) -> bool {
    *byte == b' '
}

/// What a `quoted-string` may hold: blanks, visible characters and `obs-text`.
fn is_text(byte: &u8) -> bool {
    *byte == b'\t' || !byte.is_ascii_control()
}

/// `tchar`.
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// The longest bearer token that is read, in bytes.
///
/// Several times the length of this crate's tokens, and small enough to hash on every request. A
/// host that also takes longer bearer tokens of another kind, such as JWTs, reads those first.
pub const MAX_TOKEN_LENGTH: usize = 512;

/// 64 KiB, for schemes that are not ours: Windows keeps Kerberos tickets at 48,000 bytes so that
/// their base64 fits in a header of this length.
const MAX_VALUE_LENGTH: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::AUTHORIZATION;
    use proptest::prelude::*;

    use super::*;

    /// What a reading says, in a form that can be compared: the token, `-` for none, `?` for
    /// another scheme, or the error's code.
    fn said<'a>(reading: &Result<Presented<'a>, BearerError>) -> &'a str {
        match reading {
            Ok(Presented::Absent) => "-",
            Ok(Presented::Bearer(text)) => text.expose_secret(),
            Ok(Presented::OtherScheme) => "?",
            Err(error) => error.code(),
        }
    }

    fn says(value: &[u8]) -> &str {
        said(&credentials(value))
    }

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for scheme in ["Bearer", "bearer", "BEARER", "BeArEr"] {
            assert_eq!(says(format!("{scheme} kf_a1").as_bytes()), "kf_a1", "{scheme}");
        }
    }

    #[test]
    fn one_space_or_more_follows_the_scheme() {
        for spaces in 1..9 {
            assert_eq!(says(format!("Bearer{}kf_a1", " ".repeat(spaces)).as_bytes()), "kf_a1");
        }
    }

    #[test]
    fn a_token_is_a_b64token() {
        for token in ["a", "0", "kf_a1", "a.b-c~d+e/f_g", "-", "QUJD=", "QUI==", "a==="] {
            assert_eq!(says(format!("Bearer {token}").as_bytes()), token);
        }
        for token in ["=", "==", "a=b", "a=.", "=a", "a==b=", "a:b", "a|b", "{a}", "\"a\"", "a%20"]
        {
            assert_eq!(says(format!("Bearer {token}").as_bytes()), "malformed", "{token}");
        }
    }

    #[test]
    fn no_other_byte_stands_anywhere_in_a_token() {
        let b64token = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
        for byte in (0..=u8::MAX).filter(|byte| !b64token.contains(byte)) {
            let inside = [b"Bearer kf_".as_slice(), &[byte], b"a1"].concat();
            assert_eq!(says(&inside), "malformed", "{byte:#04x} inside");
            let twice = [b"Bearer ".as_slice(), &[byte, byte], b"kf_a1"].concat();
            let expected = if byte == b' ' { "kf_a1" } else { "malformed" };
            assert_eq!(says(&twice), expected, "{byte:#04x} before");
            let behind = [b"Bearer kf_a1".as_slice(), &[byte]].concat();
            let expected = if byte == b'=' { "kf_a1=" } else { "malformed" };
            assert_eq!(says(&behind), expected, "{byte:#04x} behind");
        }
    }

    #[test]
    fn what_is_not_one_credential_is_malformed() {
        let table: &[(&str, &[u8])] = &[
            ("empty", b""),
            ("a space", b" "),
            ("a tab", b"\t"),
            ("a scheme alone", b"Bearer"),
            ("a scheme and a space", b"Bearer "),
            ("a scheme and spaces", b"Bearer    "),
            ("another scheme alone", b"Negotiate"),
            ("another scheme and a space", b"Basic "),
            ("a token alone", b"kf_a1"),
            ("a tab for the space", b"Bearer\tkf_a1"),
            ("a tab after the space", b"Bearer \tkf_a1"),
            ("a tab before the space", b"Bearer\t kf_a1"),
            ("a leading space", b" Bearer kf_a1"),
            ("a leading space and one word", b" kf_a1"),
            ("a leading tab", b"\tBearer kf_a1"),
            ("a trailing space", b"Bearer kf_a1 "),
            ("a trailing tab", b"Bearer kf_a1\t"),
            ("a trailing line end", b"Bearer kf_a1\r\n"),
            ("a trailing NUL", b"Bearer kf_a1\0"),
            ("a NUL for the space", b"Bearer\0kf_a1"),
            ("a leading NUL", b"\0Bearer kf_a1"),
            ("a folded line", b"Bearer\r\n kf_a1"),
            ("a folded token", b"Bearer kf_\r\n a1"),
            ("a second header inside", b"Bearer kf_a1\r\nX-Admin: yes"),
            ("a leading BOM", b"\xef\xbb\xbfBearer kf_a1"),
            ("a BOM before the token", b"Bearer \xef\xbb\xbfkf_a1"),
            ("a no-break space", "Bearer\u{a0}kf_a1".as_bytes()),
            ("a zero-width space", "Bearer kf_\u{200b}a1".as_bytes()),
            ("full-width digits", "Bearer kf_\u{ff41}\u{ff11}".as_bytes()),
            ("a full-width scheme", "\u{ff22}earer kf_a1".as_bytes()),
            ("a long s in a scheme", "Ba\u{17f}ic QTpC".as_bytes()),
            ("a right-to-left override", "Bearer \u{202e}kf_a1".as_bytes()),
            ("Latin-1", b"Bearer kf_\xe9"),
            ("0xff", b"Bearer \xff"),
            ("overlong UTF-8", b"Bearer \xc1\xa1"),
            ("DEL", b"Bearer kf_a1\x7f"),
            ("a word before", b"junk Bearer kf_a1"),
            ("the scheme twice", b"Bearer Bearer kf_a1"),
            ("a word behind", b"Bearer kf_a1 extra"),
            ("two tokens", b"Bearer kf_a1, kf_a2"),
            ("two tokens without a space", b"Bearer kf_a1,kf_a2"),
            ("two bearers", b"Bearer kf_a1, Bearer kf_a2"),
            ("another scheme behind", b"Bearer kf_a1, Basic QTpC"),
            ("a bearer behind token68", b"Basic QTpC, Bearer kf_a1"),
            ("a bearer behind padding", b"Basic QTo=, Bearer kf_a1"),
            ("a bearer behind parameters", b"Digest a=b, Bearer kf_a1"),
            ("a bearer behind a quoted string", b"Digest a=\"b\", Bearer kf_a1"),
            ("a trailing comma", b"Bearer kf_a1,"),
            ("a leading comma", b",Bearer kf_a1"),
            ("a comma for the space", b"Bearer,kf_a1"),
            ("a colon for the space", b"Bearer: kf_a1"),
            ("an equals sign for the space", b"Bearer=kf_a1"),
            ("a quoted token", b"Bearer \"kf_a1\""),
            ("a parameter", b"Bearer token=kf_a1"),
            ("a quoted scheme", b"\"Bearer\" kf_a1"),
        ];
        for (fact, value) in table {
            assert_eq!(says(value), "malformed", "{fact}");
        }
    }

    #[test]
    fn well_formed_credentials_of_another_scheme_are_not_ours() {
        let table: &[&[u8]] = &[
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            b"basic QTpC",
            b"Token kf_a1",
            b"Bearerx kf_a1",
            b"xBearer kf_a1",
            b"Bear kf_a1",
            b"Bearer-2 kf_a1",
            b"Negotiate  YIIB",
            b"Digest username=\"A\", realm=\"a, Bearer b\", nc=00000001, qop=auth",
            b"Digest username=\"\\\"\\\\\",uri=\"/a?b=c\"",
            b"Digest username=\"J\xc3\xa9r\xf4me\"",
            b"Digest a=\"b\tc\"",
            b"Digest a=b ,\t,c = \"d\"",
            b"Digest ,a=b,",
            b"AWS4-HMAC-SHA256 Credential=A/20260101/x/s3/aws4_request, SignedHeaders=host;date",
        ];
        for value in table {
            assert_eq!(says(value), "?", "{}", value.escape_ascii());
        }
    }

    #[test]
    fn ill_formed_credentials_of_another_scheme_are_malformed() {
        let table: &[&[u8]] = &[
            b"Basic QTpC QTpC",
            b"Basic QTpC\0",
            b"Basic\tQTpC",
            b"Basic \tQTpC",
            b"Digest \ta=b",
            b"Basic QTpC ",
            b"B\xe9sic QTpC",
            b"Digest ,",
            b"Digest\ta=b",
            b"Digest,a=b",
            b"Digest a=b ",
            b"Digest a=b\t",
            b"Digest a=b\"c",
            b"Digest a:b",
            b"Digest a= ",
            b"Digest a= ,",
            b"Digest =a",
            b"Digest a=b c=d",
            b"Digest a=b;c d",
            b"Digest a=\"",
            b"Digest a=\"b",
            b"Digest a=\"b\\",
            b"Digest a=\"b\\\"",
            b"Digest a=\"b\"c",
            b"Digest a=\"\r\n b\"",
            b"Digest a=\"\\\0\"",
            b"Digest a=b\x7f",
            b"Digest a=\xc3\xa9",
        ];
        for value in table {
            assert_eq!(says(value), "malformed", "{}", value.escape_ascii());
        }
    }

    #[test]
    fn a_token_above_the_limit_is_too_long_whatever_it_holds() {
        for length in [1, 2, 511, 512] {
            let token = "a".repeat(length);
            assert_eq!(says(format!("Bearer   {token}").as_bytes()), token);
        }
        for length in [513, 514, 8 << 10, 1 << 20, 16 << 20] {
            for byte in [b'a', b'=', b',', 0, 0xff] {
                let value = [b"Bearer ".to_vec(), vec![byte; length]].concat();
                assert_eq!(says(&value), "too_long", "{length} times {byte:#04x}");
            }
        }
    }

    #[test]
    fn padding_counts_towards_the_limit() {
        let token = format!("{}==", "a".repeat(510));
        assert_eq!(says(format!("Bearer {token}").as_bytes()), token);
        assert_eq!(says(format!("Bearer a{token}").as_bytes()), "too_long");
    }

    #[test]
    fn other_schemes_have_room_for_kerberos_and_no_more() {
        let ticket = "A".repeat(64_000);
        assert_eq!(says(format!("Negotiate {ticket}").as_bytes()), "?");
        assert_eq!(says("B".repeat(MAX_VALUE_LENGTH).as_bytes()), "malformed");
        assert_eq!(says("B".repeat(MAX_VALUE_LENGTH + 1).as_bytes()), "too_long");
        assert_eq!(says(format!("Basic {}", "A".repeat(1 << 20)).as_bytes()), "too_long");
        assert_eq!(says(" ".repeat(1 << 20).as_bytes()), "too_long");
    }

    #[test]
    fn no_header_is_absent_and_an_empty_one_is_malformed() {
        assert_eq!(said(&Presented::read(&HeaderMap::new(), None)), "-");
        assert_eq!(said(&Presented::read(&headers(&[""]), None)), "malformed");
    }

    #[test]
    fn two_headers_are_refused_whatever_they_hold() {
        let values = ["Bearer kf_a1", "Bearer kf_a2", "Basic QTpC", "", "junk"];
        for first in values {
            assert_ne!(said(&Presented::read(&headers(&[first]), None)), "two_headers");
            for second in values {
                let both = headers(&[first, second]);
                assert_eq!(said(&Presented::read(&both, None)), "two_headers");
            }
        }
    }

    #[test]
    fn a_header_of_another_name_is_not_read() {
        for name in ["proxy-authorization", "x-authorization", "authorization_", "x-auth-token"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("Bearer kf_a1"));
            assert_eq!(said(&Presented::read(&headers, None)), "-", "{name}");
        }
    }

    #[test]
    fn a_token_in_the_query_is_refused_before_any_header_is_read() {
        let queries = [
            "access_token=kf_a1",
            "access_token=",
            "access_token",
            "page=2&access_token=kf_a1",
            "access_token=kf_a1&page=2",
            "&&access_token=kf_a1",
            "access%5ftoken=kf_a1",
            "access%5Ftoken=kf_a1",
            "%61%63%63%65%73%73%5F%74%6f%6b%65%6e=kf_a1",
        ];
        for query in queries {
            for values in [&[][..], &["Bearer kf_a1"], &["Basic QTpC"], &[""], &["", ""]] {
                let headers = headers(values);
                let reading = Presented::read(&headers, Some(query));
                assert_eq!(said(&reading), "query_token", "{query} with {values:?}");
            }
        }
    }

    #[test]
    fn a_query_that_only_resembles_one_is_left_alone() {
        let queries = [
            "",
            "&",
            "=",
            "page=2",
            "q=access_token",
            "q=access_token=kf_a1",
            "q%3daccess_token=kf_a1",
            "access_token%3d=x",
            "my_access_token=x",
            "access_tokens=x",
            "access_toke=x",
            "Access_Token=x",
            "access%255ftoken=x",
            "access%token=x",
            "access%5=x",
            "access_token%=x",
            "access_token%0=x",
            "access_token%00=x",
            "access%+5token=x",
        ];
        for query in queries {
            let headers = headers(&["Bearer kf_a1"]);
            assert_eq!(said(&Presented::read(&headers, Some(query))), "kf_a1", "{query}");
        }
    }

    #[test]
    fn a_bearer_token_next_to_another_credential_is_refused() {
        let table = [
            (&[][..], false, "-"),
            (&[][..], true, "-"),
            (&["Basic QTpC"][..], false, "?"),
            (&["Basic QTpC"][..], true, "?"),
            (&["Bearer kf_a1"][..], false, "kf_a1"),
            (&["Bearer kf_a1"][..], true, "two_transports"),
            (&["Bearer"][..], true, "malformed"),
        ];
        for (values, elsewhere, expected) in table {
            let headers = headers(values);
            let reading = Presented::read(&headers, None).and_then(|it| it.sole(elsewhere));
            assert_eq!(said(&reading), expected, "{values:?} and {elsewhere}");
        }
    }

    #[test]
    fn what_is_formatted_never_holds_the_token() {
        let reading = credentials(b"Bearer kf_a1");
        assert_eq!(format!("{reading:?}"), "Ok(Bearer(BearerText(hidden)))");
        for value in ["Bearer kf_a1 kf_a1", "kf_a1"] {
            let refused = credentials(value.as_bytes()).err();
            assert!(refused.is_some_and(|error| !format!("{error:?} {error}").contains("kf_a1")));
        }
    }

    #[test]
    fn codes_are_the_names_of_the_errors() {
        let table = [
            (BearerError::Malformed, "malformed"),
            (BearerError::QueryToken, "query_token"),
            (BearerError::TooLong, "too_long"),
            (BearerError::TwoHeaders, "two_headers"),
            (BearerError::TwoTransports, "two_transports"),
        ];
        for (error, code) in table {
            assert_eq!(error.code(), code);
        }
    }

    /// Well-formed values, most of them with an edit or two.
    fn near_the_grammar() -> impl Strategy<Value = Vec<u8>> {
        let offered = prop_oneof![
            4 => "[A-Za-z0-9._~+/-]{1,40}={0,3}",
            1 => "[a-z]{505,515}={0,3}",
            1 => "[a-z]{1,3} ?= ?([a-z/;]{1,9}|\"[ -!#-~]{0,9}\")(, [a-z]=[a-z]){0,2}",
        ];
        let value = ("(?i)bearer|Basic|Digest", " {1,3}", offered);
        let byte = prop_oneof![any::<u8>(), prop::sample::select(b" \t,=\"\\\0\r\nBa".as_slice())];
        let edit = (any::<prop::sample::Index>(), 0..2_usize, prop::option::of(byte));
        (value, prop::collection::vec(edit, 0..3)).prop_map(|((scheme, spaces, offered), edits)| {
            let mut value = format!("{scheme}{spaces}{offered}").into_bytes();
            for (place, removed, inserted) in edits {
                let place = place.index(value.len());
                let tail = value.split_off(place);
                value.extend(inserted.into_iter().chain(tail.into_iter().skip(removed)));
            }
            value
        })
    }

    /// The grammar of a bearer token's header, said in other words than the parser's.
    fn bearer_by_the_book(value: &[u8]) -> Option<&str> {
        let text = str::from_utf8(value).ok()?;
        let (scheme, spaced) = text.split_at_checked(6)?;
        let token = spaced.trim_start_matches(' ');
        let body = token.trim_end_matches('=');
        let right = scheme.eq_ignore_ascii_case("bearer")
            && spaced.starts_with(' ')
            && (1..=512).contains(&token.len())
            && !body.is_empty()
            && body.chars().all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        right.then_some(token)
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            value in prop::collection::vec(any::<u8>(), 0..2000),
            query in any::<Option<String>>(),
        ) {
            let _ = credentials(&value);
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(AUTHORIZATION, value);
            }
            let _ = Presented::read(&headers, query.as_deref());
        }

        #[test]
        fn the_parser_accepts_what_the_grammar_says(value in near_the_grammar()) {
            let accepted = match credentials(&value) {
                Ok(Presented::Bearer(text)) => Some(text.expose_secret()),
                _ => None,
            };
            prop_assert_eq!(accepted, bearer_by_the_book(&value));
        }

        #[test]
        fn what_is_accepted_prints_back(value in near_the_grammar()) {
            if let Ok(Presented::Bearer(text)) = credentials(&value) {
                let text = text.expose_secret();
                prop_assert!(value.ends_with(text.as_bytes()));
                let printed = format!("Bearer {text}");
                prop_assert_eq!(says(printed.as_bytes()), text);
            }
        }

        #[test]
        fn a_token_prints_and_reads_back(
            scheme in "(?i)bearer", spaces in " {1,4}", token in "[A-Za-z0-9._~+/-]{1,300}={0,3}",
        ) {
            let value = format!("{scheme}{spaces}{token}");
            prop_assert_eq!(says(value.as_bytes()), token);
        }

        #[test]
        fn no_scheme_hides_a_bearer_token_behind_it(
            value in near_the_grammar(), token in "[A-Za-z0-9._~+/-]{1,40}={0,2}",
        ) {
            for glue in [" ", ",", ", ", " , ", ",\t"] {
                let joined = [&value, glue.as_bytes(), b"Bearer ", token.as_bytes()].concat();
                prop_assert!(matches!(
                    credentials(&joined),
                    Err(BearerError::Malformed | BearerError::TooLong)
                ));
            }
        }
    }
}
