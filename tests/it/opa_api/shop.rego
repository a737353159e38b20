package shop

default allow := false

allow if {
	some given in data.roles[input.user]
	given == "admin"
}

role := data.roles[input.user][0]

numbers contains number if some number in [3, 1, 2]

conflict := 1 if input.conflict

conflict := 2 if input.conflict

quotient := 12 / input.divisor

echo := input

escaped := "<a&b>\u2028é"

mixed := {1: 2, "a": {true}, null: 3}

nothing := null

empty := {}
