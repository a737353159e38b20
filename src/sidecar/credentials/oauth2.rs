//! Tokens of an OAuth 2 token endpoint: the client credentials grant (RFC 6749, 4.4), by a secret or an assertion, and
//! the JWT grant (RFC 7523). A token is kept until shortly before it ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use crate::jose::Signer;
use crate::server::secret;
use crate::wire::{self, Client, WireError};

const DEADLINE: Duration = Duration::from_secs(10);
const ANSWER_LIMIT: usize = 64 * 1024;
/// A token that ends sooner than this is not used any more.
const LEAST_LIFE: Duration = Duration::from_secs(10);
/// How long an assertion of ours is good.
const ASSERTION_SECONDS: u64 = 600;
/// RFC 7523, 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Where tokens come from and how we prove who we are there.
#[derive(Debug)]
pub struct OAuth2 {
    pub token_url: Uri,
    pub client: wire::Settings,
    pub client_id: String,
    pub proof: Proof,
    pub scopes: Vec<String>,
    pub headers: HeaderMap,
    pub parameters: BTreeMap<String, String>,
    pub state: State,
}

/// How the endpoint knows us.
pub enum Proof {
    /// In `authorization`.
    Secret(String),
    /// A finished assertion, or the file that has it.
    Assertion {
        kind: String,
        text: String,
    },
    AssertionFile {
        kind: String,
        path: PathBuf,
    },
    /// A JWT that is signed here.
    Signed(Assertion),
}

/// What is signed.
#[derive(Debug)]
pub struct Assertion {
    pub signer: Signer,
    /// Beside `iat`, `exp` and `scope`.
    pub claims: Map<String, Value>,
    pub has_id: bool,
    /// SHA-1 of a certificate, for `x5t`.
    pub thumbprint: Option<Vec<u8>>,
    /// It is the grant itself, not the client's proof.
    pub is_grant: bool,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Assertion { .. } => "Assertion",
            Self::AssertionFile { .. } => "AssertionFile",
            Self::Signed(_) => "Signed",
        })
    }
}

/// What is known between requests.
#[derive(Default)]
pub struct State {
    client: OnceLock<Client>,
    token: tokio::sync::Mutex<Option<Token>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("State")
    }
}

struct Token {
    text: String,
    ends: Instant,
}

/// Why there is no token. Never holds one.
#[derive(Debug, thiserror::Error)]
pub enum OAuth2Error {
    #[error("no answer from the token endpoint")]
    Wire(#[from] WireError),
    #[error("the token endpoint answered with status {0}{1}")]
    Status(u16, String),
    #[error("the token endpoint answered with no bearer token")]
    NoToken,
    #[error("cannot use the client assertion: {0}")]
    Assertion(String),
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: u64,
}

impl OAuth2 {
    /// A token that is good for a while yet.
    pub(super) async fn token(&self) -> Result<String, OAuth2Error> {
        // One asks, the others wait for its answer.
        let mut known = self.state.token.lock().await;
        if let Some(token) = &*known
            && token.ends > Instant::now() + LEAST_LIFE
        {
            return Ok(token.text.clone());
        }
        let token = self.ask().await?;
        let text = token.text.clone();
        *known = Some(token);
        Ok(text)
    }

    async fn ask(&self) -> Result<Token, OAuth2Error> {
        let asked = Instant::now();
        let client = if let Some(client) = self.state.client.get() {
            client
        } else {
            let client = Client::new(&self.client, &Handle::current())?;
            self.state.client.get_or_init(|| client)
        };
        let mut request = Request::new(wire::full(self.form().await?));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.token_url.clone();
        let headers = request.headers_mut();
        headers.extend(self.headers.clone());
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        if let Proof::Secret(secret) = &self.proof {
            let pair = STANDARD.encode(format!("{}:{secret}", self.client_id));
            if let Some(value) = super::secret_value(&format!("Basic {pair}")) {
                headers.insert(AUTHORIZATION, value);
            }
        }
        let answer = client.fetch(request, DEADLINE, ANSWER_LIMIT).await?;
        read(answer.status().as_u16(), answer.body(), asked)
    }

