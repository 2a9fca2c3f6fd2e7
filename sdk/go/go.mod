module github.com/perfopt/perfopt/sdk/go

go 1.24
