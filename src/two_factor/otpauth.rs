//! What an authenticator app reads to learn a seed.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use zeroize::Zeroizing;

use super::otp::{Algorithm, Digits, PERIOD};

/// A new seed in the forms that an authenticator app takes, to be shown to its owner once.
///
/// Like a token's secret it can be shown and nothing else.
#[must_use = "a seed that is not shown now can never be shown"]
pub struct OtpAuth {
    seed: Zeroizing<String>,
    uri: Zeroizing<String>,
}

impl OtpAuth {
    pub(super) fn new(
        seed: &[u8],
        (algorithm, digits): (Algorithm, Digits),
        issuer: &str,
        account: &str,
    ) -> Self {
        let seed = Zeroizing::new(BASE32_NOPAD.encode(seed));
        let (issuer, account) = (escaped(issuer), escaped(account));
        let mut uri = Zeroizing::new(String::with_capacity(LONGEST_URI));
        for part in [
            "otpauth://totp/",
            &issuer,
            ":",
            &account,
            "?secret=",
            &seed,
            "&issuer=",
            &issuer,
            "&algorithm=",
            algorithm.code(),
            "&digits=",
            &digits.count().to_string(),
            "&period=",
            &PERIOD.to_string(),
        ] {
            uri.push_str(part);
        }
        Self { seed, uri }
    }

    /// The seed in base 32, to be typed.
    #[must_use]
    pub fn expose_seed(&self) -> &str {
        &self.seed
    }

    /// The `otpauth://` URI (the key URI format that authenticator apps share).
    #[must_use]
    pub fn expose_uri(&self) -> &str {
        &self.uri
    }

    /// The URI as a QR code, an SVG document; `None` when the names in it are too long for one.
    #[must_use]
    pub fn expose_qr_svg(&self) -> Option<Zeroizing<String>> {
        let code = QrCode::with_error_correction_level(self.uri.as_bytes(), EcLevel::M).ok()?;
        Some(Zeroizing::new(code.render::<svg::Color<'_>>().min_dimensions(240, 240).build()))
    }
}

impl fmt::Debug for OtpAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtpAuth(hidden)")
    }
}

/// Percent-encoding of all that is not unreserved (RFC 3986, section 2.3).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Two names of 255 bytes, each percent-encoded, the first of them twice.
const LONGEST_URI: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_holds_all_that_an_app_must_know() {
        let shown = OtpAuth::new(
            b"12345678901234567890",
            (Algorithm::Sha1, Digits::Six),
            "Acme & Co",
            "alice@acme.example",
        );
        assert_eq!(
            shown.expose_uri(),
            "otpauth://totp/Acme%20%26%20Co:alice%40acme.example\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%26%20Co\
             &algorithm=SHA1&digits=6&period=30",
        );
        assert_eq!(shown.expose_seed(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(format!("{shown:?}"), "OtpAuth(hidden)");
        assert!(shown.expose_qr_svg().unwrap().contains("<svg"));
    }

    #[test]
    fn names_that_no_qr_code_holds_leave_the_uri() {
        let long = "x".repeat(5000);
        let shown = OtpAuth::new(&[1; 20], (Algorithm::Sha1, Digits::Six), &long, &long);
        assert!(shown.expose_qr_svg().is_none());
        assert!(shown.expose_uri().len() > 15_000);
    }
}
