package main

import (
	"testing"

	"github.com/perfopt/perfopt/sdk/go/policytest"
)

func TestConforms(t *testing.T) { policytest.Check(t) }
