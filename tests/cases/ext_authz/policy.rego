# What the cases in `cases.yaml` ask: `x-policy` names the policy, `x-result` is a decision in JSON.
package envoy.authz

headers := input.attributes.request.http.headers

# The decision is the one that the request carries.
allow := json.unmarshal(headers["x-result"])

# What became of the request, in a header that can be read.
allow := {"allowed": true, "headers": {"x-echo": json.marshal(echo)}} if {
	headers["x-policy"] == "echo"
}

echo := object.union(
	{"parsed_path": input.parsed_path, "parsed_query": input.parsed_query},
	object.filter(input, ["parsed_body", "truncated_body", "source_principal", "version"]),
)

allow := {"allowed": true, "headers": {"x-echo": json.marshal(input.attributes)}} if {
	headers["x-policy"] == "attributes"
}

allow := rbac if headers["x-policy"] == "rbac"

default rbac := false

rbac if {
	input.attributes.request.http.method == "GET"
	input.parsed_path == ["api", "v1", "products"]
	roles[user][_] == "admin"
}

roles := {"bob": ["admin"], "alice": ["guest"]}

user := name if {
	[_, encoded] := split(headers.authorization, " ")
	[name, _] := split(base64.decode(encoded), ":")
}

allow := parsed if headers["x-policy"] == "parsed"

default parsed := false

parsed if {
	input.parsed_path == ["my", "test", "path"]
	input.parsed_query == {"a": ["1", "2"], "x": ["y"]}
}

allow := body if headers["x-policy"] == "body"

default body := false

body if input.parsed_body.firstname == "foo"

allow := principal if headers["x-policy"] == "principal"

default principal := false

principal if input.source_principal == "spiffe://test-domain/test"

allow := whole if headers["x-policy"] == "whole"

default whole := false

whole if not input.truncated_body
