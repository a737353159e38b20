//! Whether a request may use its route.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::control_plane::access::Permission;

use super::App;
use super::refusal::Refusal;

/// Lets a request through to its route if the caller may use it.
pub async fn permit(
    State((app, permission)): State<(App, Permission)>,
    mut request: Request,
    next: Next,
) -> Response {
    match app.gate.admit(request.headers(), permission).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => Refusal::from(error).at(request.uri()).into_response(),
    }
}
