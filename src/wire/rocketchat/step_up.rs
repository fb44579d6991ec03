//! The second factor on this wire: what a request gives, and what it is asked for.
//!
//! The codes are called `totp-…` for historical reasons, and are for all methods.

use chrono::SecondsFormat;
use http::HeaderMap;

use super::failure::{Failure, Members};
use crate::core::factor_policy::method;
use crate::ports::two_factor::Answer;
use crate::service::two_factor::Ask;
use crate::service::two_factor::error::{Question, StepUpError};

/// What a request gives in answer to a second factor.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) answer: Answer,
    /// By this crate's name; one that no policy has for what this wire does not know.
    pub(super) method: Option<&'static str>,
}

impl Given {
    pub(super) const fn of(answer: Answer, method: Option<&'static str>) -> Self {
        Self { answer, method }
    }

    pub(super) const fn added_to<'a>(&'a self, ask: Ask<'a>) -> Ask<'a> {
        let ask = ask.answered(&self.answer);
        match self.method {
            Some(method) => ask.with_method(method),
            None => ask,
        }
    }

    /// Reads `x-2fa-code` and `x-2fa-method`. A method without a code asks for a code.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let code = text("x-2fa-code").filter(|code| !code.is_empty())?;
        let method = text("x-2fa-method").map(|named| match named {
            // As long as a backup code, it is one and nothing else.
            "totp" if code.len() == BACKUP_CODE_LENGTH => method::BACKUP_CODE,
            "totp" => method::TOTP,
            "email" => method::EMAIL,
            "password" => method::PASSWORD,
            _ => "?",
        });
        Some(Self { answer: Answer::new(code), method })
    }
}

/// What to answer where there is no proof, to a request with a token.
pub(super) fn failure(error: &StepUpError) -> Failure {
    told(error, |reason, code, details| Failure::thrown(reason, code).with_details(details))
}

/// Whether somebody has guessed.
pub(super) const fn is_wrong(error: &StepUpError) -> bool {
    matches!(error, StepUpError::Wrong(_) | StepUpError::Locked { .. })
}

/// What to answer where there is no proof, to somebody who signs in.
pub(super) fn sign_in_failure(error: &StepUpError) -> Failure {
    told(error, |reason, code, details| Failure::sign_in_with(code, reason, Some(details)))
}

