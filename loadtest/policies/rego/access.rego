# Role check over indexed data: the same 1,000 grants as the sidecar decides from.
package access

default allow := false

allow if {
	some role in input.subject.properties.roles
	grant := data.grants[input.resource.type][input.action.name][role]
	permitted(grant)
}

permitted(grant) if grant.condition == "none"

permitted(grant) if {
	grant.condition == "owner"
	input.resource.properties.owner == input.subject.id
}
