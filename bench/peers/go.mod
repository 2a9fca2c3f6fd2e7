module github.com/perfopt/perfopt/bench/peers

go 1.26.0

require (
	github.com/maypok86/otter/v2 v2.4.0
	github.com/perfopt/perfopt v0.0.0
)

replace github.com/perfopt/perfopt => ../..
