//! HTTP/1.1 answers with a content length.

use anyhow::{Context, Result, bail};

/// An answer's head.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub status: u16,
    /// Head and body.
    pub length: usize,
}

/// The answer's head, once it is there. Bodies have a content length or none.
///
/// # Errors
///
/// What is no answer, or a chunked one.
pub fn parse(bytes: &[u8]) -> Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else {
        return Ok(None);
    };
    let mut body = 0;
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = std::str::from_utf8(header.value)?.trim().parse()?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("a chunked answer: the harness measures answers with a content length");
        }
    }
    Ok(Some(Answer {
        status: response.code.context("an answer without a status")?,
        length: head + body,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_body() {
        assert!(parse(b"HTTP/1.1 200 OK\r\ncontent-le").unwrap().is_none());
        let answer = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel")
            .unwrap()
            .unwrap();
        assert_eq!((answer.status, answer.length), (200, 43));
    }

    #[test]
    fn garbage_and_chunked_answers_are_errors() {
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