    async fn form(&self) -> Result<String, OAuth2Error> {
        let mut form = self.parameters.clone();
        let mut set =
            |name: &str, value: &str| drop(form.insert(name.to_owned(), value.to_owned()));
        if !self.scopes.is_empty() {
            set("scope", &self.scopes.join(" "));
        }
        set("grant_type", "client_credentials");
        let prove = |set: &mut dyn FnMut(&str, &str), kind: &str, text: &str| {
            set("client_assertion_type", kind);
            set("client_assertion", text);
            if !self.client_id.is_empty() {
                set("client_id", &self.client_id);
            }
        };
        match &self.proof {
            Proof::Secret(_) => {}
            Proof::Assertion { kind, text } => prove(&mut set, kind, text),
            Proof::AssertionFile { kind, path } => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || secret::read_token(&path)).await;
                let read = read.map_err(|error| OAuth2Error::Assertion(error.to_string()))?;
                let text = read.map_err(|error| OAuth2Error::Assertion(error.to_string()))?;
                prove(&mut set, kind, &text);
            }
            Proof::Signed(assertion) => {
                let text = assertion.sign(&self.scopes)?;
                if assertion.is_grant {
                    set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                    set("assertion", &text);
                } else {
                    prove(&mut set, ASSERTION_TYPE, &text);
                }
            }
        }
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs = form.iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        Ok(pairs.join("&"))
    }
}

impl Assertion {
    fn sign(&self, scopes: &[String]) -> Result<String, OAuth2Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let mut claims = Map::new();
        claims.insert("iat".to_owned(), json!(now));
        claims.insert("exp".to_owned(), json!(now + ASSERTION_SECONDS));
        claims.extend(self.claims.clone());
        if !scopes.is_empty() {
            claims.insert("scope".to_owned(), json!(scopes.join(" ")));
        }
        if self.has_id {
            claims.insert("jti".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
        }
        let mut header = json!({"typ": "JWT", "alg": self.signer.algorithm().as_str()});
        if let Some(thumbprint) = &self.thumbprint {
            header["x5t"] = json!(URL_SAFE.encode(thumbprint));
        }
        let claims = Value::Object(claims).to_string();
        let signed = self
            .signer
            .compact(header.to_string().as_bytes(), claims.as_bytes());
        signed.ok_or_else(|| OAuth2Error::Assertion("it cannot be signed".to_owned()))
    }
}

/// The token in an answer to what was asked at that moment.
fn read(status: u16, body: &[u8], asked: Instant) -> Result<Token, OAuth2Error> {
    if status != 200 {
        let said = serde_json::from_slice::<Value>(body).ok();
        let said = said.as_ref().and_then(|said| said["error"].as_str());
        let said = said.map(|said| format!(": {}", said.escape_default()));
        return Err(OAuth2Error::Status(status, said.unwrap_or_default()));
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| OAuth2Error::NoToken)?;
    let text = answer.access_token.trim();
    if !answer.token_type.eq_ignore_ascii_case("bearer") || text.is_empty() {
        return Err(OAuth2Error::NoToken);
    }
    // A life beyond a year is as good as none.
    let life = Duration::from_secs(answer.expires_in.min(365 * 24 * 3600));
    Ok(Token {
        text: text.to_owned(),
        ends: asked + life,
    })
}

