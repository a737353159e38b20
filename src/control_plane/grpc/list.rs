//! Which policies a list shows, in which order, and page by page.
//!
//! A filter is `key=value` and `key!=value` joined by `AND`; an order is `field [asc|desc]` with commas. A page token
//! holds the keys of the last policy shown, so that a page begins behind it also where that policy is gone, and the
//! digest of filter and order, so that it fits no other question.

mod filter;
mod order;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::api::policy_engine::v1::{ListPoliciesRequest, ListPoliciesResponse, Policy};

use filter::Filter;
use order::Order;

const LARGEST_PAGE: i32 = 1000;
/// Bytes of a filter, an order or a token.
const LONGEST_TEXT: usize = 8 * 1024;

/// What a page token says.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    /// Of filter and order.
    digest: String,
    after: Vec<String>,
}

/// The page that was asked for. `default_size` = 0 shows all where the request names no size.
///
/// # Errors
///
/// `INVALID_ARGUMENT` for a filter, an order, a size or a token that cannot be understood.
pub fn page(
    request: &ListPoliciesRequest,
    policies: Vec<Policy>,
    default_size: u32,
) -> Result<ListPoliciesResponse, Status> {
    let size = size(request.page_size, default_size)?;
    let filter = Filter::parse(bounded("filter", &request.filter)?)?;
    let order = Order::parse(bounded("order_by", &request.order_by)?)?;
    let digest = digest(request);
    let after = match bounded("page_token", &request.page_token)? {
        "" => None,
        token => Some(read(token, &digest)?),
    };
    let mut shown: Vec<(Vec<String>, Policy)> = policies
        .into_iter()
        .filter(|policy| filter.holds(policy))
        .map(|policy| (order.keys(&policy), policy))
        .collect();
    let total_count = i32::try_from(shown.len()).unwrap_or(i32::MAX);
    shown.sort_by(|(one, _), (other, _)| order.compare(one, other));
    if let Some(after) = after {
        if after.len() != order.length() {
            return Err(foreign());
        }
        shown.retain(|(keys, _)| order.compare(keys, &after).is_gt());
    }
    let more = shown.len() > size;
    shown.truncate(size);
    let next_page_token = match shown.last() {
        Some((keys, _)) if more => write(&digest, keys),
        _ => String::new(),
    };
    Ok(ListPoliciesResponse {
        policies: shown.into_iter().map(|(_, policy)| policy).collect(),
        next_page_token,
        total_count,
    })
}

fn size(asked: i32, default: u32) -> Result<usize, Status> {
    let asked = match asked {
        ..0 => return Err(Status::invalid_argument("`page_size` is negative")),
        0 => default,
        1.. => asked.min(LARGEST_PAGE).unsigned_abs(),
    };
    Ok(match asked {
        0 => usize::MAX,
        size => size as usize,
    })
}

fn bounded<'t>(name: &str, text: &'t str) -> Result<&'t str, Status> {
    if text.len() > LONGEST_TEXT {
        let text = format!("`{name}` is longer than {LONGEST_TEXT} bytes");
        return Err(Status::invalid_argument(text));
    }
    Ok(text.trim())
}

fn digest(request: &ListPoliciesRequest) -> String {
    let mut hash = Sha256::new();
    for part in [&request.filter, &request.order_by] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    URL_SAFE_NO_PAD.encode(digest)
}

fn write(digest: &str, keys: &[String]) -> String {
    let token = Token {
        digest: digest.to_owned(),
        after: keys.to_vec(),
    };
    URL_SAFE_NO_PAD.encode(serde_json::json!(token).to_string())
}

fn read(token: &str, digest: &str) -> Result<Vec<String>, Status> {
    let token: Token = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .ok_or_else(foreign)?;
    if token.digest != digest {
        return Err(Status::invalid_argument(
            "`page_token` belongs to another filter or order",
        ));
    }
    Ok(token.after)
}

fn foreign() -> Status {
    Status::invalid_argument("`page_token` is none that this service gave out")
}

#[cfg(test)]
mod tests;
