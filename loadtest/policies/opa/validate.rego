# The five default validation policies, as an OPA user would write them.
package services

decision := {"compliant": count(violations) == 0, "violations": violations}

violations contains {"policy": "residency", "field": "compliance.dataResidency"} if count(object.get(input, ["compliance", "data_residency"], [])) < 1

violations contains {"policy": "countries", "field": "compliance.dataResidency", "actual": country} if {
	some country in input.compliance.data_residency
	country in {"KP", "IR", "SY", "CU"}
}

violations contains {"policy": "certification", "field": "compliance.certifications"} if {
	input.compliance.level in {"confidential", "restricted"}
	count({certification | some certification in input.compliance.certifications} & {"SOC2", "ISO27001"}) == 0
}

violations contains {"policy": "https", "field": "endpoint.url"} if not startswith(lower(input.endpoint.url), "https://")

violations contains {"policy": "https", "field": "endpoint.authentication"} if object.get(input, ["endpoint", "authentication"], "") == ""

violations contains {"policy": "sla", "field": "sla.availability"} if {
	input.sla.support_level == "enterprise"
	input.sla.availability < 99.9
}