/// The kind of an assertion where the configuration names none.
#[must_use]
pub fn assertion_type(given: &str) -> String {
    match given {
        "" => ASSERTION_TYPE.to_owned(),
        given => given.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use crate::jose::{Algorithm, Key};
    use crate::mutate::{hold, is_json};

    use super::*;

    /// Answers each connection with the next of these; hands out what was asked.
    fn endpoint(answers: Vec<&'static str>) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = String::new();
                let mut buffer = [0; 4096];
                loop {
                    let read = stream.read(&mut buffer).unwrap();
                    text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                    let Some((head, body)) = text.split_once("\r\n\r\n") else {
                        continue;
                    };
                    let length = head.to_lowercase();
                    let length = length.split("content-length: ").nth(1).unwrap();
                    let length: usize = length.lines().next().unwrap().parse().unwrap();
                    if body.len() >= length {
                        break;
                    }
                }
                sender.send(text).unwrap();
                let (status, body) = answer.split_once(' ').unwrap();
                write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
                .unwrap();
            }
        });
        (url, asked)
    }

    fn of(url: &str, proof: Proof) -> OAuth2 {
        OAuth2 {
            token_url: url.parse().unwrap(),
            client: wire::Settings::default(),
            client_id: "me".to_owned(),
            proof,
            scopes: vec!["read".to_owned(), "a&b".to_owned()],
            headers: HeaderMap::new(),
            parameters: BTreeMap::from([("audience".to_owned(), "x".to_owned())]),
            state: State::default(),
        }
    }

    /// Whatever a token endpoint says: a token, or an error of one line.
    #[test]
    fn mutated_answers_are_tokens_or_errors() {
        let examples = [
            r#"{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}"#,
            r#"{"token_type": "bearer", "access_token": " t ", "scope": ["a"], "expires_in": 18446744073709551615}"#,
            r#"{"error": "invalid_client", "error_description": "d"}"#,
        ];
        let asked = Instant::now();
        hold(&examples, |body| {
            if let Ok(token) = read(200, body, asked) {
                assert!(!token.text.is_empty() && is_json(body));
                assert!(token.ends <= asked + Duration::from_hours(365 * 24));
            }
            let Err(error) = read(400, body, asked) else {
                panic!("a token from a refusal");
            };
            let text = error.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
        });
    }

    #[tokio::test]
    async fn a_token_is_kept_while_it_is_good() {
        let (url, asked) = endpoint(vec![
            r#"200 {"access_token": "first", "token_type": "Bearer", "expires_in": 5}"#,
            r#"200 {"access_token": "second", "token_type": "bearer", "expires_in": 3600}"#,
        ]);
        let oauth2 = of(&url, Proof::Secret("s3cret".to_owned()));
        assert_eq!(oauth2.token().await.unwrap(), "first");
        assert_eq!(oauth2.token().await.unwrap(), "second");
        assert_eq!(oauth2.token().await.unwrap(), "second");
        let request = asked.recv().unwrap();
        assert!(request.contains("Basic bWU6czNjcmV0"), "{request}");
        assert!(
            request.ends_with("audience=x&grant%5Ftype=client%5Fcredentials&scope=read%20a%26b"),
            "{request}"
        );
        assert!(!format!("{oauth2:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn an_assertion_is_signed_here() {
        let answer = r#"200 {"access_token": "t", "token_type": "Bearer"}"#;
        for is_grant in [false, true] {
            let (url, asked) = endpoint(vec![answer]);
            let oauth2 = of(
                &url,
                Proof::Signed(Assertion {
                    signer: Signer::new(Algorithm::Hs256, "k").unwrap(),
                    claims: Map::from_iter([("iss".to_owned(), json!("me"))]),
                    has_id: true,
                    thumbprint: Some(vec![1, 2]),
                    is_grant,
                }),
            );
            assert_eq!(oauth2.token().await.unwrap(), "t");
            let request = asked.recv().unwrap();
            let name = if is_grant {
                "assertion="
            } else {
                "client%5Fassertion="
            };
            let token = request
                .split(name)
                .nth(1)
                .unwrap()
                .split('&')
                .next()
                .unwrap();
            let token = token
                .replace("%2E", ".")
                .replace("%2D", "-")
                .replace("%5F", "_");
            let (message, signature) = token.rsplit_once('.').unwrap();
            let decode = |text: &str| {
                base64::engine::general_purpose::URL_SAFE_NO_PAD
                    .decode(text)
                    .unwrap()
            };
            let key = Key::from_secret(Algorithm::Hs256, b"k", 0).unwrap();
            assert!(key.verify(message.as_bytes(), &decode(signature)));
            let claims = message.split('.').nth(1).unwrap();
            let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
            assert_eq!(
                (&claims["iss"], &claims["scope"]),
                (&json!("me"), &json!("read a&b"))
            );
            assert_eq!(
                claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
                600
            );
            assert!(claims["jti"].is_string());
        }
    }

    #[tokio::test]
    async fn what_is_no_token_is_an_error_without_the_secret() {
        for (answer, expected) in [
            (
                r#"401 {"error": "invalid_client"}"#,
                "status 401: invalid_client",
            ),
            ("500 oops", "status 500"),
            ("200 garbage", "no bearer token"),
            (
                r#"200 {"access_token": "t", "token_type": "mac"}"#,
                "no bearer token",
            ),
            (r#"200 {"token_type": "bearer"}"#, "no bearer token"),
        ] {
            let (url, _asked) = endpoint(vec![answer]);
            let error = of(&url, Proof::Secret("s3cret".to_owned()))
                .token()
                .await
                .unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains(expected) && !text.contains("s3cret"),
                "{answer}: {text}"
            );
        }
    }
}
