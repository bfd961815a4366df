//! Which form of an answer a request prefers. SPEC: RFC 9110 §12.5.1.

use axum::http::{HeaderMap, header};
use headers_accept::Accept;
use mediatype::MediaType;

use super::problem::{Problem, ProblemKind};

/// The most bytes of what a request says it accepts.
const ACCEPT_BYTES_MAX: usize = 1_024;

/// Chooses among forms, the first of which is given to whoever says nothing.
pub(super) fn choose<'f, T>(headers: &HeaderMap, forms: &'f [(&'static str, T)]) -> Result<&'f T, Problem> {
    let said: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let said = said.join(", ");
    let available: Vec<MediaType<'_>> = forms.iter().filter_map(|(name, _)| MediaType::parse(name).ok()).collect();
    let refused = || {
        let names: Vec<&str> = forms.iter().map(|(name, _)| *name).collect();
        Problem::new(ProblemKind::NotAcceptable, format_args!("it is given as one of {}", names.join(", ")))
    };
    if said.trim().is_empty() {
        return forms.first().map(|(_, form)| form).ok_or_else(refused);
    }
    if said.len() > ACCEPT_BYTES_MAX {
        return Err(refused());
    }
    let accepted: Accept = said.parse().map_err(|_| refused())?;
    let chosen = accepted.negotiate(&available).ok_or_else(refused)?;
    let position = available.iter().position(|form| form == chosen);
    position.and_then(|position| forms.get(position)).map(|(_, form)| form).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [(&str, u8); 3] = [("text/plain", 1), ("application/json", 2), ("application/cose", 3)];

    fn chosen(accepts: &[&str]) -> Option<u8> {
        let mut headers = HeaderMap::new();
        for accept in accepts {
            headers.append(header::ACCEPT, accept.parse().unwrap());
        }
        choose(&headers, &FORMS).ok().copied()
    }

    #[test]
    fn whoever_says_nothing_is_given_the_first_form() {
        assert_eq!(chosen(&[]), Some(1));
        assert_eq!(chosen(&[""]), Some(1));
        assert_eq!(chosen(&["*/*"]), Some(1));
    }

    #[test]
    fn the_preferred_form_is_given() {
        assert_eq!(chosen(&["application/json"]), Some(2));
        assert_eq!(chosen(&["application/*"]), Some(2));
        assert_eq!(chosen(&["application/cose, application/json;q=0.5"]), Some(3));
        assert_eq!(chosen(&["text/plain;q=0.1", "application/cose;q=0.2"]), Some(3));
        assert_eq!(chosen(&["text/html, application/xhtml+xml, */*;q=0.8"]), Some(1));
        assert_eq!(chosen(&["APPLICATION/COSE"]), Some(3));
    }

    #[test]
    fn what_no_form_satisfies_is_refused() {
        assert_eq!(chosen(&["text/html"]), None);
        assert_eq!(chosen(&["text/plain;q=0"]), None);
        assert_eq!(chosen(&["nonsense"]), None);
        assert_eq!(chosen(&[&format!("application/json, {}", "text/x, ".repeat(200))]), None);
    }
}
