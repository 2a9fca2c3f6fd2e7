module example.com/liar

go 1.24

require github.com/perfopt/perfopt/sdk/go v0.0.0

replace github.com/perfopt/perfopt/sdk/go => ../../../go
