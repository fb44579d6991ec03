//! A client's name and secret, by HTTP Basic (RFC 7617, RFC 6749). Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

/// The name and the secret that a client presents.
///
/// Both are read as parts of a form (RFC 6749, section 2.3.1): `%40` is an at sign and `+` a blank.
/// What need not be encoded is taken as it stands, a `%` that begins no code among it.
pub struct ClientCredentials {
    name: Zeroizing<String>,
    secret: Zeroizing<String>,
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
        let (name, secret) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
        let [name, secret] = [name, secret].map(decoded);
        let is_plain = ![&name, &secret].iter().any(|text| text.contains(char::is_control));
        is_plain.then_some(Self { name, secret })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The secret.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.secret
    }
}

/// Shows nothing: whoever mixes up the two puts the secret where the name belongs.
impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials").finish_non_exhaustive()
    }
}

fn decoded(text: &str) -> Zeroizing<String> {
    // A field without a name, so that an `=` is its own; an `&` would end it.
    let value = Zeroizing::new(text.replace('&', "%26"));
    let field = Zeroizing::new(["=", value.as_str()].concat());
    let value = form_urlencoded::parse(field.as_bytes()).next();
    Zeroizing::new(value.map(|(_, value)| value.into_owned()).unwrap_or_default())
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
    fn names_and_secrets_are_read_as_parts_of_a_form() {
        for (text, name, secret) in [
            ("a:p%40ss", "a", "p@ss"),
            ("a:p+s", "a", "p s"),
            ("a%3Ab:c%2B", "a:b", "c+"),
            ("a:%C3%BC", "a", "ü"),
            // Clients that encode nothing.
            ("a:p@ss&q=1=2", "a", "p@ss&q=1=2"),
            ("a:100%", "a", "100%"),
            ("a:%zz", "a", "%zz"),
        ] {
            let read = read(&[format!("Basic {}", STANDARD.encode(text))]);
            assert_eq!(read, Some((name.to_owned(), secret.to_owned())), "{text}");
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
            of(b"a:%00"),
            of(b"a%0A:b"),
        ] {
            assert_eq!(read(&values), None, "{values:?}");
        }
    }

    #[test]
    fn neither_name_nor_secret_is_printed() {
        let mut headers = HeaderMap::new();
        let value = format!("Basic {}", STANDARD.encode("client:hidden"));
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
        let shown = format!("{:?}", ClientCredentials::read(&headers).unwrap());
        assert_eq!(shown, "ClientCredentials { .. }");
    }
}
