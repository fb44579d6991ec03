//! A client's name and secret, by HTTP Basic (RFC 7617). Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

/// The name and the secret that a client presents.
pub struct ClientCredentials {
    text: Zeroizing<String>,
    colon: usize,
}

impl ClientCredentials {
    /// Those in the one `Authorization` header; `None` where it is another one, or none.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (scheme, encoded) = values.next()?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || values.next().is_some() {
            return None;
        }
        let bytes = Zeroizing::new(STANDARD.decode(encoded.trim_start_matches(' ')).ok()?);
        let text = Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned());
        let colon = text.find(':')?;
        let is_plain = !text.contains(char::is_control);
        is_plain.then_some(Self { text, colon })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.get(..self.colon).unwrap_or_default()
    }

    /// The secret: all behind the first colon.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        self.text.get(self.colon.saturating_add(1)..).unwrap_or_default()
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials").field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[String]) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let read = ClientCredentials::read(&headers)?;
        Some((read.name().to_owned(), read.expose_secret().to_owned()))
    }

    #[test]
    fn a_name_ends_at_the_first_colon_and_a_secret_at_the_end() {
        for (text, name, secret) in
            [("a:b", "a", "b"), (":", "", ""), ("a:b:c", "a", "b:c"), ("ä: ö", "ä", " ö")]
        {
            let encoded = STANDARD.encode(text);
            for scheme in ["Basic ", "basic ", "BASIC  "] {
                let read = read(&[format!("{scheme}{encoded}")]);
                assert_eq!(read, Some((name.to_owned(), secret.to_owned())), "{text}");
            }
        }
    }

    #[test]
    fn whatever_else_there_is_names_no_client() {
        let good = format!("Basic {}", STANDARD.encode("a:b"));
        let of = |bytes: &[u8]| vec![format!("Basic {}", STANDARD.encode(bytes))];
        for values in [
            vec![],
            vec![good.clone(), good.clone()],
            vec![good.replace("Basic", "Bearer")],
            vec![good.replace(' ', "")],
            vec![format!("{good}=")],
            vec!["Basic a:b".to_owned()],
            of(b"no colon"),
            of(b"a:\xff"),
            of(b"a:b\0"),
            of(b"a\n:b"),
        ] {
            assert_eq!(read(&values), None, "{values:?}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let mut headers = HeaderMap::new();
        let value = format!("Basic {}", STANDARD.encode("client:hidden"));
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
        let shown = format!("{:?}", ClientCredentials::read(&headers).unwrap());
        assert_eq!(shown, "ClientCredentials { name: \"client\", .. }");
    }
}
