//! What the terminal shows when everything runs. All of it can be pasted into a shell: what is no
//! command is a comment.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;

/// The facts of a run.
pub(super) struct Banner<'b> {
    pub(super) control_plane: SocketAddr,
    pub(super) engine: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) grpc: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) revision: &'b str,
    pub(super) tenant: &'b str,
    pub(super) folder: &'b Path,
    pub(super) temporary: bool,
    pub(super) token: &'b str,
    /// The access policy that the commands publish a new version of.
    pub(super) policy: &'b str,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        let kept = if self.temporary {
            "removed at exit; keep it with --data-dir"
        } else {
            "kept for the next run"
        };
        write!(
            out,
            "\
# Lictor is up; Ctrl-C stops it. The lines below can be pasted into another terminal.
#
#   sidecar        http://{http}   (gRPC: {grpc}; health, metrics, status: http://{admin})
#   control plane  http://{control_plane}   (gRPC: {engine})
#   revision       {revision}
#   tenant         {tenant}
#   data           {folder}   ({kept})

# Who you are to the control plane: {tenant}'s administrator, for 12 hours
export TOKEN={token}
",
            http = self.http,
            grpc = self.grpc,
            admin = self.admin,
            control_plane = self.control_plane,
            engine = self.engine,
            revision = self.revision,
            tenant = self.tenant,
            token = self.token,
        )?;
        self.questions(out)?;
        self.new_version(out)
    }
}

impl Banner<'_> {
    fn questions(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = self.http;
        let service = json!({
            "name": "search",
            "compliance": {"data_residency": ["DE"]},
            "endpoint": {"url": "http://search.example.com", "authentication": "oauth2"},
        });
        write!(
            out,
            "
# Validate a service: it is refused for its plain HTTP
curl -sS http://{http}/v1/validate -H 'content-type: application/json' -d '{service}'; echo

# Check an access: bob may not write
{ask}; echo
",
            ask = self.ask(""),
        )
    }

    /// The access question, with more headers.
    fn ask(&self, headers: &str) -> String {
        let question = json!({
            "subject": {"type": "user", "id": "bob", "properties": {"roles": ["viewer"]}},
            "action": {"name": "write"},
            "resource": {"type": "document", "id": "plan"},
        });
        format!(
            "curl -sS http://{}/access/v1/evaluation {headers}-H 'content-type: application/json' -d '{question}'",
            self.http
        )
    }

    fn new_version(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (http, policy) = (self.http, self.policy);
        let content = json!({
            "apiVersion": "lictor.dev/v1",
            "kind": "AccessPolicy",
            "metadata": {"name": policy},
            "spec": {
                "resources": ["document"],
                "rules": [{"id": "everyone", "effect": "allow", "actions": ["read", "write"]}],
            },
        });
        write!(
            out,
            "
# Publish a new version, activate it, and see the answer change: now bob may
curl -sS 'http://{http}/api/v1/policies/{policy}/versions?version=1.1.0' -H \"authorization: Bearer $TOKEN\" \\
  -H 'content-type: application/json' -d '{content}'; echo
REVISION=$(curl -sS -X PUT 'http://{http}/api/v1/policies/{policy}/activate?version=1.1.0' \\
  -H \"authorization: Bearer $TOKEN\" -o /dev/null -D - | tr -d '\\r' | sed -n 's/^x-lictor-revision: //p')
{ask}; echo
",
            ask = self.ask("-H \"x-lictor-min-revision: $REVISION\" -H 'prefer: wait=10' "),
        )
    }
}
