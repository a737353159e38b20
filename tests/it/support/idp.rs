//! An identity provider: ES256 keys, the tokens they sign, and the key set that it publishes over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

/// Its `iss`.
pub const ISSUER: &str = "https://idp.example";

/// A key of it.
pub struct SigningKey {
    kid: String,
    pair: EcdsaKeyPair,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Claims that are good for ten minutes at audience `lictor`.
pub fn claims(subject: &str, tenant: &str) -> Value {
    json!({
        "iss": ISSUER,
        "sub": subject,
        "aud": "lictor",
        "exp": now() + 600,
        "tenant_id": tenant,
    })
}

impl SigningKey {
    pub fn new(kid: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self {
            kid: kid.to_owned(),
            pair: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap(),
        }
    }

    /// A token of these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_under(
            &json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}),
            claims,
        )
    }

    /// A token that this key signs under any header.
    pub fn token_under(&self, header: &Value, claims: &Value) -> String {
        let input = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        let signature = self
            .pair
            .sign(&SystemRandom::new(), input.as_bytes())
            .unwrap();
        format!("{input}.{}", encode(signature))
    }
}

/// The key set of these keys.
pub fn key_set(keys: &[&SigningKey]) -> String {
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| {
            let (x, y) = key.pair.public_key().as_ref()[1..].split_at(32);
            json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": key.kid, "x": encode(x), "y": encode(y)})
        })
        .collect();
    json!({"keys": keys}).to_string()
}

/// Where the key set is published.
pub struct Idp {
    pub url: String,
    body: Arc<Mutex<String>>,
}

impl Idp {
    /// Serves this key set until the test ends.
    pub fn start(set: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let body = Arc::new(Mutex::new(set));
        let served = Arc::clone(&body);
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.read(&mut [0; 4096]);
                let body = served.lock().unwrap().clone();
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { url, body }
    }

    /// Publishes another key set.
    pub fn publish(&self, set: String) {
        *self.body.lock().unwrap() = set;
    }
}
