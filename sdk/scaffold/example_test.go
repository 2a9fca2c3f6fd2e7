package scaffold_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/perfopt/perfopt/policies"
	"github.com/perfopt/perfopt/sdk/scaffold"
)

func ExampleNew() {
	parent, err := os.MkdirTemp("", "scaffold")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(parent)
	files, err := scaffold.New(scaffold.Options{Name: "heat", Kind: policies.KindTTL, Dir: filepath.Join(parent, "heat")})
	fmt.Println(files, err)
	// Output: [policy.go policy_test.go go.mod README.md .gitignore] <nil>
}
