use super::*;
use serde_json::{Value, json};

fn body(failure: &Failure, dialect: Dialect) -> String {
    failure.body(dialect)
}

#[test]
fn a_failure_is_told_in_the_envelope_of_its_transport() {
    let failure = Failure::MissingUser;
    assert_eq!(
        body(&failure, Dialect::Rest),
        r#"{"code":9,"message":"User could not be found (COMMAND-Dggw2)","details":[{"@type":"type.googleapis.com/zitadel.v1.ErrorDetail","id":"COMMAND-Dggw2","message":"User could not be found"}]}"#
    );
    assert_eq!(
        body(&failure, Dialect::Connect),
        r#"{"code":"failed_precondition","message":"User could not be found (COMMAND-Dggw2)","details":[{"type":"zitadel.v1.ErrorDetail","value":"Cg1DT01NQU5ELURnZ3cyEhdVc2VyIGNvdWxkIG5vdCBiZSBmb3VuZA","debug":{"id":"COMMAND-Dggw2","message":"User could not be found"}}]}"#
    );
}

#[test]
fn a_failure_without_an_id_has_no_details() {
    let failure = Failure::MissingAuthorization;
    let told = |code: Value| json!({"code": code, "message": "auth header missing"});
    let read = |dialect| serde_json::from_str::<Value>(&body(&failure, dialect)).unwrap();
    assert_eq!(read(Dialect::Rest), told(json!(16)));
    assert_eq!(read(Dialect::Connect), told(json!("unauthenticated")));
}

#[test]
fn a_detail_of_any_length_can_be_read_by_its_encoding() {
    for length in [0, 1, 127, 128, 129, 300, 16_384] {
        let message = "m".repeat(length);
        let bytes = Told { id: "ID", message: &message }.encoded();
        let mut rest = bytes.strip_prefix(b"\x0a\x02ID\x12").unwrap();
        let (mut read, mut shift) = (0_usize, 0_u32);
        loop {
            let (byte, after) = rest.split_first().unwrap();
            rest = after;
            read |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        assert_eq!((read, rest), (length, message.as_bytes()));
    }
}

#[test]
fn a_code_is_a_number_a_name_and_a_status() {
    for (code, number, name, status) in [
        (Code::InvalidArgument, 3, "invalid_argument", 400),
        (Code::DeadlineExceeded, 4, "deadline_exceeded", 504),
        (Code::NotFound, 5, "not_found", 404),
        (Code::AlreadyExists, 6, "already_exists", 409),
        (Code::PermissionDenied, 7, "permission_denied", 403),
        (Code::ResourceExhausted, 8, "resource_exhausted", 429),
        (Code::FailedPrecondition, 9, "failed_precondition", 400),
        (Code::Unimplemented, 12, "unimplemented", 501),
        (Code::Internal, 13, "internal", 500),
        (Code::Unavailable, 14, "unavailable", 503),
        (Code::Unauthenticated, 16, "unauthenticated", 401),
    ] {
        assert_eq!((code.number(), code.name(), code.status().as_u16()), (number, name, status));
    }
}

#[test]
fn answers_carry_the_headers_that_their_statuses_ask_for() {
    for (failure, dialect, status, header) in [
        (Failure::InvalidToken, Dialect::Rest, 401, Some(("www-authenticate", "Bearer"))),
        (Failure::InvalidToken, Dialect::Connect, 401, Some(("www-authenticate", "Bearer"))),
        (Failure::Unavailable, Dialect::Connect, 503, Some(("retry-after", "1"))),
        (Failure::OtherMethod, Dialect::Connect, 405, Some(("allow", "POST"))),
        (Failure::OtherMethod, Dialect::Rest, 405, None),
        (Failure::MediaType, Dialect::Connect, 415, Some(("accept-post", "application/json"))),
    ] {
        let response = failure.response(dialect);
        assert_eq!(response.status(), status, "{failure:?}");
        for name in ["www-authenticate", "retry-after", "allow", "accept-post"] {
            let expected = header.filter(|(known, _)| *known == name).map(|(_, value)| value);
            let value = response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(value, expected, "{failure:?} {name}");
        }
    }
}
