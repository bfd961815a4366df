//! A log's HTTP service, in this process: paths, parameters, tokens and bodies of strangers. It always answers, and never
//! that something is our fault.
#![no_main]

use countermark_fuzz::service::Log;
use libfuzzer_sys::fuzz_target;

// What is asked, a line of text for its path or its token, a body.
fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (text, body) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    // A request line and a header hold no spaces and no control characters; what does is refused by the HTTP library.
    if !text.iter().all(u8::is_ascii_graphic) {
        return;
    }
    let text = str::from_utf8(text).unwrap();
    let bearer = Log::running().token();
    let log = Log::running().connection();
    let status = match kind {
        b'/' => log.ask("GET", &format!("/{text}"), None, &[]),
        b'v' => log.ask("GET", &format!("/v1/digests/{text}"), None, &[]),
        b't' => log.ask("GET", &format!("/digests/tile/{text}"), None, &[]),
        b'p' => log.ask("POST", &format!("/v1/digests/{text}"), Some(bearer), body),
        b'a' => {
            let status = log.ask("POST", "/v1/digests/add", Some(text), body);
            assert!((400..500).contains(&status), "a stranger's token: {status}");
            status
        }
        _ => return,
    };
    assert!((200..500).contains(&status), "{status}");
});
