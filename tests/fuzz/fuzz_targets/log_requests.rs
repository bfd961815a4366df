//! A log's HTTP service, in this process: paths, parameters, tokens and bodies of strangers. It always answers, and never
//! that something is our fault.
#![no_main]

use countermark_fuzz::service::Log;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str, &[u8])| {
    let (kind, text, body) = input;
    // A request line and a header hold no spaces and no control characters; what does is refused by the HTTP library.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return;
    }
    let log = Log::running();
    let bearer = log.token();
    let status = match kind % 5 {
        0 => log.ask("GET", &format!("/{text}"), None, &[]),
        1 => log.ask("GET", &format!("/v1/digests/{text}"), None, &[]),
        2 => log.ask("GET", &format!("/digests/tile/{text}"), None, &[]),
        3 => log.ask("POST", &format!("/v1/digests/{text}"), Some(bearer), body),
        _ => {
            let status = log.ask("POST", "/v1/digests/add", Some(text), body);
            assert!(status == 401 || status == 400, "a stranger's token: {status}");
            status
        }
    };
    assert!((200..500).contains(&status), "{status}");
});
