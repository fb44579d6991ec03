//! Tokens in the query of a URI, where none may be.

use std::iter;

/// Whether the query of a URI has a token, however it is written.
pub(super) fn has_access_token(query: &str) -> bool {
    query.as_bytes().split(|byte| *byte == b'&').any(is_access_token)
}

/// Whether a parameter of a query is an `access_token`, with a value or without one.
fn is_access_token(parameter: &[u8]) -> bool {
    decoded_name(parameter).eq(b"access_token".iter().copied())
}

/// The name of a query's parameter, without its percent-encoding.
fn decoded_name(parameter: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = parameter;
    iter::from_fn(move || {
        if let [b'%', high, low, next @ ..] = rest
            && let Some(byte) = hexadecimal(*high, *low)
        {
            rest = next;
            return Some(byte);
        }
        let (byte, next) = rest.split_first().filter(|(byte, _)| **byte != b'=')?;
        rest = next;
        Some(*byte)
    })
}

fn hexadecimal(high: u8, low: u8) -> Option<u8> {
    let high = char::from(high).to_digit(16)?;
    let low = char::from(low).to_digit(16)?;
    u8::try_from((high << 4) | low).ok()
}