/// A lock shows as the product shows one: for mailed codes by a code of its own, for others as a
/// wrong answer.
fn told(error: &StepUpError, tell: impl FnOnce(&str, &'static str, Members) -> Failure) -> Failure {
    let (question, reason, code) = match error {
        StepUpError::Required(question) => (question, "TOTP Required", "totp-required"),
        StepUpError::Wrong(question) => (question, "TOTP Invalid", "totp-invalid"),
        StepUpError::Locked { question, .. } if question.method != method::EMAIL => {
            (question, "TOTP Invalid", "totp-invalid")
        }
        StepUpError::Locked { question, .. } | StepUpError::TooManySent(question) => {
            // The product's own spelling.
            (question, "TOTP Maximun Failed Attempts Reached", "totp-max-attempts")
        }
        StepUpError::NothingEnrolled => return Failure::forbidden(),
        StepUpError::Presenter(_) => return Failure::unauthorized(),
        StepUpError::Unavailable(_) => return Failure::unavailable(),
    };
    tell(reason, code, details(question))
}

fn details(question: &Question) -> Members {
    let available: Vec<_> = [method::TOTP, method::EMAIL]
        .into_iter()
        .filter(|wanted| question.methods.iter().any(|method| on_wire(method) == *wanted))
        .collect();
    let mut details = Members::default().with("method", on_wire(question.method));
    if let Some(to) = &question.to {
        details = details.with("emailOrUsername", to.clone());
    }
    let is_new = question.sent.as_ref().is_some_and(|sent| sent.is_new);
    details = details.with("codeGenerated", is_new);
    if let Some(sent) = question.sent.as_ref().filter(|sent| !sent.is_new) {
        let expires = sent.expires_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        details = details.with("codeExpires", expires);
    }
    details.with("availableMethods", available)
}

/// Backup codes are no method of their own there.
fn on_wire(method: &'static str) -> &'static str {
    if method == method::BACKUP_CODE { method::TOTP } else { method }
}

const BACKUP_CODE_LENGTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    use crate::ports::two_factor::Sent;

    fn shown(error: &StepUpError) -> String {
        let response: http::Response<String> = failure(error).response();
        assert_eq!(response.headers()["content-type"], "application/json");
        format!("{} {}", response.status().as_u16(), response.body())
    }

    fn question(method: &'static str, methods: &[&'static str], sent: Option<bool>) -> Question {
        let at = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let to = (method == method::EMAIL).then(|| "alice@acme.example".to_owned());
        let sent = sent.map(|is_new| Sent::new(is_new, at));
        Question { method, methods: methods.to_vec(), to, sent, challenge: None }
    }

    #[test]
    fn each_outcome_is_told_as_the_product_tells_it() {
        let password = question("password", &["password"], None);
        assert_eq!(
            shown(&StepUpError::Required(password)),
            r#"400 {"success":false,"error":"TOTP Required [totp-required]","errorType":"totp-required","details":{"method":"password","codeGenerated":false,"availableMethods":[]}}"#
        );
        let totp = || question("totp", &["totp", "backup_code"], None);
        assert_eq!(
            shown(&StepUpError::Wrong(totp())),
            r#"400 {"success":false,"error":"TOTP Invalid [totp-invalid]","errorType":"totp-invalid","details":{"method":"totp","codeGenerated":false,"availableMethods":["totp"]}}"#
        );
        let locked = |question| StepUpError::Locked { question, until: None };
        assert_eq!(shown(&locked(totp())), shown(&StepUpError::Wrong(totp())));
        let email = |is_new| question("email", &["email"], Some(is_new));
        assert_eq!(
            shown(&StepUpError::Required(email(true))),
            r#"400 {"success":false,"error":"TOTP Required [totp-required]","errorType":"totp-required","details":{"method":"email","emailOrUsername":"alice@acme.example","codeGenerated":true,"availableMethods":["email"]}}"#
        );
        assert_eq!(
            shown(&locked(email(false))),
            r#"400 {"success":false,"error":"TOTP Maximun Failed Attempts Reached [totp-max-attempts]","errorType":"totp-max-attempts","details":{"method":"email","emailOrUsername":"alice@acme.example","codeGenerated":false,"codeExpires":"2023-11-14T22:13:20.123Z","availableMethods":["email"]}}"#
        );
        let none_left = r#""details":{"method":"email","emailOrUsername":"alice@acme.example","codeGenerated":false,"availableMethods":["email"]}}"#;
        let gone = question("email", &["email"], None);
        for error in [StepUpError::Wrong(gone.clone()), StepUpError::TooManySent(gone)] {
            assert!(shown(&error).starts_with("400 ") && shown(&error).ends_with(none_left));
        }
        let unavailable = StepUpError::Unavailable("down".into());
        assert!(shown(&unavailable).starts_with("503 ") && !shown(&unavailable).contains("down"));
    }

    #[test]
    fn a_code_and_its_method_are_read_from_the_headers() {
        let read = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            Given::read(&map).map(|given| (given.answer.expose_secret().to_owned(), given.method))
        };
        let with = |code: &str, method| Some((code.to_owned(), method));
        assert_eq!(read(&[("x-2fa-method", "totp")]), None);
        assert_eq!(read(&[("x-2fa-code", "")]), None);
        assert_eq!(read(&[("x-2fa-code", "123456")]), with("123456", None));
        for (method, code, known) in [
            ("totp", "123456", "totp"),
            ("totp", "abcd2345", "backup_code"),
            ("email", "123-456", "email"),
            ("password", "abcdef", "password"),
            ("other", "abcdef", "?"),
        ] {
            let read = read(&[("x-2fa-code", code), ("x-2fa-method", method)]);
            assert_eq!(read, with(code, Some(known)));
        }
    }
}
