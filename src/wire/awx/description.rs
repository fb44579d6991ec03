//! A token's description, between its name and its note. Pure.
//!
//! The product's descriptions are of any length and may have line breaks; names have neither. What
//! fits is the name, so that every face shows it. What does not is the note, and the name is its
//! beginning.

use super::failure::{Failure, FieldErrors};
use crate::core::id::{Note, TokenName};

/// What is shown of a name and a note: the note where the name is nothing but its beginning.
pub(super) fn shown<'a>(name: &'a TokenName, note: &'a Note) -> &'a str {
    if is_all_of(name, note) { note.as_str() } else { name.as_str() }
}

/// The name and the note that keep a description, where a token has these already.
pub(super) fn kept(
    description: &str,
    name: &TokenName,
    note: &Note,
) -> Result<(TokenName, Note), Failure> {
    if description == shown(name, note) {
        return Ok((name.clone(), note.clone()));
    }
    if let Ok(new) = TokenName::new(description) {
        // A remark of another face's stays; what was the description goes.
        let is_remark = !is_all_of(name, note) && !is_all_of(&new, note);
        return Ok((new, if is_remark { note.clone() } else { Note::default() }));
    }
    let note = Note::new(description).map_err(|error| {
        let mut errors = FieldErrors::default();
        errors.add("description", format!("Ensure this field is {}.", error.rule));
        errors
    })?;
    Ok((TokenName::beginning(description), note))
}

/// Whether a note is the description, and the name only its beginning.
fn is_all_of(name: &TokenName, note: &Note) -> bool {
    !note.as_str().is_empty()
        && (name.as_str().is_empty() || *name == TokenName::beginning(note.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(description: &str, name: &str, note: &str) -> (String, String) {
        let (name, note) = (TokenName::new(name).unwrap(), Note::new(note).unwrap());
        let (name, note) = kept(description, &name, &note).unwrap();
        assert_eq!(shown(&name, &note), description);
        (name.into(), note.into())
    }

    fn pair(name: &str, note: &str) -> (String, String) {
        (name.to_owned(), note.to_owned())
    }

    #[test]
    fn what_fits_is_the_name_and_a_remark_stays() {
        assert_eq!(keep("ci", "", ""), pair("ci", ""));
        assert_eq!(keep("ci", "old", "a remark"), pair("ci", "a remark"));
        assert_eq!(keep("", "old", ""), pair("", ""));
    }

    #[test]
    fn what_does_not_fit_is_the_note_and_begins_in_the_name() {
        let long = "ä".repeat(200);
        assert_eq!(keep(&long, "old", "a remark"), pair(&"ä".repeat(127), &long));
        assert_eq!(keep("two\nlines", "", ""), pair("two lines", "two\nlines"));
        // It is gone with the next description.
        assert_eq!(keep("ci", "two lines", "two\nlines"), pair("ci", ""));
        assert_eq!(keep("", "two lines", "two\nlines"), pair("", ""));
    }

    #[test]
    fn a_note_without_a_name_is_the_description() {
        assert_eq!(shown(&TokenName::default(), &Note::new("a remark").unwrap()), "a remark");
        assert_eq!(keep("", "", "a remark"), pair("", ""));
        assert_eq!(keep("", "old", "a remark"), pair("", ""));
        assert_eq!(keep("a remark", "", "a remark"), pair("", "a remark"));
    }

    #[test]
    fn what_no_note_holds_is_refused() {
        let failure = kept(&"a".repeat(4097), &TokenName::default(), &Note::default());
        let told = failure.unwrap_err().body().to_string();
        assert!(
            told.starts_with(r#"{"description":["Ensure this field is at most 4096"#),
            "{told}"
        );
    }
}
